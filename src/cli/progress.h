// A progress bar on a terminal, a line every ten seconds elsewhere, nothing when quiet. Always on stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace godwit {

class Progress {
 public:
  /// `unit_bytes`: counts are bytes, shown as MiB.
  Progress(std::string what, bool quiet, bool unit_bytes);
  ~Progress();  // ends the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(int64_t done, int64_t all);

 private:
  std::string what_;
  bool quiet_, unit_bytes_, terminal_, drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace godwit
