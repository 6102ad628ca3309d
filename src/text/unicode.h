// Code points, their UTF-8 form and the classes that pre-tokenizers ask about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode_tables.h"

namespace godwit {

/// Bits of char_class: general categories L, N, P, M and the property White_Space. Source: Unicode 16.0.
enum CharClass : uint8_t { kLetter = 1, kNumber = 2, kSpace = 4, kPunctuation = 8, kMark = 16 };

/// Bits of char_bits: the general category, White_Space and script Han. Source: Unicode 16.0.
enum CharBit : uint32_t {
  kLu = 1u << 0,
  kLl = 1u << 1,
  kLt = 1u << 2,
  kLm = 1u << 3,
  kLo = 1u << 4,
  kMn = 1u << 5,
  kMc = 1u << 6,
  kMe = 1u << 7,
  kNd = 1u << 8,
  kNl = 1u << 9,
  kNo = 1u << 10,
  kPc = 1u << 11,
  kPd = 1u << 12,
  kPs = 1u << 13,
  kPe = 1u << 14,
  kPi = 1u << 15,
  kPf = 1u << 16,
  kPo = 1u << 17,
  kSm = 1u << 18,
  kSc = 1u << 19,
  kSk = 1u << 20,
  kSo = 1u << 21,
  kZs = 1u << 22,
  kZl = 1u << 23,
  kZp = 1u << 24,
  kCc = 1u << 25,
  kCf = 1u << 26,
  kCs = 1u << 27,
  kCo = 1u << 28,
  kCn = 1u << 29,
  kWhiteSpace = 1u << 30,
  kHan = 1u << 31,
};
inline constexpr uint32_t kAnyL = kLu | kLl | kLt | kLm | kLo;
inline constexpr uint32_t kAnyM = kMn | kMc | kMe;
inline constexpr uint32_t kAnyN = kNd | kNl | kNo;
inline constexpr uint32_t kAnyP = kPc | kPd | kPs | kPe | kPi | kPf | kPo;
inline constexpr uint32_t kAnyS = kSm | kSc | kSk | kSo;
inline constexpr uint32_t kAnyZ = kZs | kZl | kZp;
inline constexpr uint32_t kAnyC = kCc | kCf | kCs | kCo | kCn;
inline constexpr uint32_t kAnyCategory = (1u << 30) - 1;

/// Bits of char_flags. The last four are what Hugging Face's tokenizers take for such (0.23; their tables are of older
/// versions of Unicode, and all of ASCII's signs are punctuation).
enum CharFlag : uint8_t {
  kAlphabetic = 1,
  kLowercase = 2,
  kUppercase = 4,
  kHfMark = 8,          // what StripAccents removes
  kHfAccent = 16,       // what BertNormalizer removes with strip_accents
  kHfControl = 32,      // what BertNormalizer removes with clean_text
  kHfPunctuation = 64,  // what Punctuation and BertPreTokenizer split at
};

/// All that is known of a code point at once; nothing set for code points outside Unicode (kInvalidByte).
inline const CharProperties& char_properties(uint32_t code) {
  if (code >= 0x110000) return kKindProperties[0];
  const uint32_t block = kKindBlocks[code >> 8];
  return kKindProperties[static_cast<uint8_t>(kKinds[block << 8 | (code & 0xFF)])];
}

/// The CharClass bit of a code point; 0 for all other categories and for code points outside Unicode.
inline uint8_t char_class(uint32_t code) { return char_properties(code).char_class; }

/// CharBit bits: one of the categories, and perhaps kWhiteSpace or kHan; 0 for code points outside Unicode.
inline uint32_t char_bits(uint32_t code) { return char_properties(code).bits; }

/// CharFlag bits; 0 for code points outside Unicode.
inline uint8_t char_flags(uint32_t code) { return char_properties(code).flags; }

/// A value for each code point, looked up in two steps.
class CodeMap {
 public:
  /// From packed runs (unicode_tables.h).
  explicit CodeMap(const char* packed_runs);

  /// From runs: where the value changes, from 0 on, rising.
  struct Run {
    uint32_t first;
    int32_t value;
  };
  explicit CodeMap(std::vector<Run> runs);

  /// 0 for code points outside Unicode.
  int32_t operator[](uint32_t code) const {
    return code < 0x110000 ? values_[size_t{blocks_[code >> 8]} << 8 | (code & 0xFF)] : 0;
  }

 private:
  std::vector<uint16_t> blocks_;
  std::vector<int32_t> values_;
};

/// The lower case of a code point, itself when it has none. U+0130, whose lower case are two, is its own here.
uint32_t to_lowercase(uint32_t code);

/// Appends the full lower case without regard to what is around (no final sigma).
void append_lowercase(std::string& out, uint32_t code);

/// Simple case folding: equal for code points that are equal but for case (one of them stands for all).
uint32_t fold_case(uint32_t code);

/// The number of a code point's script (property Script).
int32_t script_of(uint32_t code);

/// The number of a script by its long or short name in small letters without spaces ("han", "hani", "oldpersian");
/// -1 when there is none.
int32_t find_script(std::string_view name);

/// Stands for a byte that is no part of valid UTF-8; of no class and outside Unicode.
inline constexpr uint32_t kInvalidByte = 0xFFFFFFFF;

/// One step of decoding: the code point (or kInvalidByte) and the bytes it takes (1 when invalid).
struct Decoded {
  uint32_t code;
  uint32_t length;
};

/// Decodes the code point that starts at `at` (< text.size()). Surrogates, overlong and cut sequences are invalid.
Decoded decode_utf8(std::string_view text, size_t at);

/// How the bytes from `at` on begin: the length of the longest start of a well-formed sequence (1 to 4 bytes), and
/// whether it is complete. Length 0: the byte at `at` starts none. What is incomplete in the middle of text becomes one
/// U+FFFD (Unicode 16.0, section 3.9, "maximal subpart").
struct Utf8Start {
  uint32_t length;
  bool complete;
};
Utf8Start utf8_start(std::string_view text, size_t at);

/// Appends a code point (< 0x110000) as UTF-8.
void append_utf8(std::string& out, uint32_t code);

}  // namespace godwit
