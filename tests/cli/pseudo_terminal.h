// A pseudo-terminal: this side is the person and their screen, the other side is what a program sees as its terminal.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace godwit {

class PseudoTerminal {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  /// Starts a program on a terminal of 80 times 24.
  PseudoTerminal(std::vector<std::string> command, const Environment& environment) {
    winsize size{};
    size.ws_row = 24, size.ws_col = 80;
    pid_ = ::forkpty(&master_, nullptr, nullptr, &size);
    if (pid_ != 0) return;
    ::setenv("TERM", "xterm-256color", 1);
    ::unsetenv("NO_COLOR");
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  /// The same with a function in a process of its own, which ends with it.
  explicit PseudoTerminal(const std::function<void()>& program) {
    winsize size{};
    size.ws_row = 24, size.ws_col = 80;
    pid_ = ::forkpty(&master_, nullptr, nullptr, &size);
    if (pid_ != 0) return;
    ::setenv("TERM", "xterm-256color", 1);
    program();
    ::_exit(0);
  }
  ~PseudoTerminal() {
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
    ::close(master_);
  }
  PseudoTerminal(const PseudoTerminal&) = delete;
  PseudoTerminal& operator=(const PseudoTerminal&) = delete;

  void type(std::string_view keys) {
    while (!keys.empty()) {
      const ssize_t n = ::write(master_, keys.data(), keys.size());
      ASSERT_GT(n, 0);
      keys.remove_prefix(static_cast<size_t>(n));
    }
  }
  void paste(std::string_view text) { type("\033[200~" + std::string(text) + "\033[201~"); }
  void resize(int rows, int columns) {
    winsize size{};
    size.ws_row = static_cast<unsigned short>(rows), size.ws_col = static_cast<unsigned short>(columns);
    ASSERT_EQ(::ioctl(master_, TIOCSWINSZ, &size), 0);  // the program gets SIGWINCH
  }

  /// Waits until `text` is shown after what expect() found before. What was shown since then, up to its end; fails the
  /// test, and gives what was shown, after `seconds`.
  std::string expect(std::string_view text, double seconds = 30) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    size_t at = std::string::npos;
    while ((at = shown_.find(text, seen_)) == std::string::npos) {
      if (std::chrono::steady_clock::now() > until || !take(50)) break;
    }
    if (at == std::string::npos) at = shown_.find(text, seen_);
    if (at == std::string::npos) {
      ADD_FAILURE() << "not shown: " << text << "\n" << shown_.substr(seen_);
      return shown_.substr(seen_);
    }
    const size_t begin = std::exchange(seen_, at + text.size());
    return shown_.substr(begin, seen_ - begin);
  }
  /// All that was shown.
  const std::string& shown() const { return shown_; }

  /// Waits for the program's end: its exit code, 128 and a signal, or -1 when it does not come.
  int wait_for_end(double seconds = 30) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < until) {
      take(20);
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) != pid_) continue;
      while (take(0)) {
      }
      pid_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return -1;
  }
  pid_t pid() const { return pid_; }

 private:
  /// Reads what is there. False: the program's side is closed, or nothing came and nobody wants to wait.
  bool take(int wait_ms) {
    pollfd terminal{master_, POLLIN, 0};
    if (::poll(&terminal, 1, wait_ms) <= 0) return wait_ms > 0;
    char bytes[4096];
    const ssize_t n = ::read(master_, bytes, sizeof bytes);
    if (n > 0) shown_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }

  int master_ = -1;
  pid_t pid_ = -1;
  std::string shown_;
  size_t seen_ = 0;
};

}  // namespace godwit
