#include "text/unicode.h"

#include <algorithm>

namespace godwit {

uint8_t char_class(uint32_t code) {
  const CharRange* end = kCharRanges + kCharRangesCount;
  const CharRange* range =
      std::lower_bound(kCharRanges, end, code, [](const CharRange& r, uint32_t value) { return r.last < value; });
  return range != end && range->first <= code ? range->char_class : uint8_t{0};
}

Utf8Start utf8_start(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {0, false};
  const uint32_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies past U+10FFFF.
  uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (uint32_t i = 1; i < length; ++i) {
    if (at + i >= text.size() || byte(at + i) < least || byte(at + i) > most) return {i, false};
    least = 0x80;
    most = 0xBF;
  }
  return {length, true};
}

Decoded decode_utf8(std::string_view text, size_t at) {
  const Utf8Start start = utf8_start(text, at);
  if (!start.complete) return {kInvalidByte, 1};
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at + i])); };
  if (start.length == 1) return {byte(0), 1};
  uint32_t code = byte(0) & (0x7Fu >> start.length);
  for (uint32_t i = 1; i < start.length; ++i) code = code << 6 | (byte(i) & 0x3F);
  return {code, start.length};
}

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace godwit
