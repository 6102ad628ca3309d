// The program from outside: its exit code, stdout and stderr.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace godwit {

namespace fs = std::filesystem;

struct Result {
  int code = -1;
  std::string out, err;
  double seconds = 0;
};

inline std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Commands : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("godwit_cli_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result run(const std::string& arguments, const std::string& environment = "") {
    return execute(environment + " " + GODWIT_BINARY + " " + arguments, " </dev/null");
  }
  /// The command with its outputs in files, and what it is given for input.
  Result execute(const std::string& command, const std::string& input) {
    const auto start = std::chrono::steady_clock::now();
    const std::string all = command + " >" + (folder_ / "out").string() + " 2>" + (folder_ / "err").string() + input;
    const int status = std::system(all.c_str());
    Result r;
    r.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    r.out = slurp(folder_ / "out");
    r.err = slurp(folder_ / "err");
    r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return r;
  }
  /// As run, for command lines of the shell's: $G is the program, $D this test's folder, $T a tiny model.
  Result shell(const std::string& line) {
    const std::string command = "G=" GODWIT_BINARY "; D=" + folder_.string() + "; T=" + tiny_ + "; " + line;
    std::ofstream(folder_ / "line.sh") << command << "\n";
    return execute("bash " + (folder_ / "line.sh").string(), "");
  }

  fs::path folder_;
  const std::string tiny_ = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/llama-plain-gqa";
};

}  // namespace godwit
