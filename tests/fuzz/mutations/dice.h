// Choices that a seed and a case's number fix, and the values that readers stumble over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"

namespace godwit::testing {

/// Random choices of one case. Keeps a log of what was done with them, for whoever looks into a failure.
class Dice {
 public:
  Dice(uint64_t seed, uint64_t number) : seed_(seed), number_(number) {}

  uint64_t bits() { return random_bits(seed_, number_, count_++); }
  /// 0 to n - 1; n > 0.
  size_t below(size_t n) { return static_cast<size_t>(bits() % n); }
  bool one_in(size_t n) { return below(n) == 0; }
  template <class T>
  auto& of(T& list) {
    return list[below(std::size(list))];
  }

  std::string log;

 private:
  uint64_t seed_, number_, count_ = 0;
};

inline const std::vector<int64_t> kIntegers = {0,
                                               1,
                                               -1,
                                               2,
                                               3,
                                               5,
                                               7,
                                               8,
                                               31,
                                               64,
                                               97,
                                               127,
                                               128,
                                               -128,
                                               255,
                                               256,
                                               512,
                                               4096,
                                               32767,
                                               65535,
                                               65536,
                                               1 << 20,
                                               1 << 24,
                                               1 << 30,
                                               2147483647,
                                               2147483648,
                                               4294967295,
                                               4294967296,
                                               int64_t{1} << 40,
                                               int64_t{1} << 53,
                                               int64_t{1} << 62,
                                               INT64_MAX,
                                               INT64_MIN,
                                               -2147483648,
                                               -2};
inline const std::vector<double> kReals = {0.0,
                                           -0.0,
                                           1.0,
                                           -1.0,
                                           0.5,
                                           2.0,
                                           1e-45,
                                           1e-8,
                                           1e-308,
                                           1e38,
                                           -1e38,
                                           1e308,
                                           1e20,
                                           10000.0,
                                           1e-5,
                                           3e9,
                                           -2.5,
                                           1e9,
                                           std::numeric_limits<double>::infinity(),
                                           -std::numeric_limits<double>::infinity(),
                                           std::numeric_limits<double>::quiet_NaN()};

/// A word that some file knows, or none does: of `words`, or one that has broken readers before.
std::string some_word(Dice& dice, const std::vector<std::string>& words);

/// Bytes flipped, removed, doubled or added, a piece moved, or the end cut off.
void mutate_bytes(std::string& bytes, Dice& dice);

/// A chat template's text: pieces of it removed, doubled and swapped, and pieces of the language put in.
void mutate_template(std::string& text, Dice& dice);

}  // namespace godwit::testing
