// Code points, their UTF-8 form and the classes that pre-tokenizers ask about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace godwit {

/// Bits of char_class: general categories L, N, P, M and the property White_Space. Source: Unicode 16.0.
enum CharClass : uint8_t { kLetter = 1, kNumber = 2, kSpace = 4, kPunctuation = 8, kMark = 16 };

/// A range of code points, both ends included, of one class. unicode_tables.cpp has them sorted.
struct CharRange {
  uint32_t first;
  uint32_t last;
  uint8_t char_class;
};
extern const CharRange kCharRanges[];
extern const size_t kCharRangesCount;

/// The CharClass bit of a code point; 0 for all other categories and for code points outside Unicode.
uint8_t char_class(uint32_t code);

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
