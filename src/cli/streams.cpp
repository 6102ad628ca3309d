#include "cli/streams.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"

namespace godwit {
namespace {

constexpr size_t kMostMessageBytes = 500;  // 512 with "godwit: ", "..." and the end of the line

// After a system call that Ctrl-C may have ended: true when it has to be made again.
bool again(const std::string& shown) {
  if (errno != EINTR) return false;
  if (interrupted()) throw Interrupted("interrupted while reading " + shown);
  return true;
}

int open_input(const std::string& path, const std::string& shown) {
  int fd = -1;
  do fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  while (fd < 0 && again(shown));
  if (fd < 0) invalid("{}: cannot be opened: {}", shown, std::strerror(errno));
  struct stat status {};
  const bool known = ::fstat(fd, &status) == 0;
  const bool text = known && (S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
  if (text || ::isatty(fd) != 0) return fd;
  ::close(fd);
  invalid("{}: expected a file or a pipe, got a {}", shown, S_ISDIR(status.st_mode) ? "directory" : "device");
}

}  // namespace

void open_standard_streams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    // The lowest free number is the one that is closed.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDONLY) != fd) ::_exit(1);
}

void say_text(const std::string& text) noexcept { std::fwrite(text.data(), 1, text.size(), stderr); }

std::string one_line(const std::string& message, size_t max_bytes) {
  std::string out;
  for (size_t at = 0; at <= message.size();) {
    const size_t end = std::min(message.find_first_of("\"\\", at), message.size());
    out += printable(std::string_view(message).substr(at, end - at), std::string::npos);
    if (end < message.size()) out += message[end];  // messages have quotes and escapes of their own
    at = end + 1;
  }
  if (out.size() <= max_bytes) return out;
  size_t size = max_bytes;
  while (size > 0 && (static_cast<unsigned char>(out[size]) & 0xC0) == 0x80) --size;
  return out.substr(0, size) + "...";
}

void complain(const std::string& message) { say("godwit: {}\n", one_line(message, kMostMessageBytes)); }

void flush_output() {
  errno = 0;
  const bool kept = std::cout.flush() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (kept) return;
  const int error = errno;
  pollfd out{STDOUT_FILENO, 0, 0};
  if (::poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0) throw ReaderGone();
  fail(ErrorKind::kFailed, "stdout: cannot be written{}{}", error != 0 ? ": " : "",
       error != 0 ? std::strerror(error) : "");
}

std::string read_input(const std::string& path, uint64_t max_bytes) {
  const bool standard = path == "-";
  const std::string shown = standard ? "stdin" : printable_path(path);
  const int fd = standard ? STDIN_FILENO : open_input(path, shown);
  std::string text;
  size_t size = 0;
  ssize_t n = 0;
  do {
    if (text.size() - size < 4096) text.resize(size + (size < (1 << 20) ? size_t{1} << 16 : size / 2));
    n = ::read(fd, text.data() + size, text.size() - size);
    if (n > 0) size += static_cast<size_t>(n);
  } while (size <= max_bytes && (n > 0 || (n < 0 && again(shown))));
  const int error = errno;
  if (!standard) ::close(fd);
  if (size > max_bytes) invalid("{}: expected at most {} bytes of text, got more", shown, max_bytes);
  if (n < 0) invalid("{}: cannot be read: {}", shown, std::strerror(error));
  text.resize(size);
  return text;
}

}  // namespace godwit
