// Reading the golden files of tests/oracle/dtypes, and the float environment in which engine threads run.
#pragma once

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace godwit {

inline std::vector<std::byte> read_golden(const std::string& name) {
  const std::string path = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/dtypes/" + name + ".bin";
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  const std::vector<char> chars((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<std::byte> bytes(chars.size());
  if (!bytes.empty()) std::memcpy(bytes.data(), chars.data(), chars.size());
  return bytes;
}

/// Flush-to-zero and denormals-are-zero, on or off, for a scope.
class FlushSubnormals {
 public:
  explicit FlushSubnormals(bool on) : saved_(_mm_getcsr()) { _mm_setcsr(on ? saved_ | kBits : saved_ & ~kBits); }
  ~FlushSubnormals() { _mm_setcsr(saved_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  static constexpr unsigned kBits = 0x8040;
  unsigned saved_;
};

}  // namespace godwit
