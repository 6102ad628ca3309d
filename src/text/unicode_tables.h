// The tables that scripts/make-unicode-tables writes; unicode.cpp and normal_form.cpp read them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace godwit {

/// What is packed in a kind: the bits of char_bits, the class of char_class, the CharFlag bits.
struct CharProperties {
  uint32_t bits;
  uint8_t char_class;
  uint8_t flags;
};

/// The kind of a code point is kKinds[256 * kKindBlocks[code / 256] + code % 256].
extern const uint8_t kKindBlocks[4352];
extern const char kKinds[];
extern const CharProperties kKindProperties[128];

struct ScriptName {
  const char* name;  // small letters only
  int32_t script;
};
extern const ScriptName kScriptNames[];
extern const size_t kScriptNamesCount;

// Packed whole numbers (PackedReader). Runs: the distance from the run before, the value from there on.
extern const char kPackedLowercase[];  // runs: distance to the lower case letter
extern const char kPackedCaseFolds[];  // runs: distance to the first of the characters that are equal but for case
extern const char kPackedScripts[];    // runs
extern const char kPackedGraphemes[];  // runs: Grapheme_Cluster_Break and more, see grapheme.cpp
extern const char kPackedCombiningClasses[];   // runs
extern const char kPackedNewerThanUnicode9[];  // runs of 0 and 1: what the normal forms of Unicode 9 do not know
extern const char kPackedCanonical[];          // distance, whether not composed again, first - code, second or 0
extern const char kPackedCompatible[];         // distance, how many, first - code, each from the one before

/// Reads packed numbers: five bits a letter, the lowest first; letters from the 33rd on continue one. The alphabet is
/// '(' to '~' without '?' and the backslash; the last bit of a number is its sign.
class PackedReader {
 public:
  explicit PackedReader(const char* text) : at_(text) {}

  bool more() const { return *at_ != '\0'; }

  int32_t next() {
    uint32_t value = 0;
    uint32_t digit = letter();
    value = digit;
    for (uint32_t shift = 5; *at_ != '\0' && peek() >= 32; shift += 5) {
      digit = letter();
      value |= (digit - 32) << shift;
    }
    return (value & 1) != 0 ? -static_cast<int32_t>((value + 1) / 2) : static_cast<int32_t>(value / 2);
  }

 private:
  uint32_t peek() const {
    const uint32_t c = static_cast<uint8_t>(*at_);
    return c - '(' - (c > '?' ? 1 : 0) - (c > '\\' ? 1 : 0);
  }
  uint32_t letter() {
    const uint32_t digit = peek();
    ++at_;
    return digit;
  }

  const char* at_;
};

}  // namespace godwit
