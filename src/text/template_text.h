// Text that knows which of its bytes came from data (the conversation) and which from the template.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"

namespace godwit::jinja {

struct Text {
  std::string bytes;
  std::vector<TextRange> data;  // as RenderedText::from_data

  Text() = default;
  Text(std::string text, bool is_data) : bytes(std::move(text)) {
    if (is_data) mark_all();
  }

  bool has_data() const { return !data.empty(); }
  void mark_all();
  void append(std::string_view more, bool is_data);
  void append(const Text& other, size_t begin, size_t end);
  /// Whether the byte at `at` came from data.
  bool is_data(size_t at) const;
};

/// The code point that begins at `at`, as Python sees the text: values are valid UTF-8 throughout.
struct CodePoint {
  uint32_t code;
  uint32_t length;
};
inline CodePoint code_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[at + i])); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {((first & 0x1F) << 6) | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {((first & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F), 3};
  return {((first & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F), 4};
}
inline bool continues_code_point(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }
/// Where the code point that ends at `end` (> 0) begins.
inline size_t code_before(std::string_view text, size_t end) {
  do --end;
  while (continues_code_point(text[end]));
  return end;
}
size_t count_code_points(std::string_view text);

/// Python's str.isspace of one code point: White_Space and the four separators U+001C to U+001F.
bool is_space(uint32_t code);

/// [begin, end) of `text` without the white space, or the code points of `chars`, at its ends.
struct Span {
  size_t begin;
  size_t end;
};
Span strip(std::string_view text, bool left, bool right);
Span strip(std::string_view text, bool left, bool right, std::string_view chars);

}  // namespace godwit::jinja
