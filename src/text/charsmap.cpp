#include "text/charsmap.h"

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

uint32_t read_unit(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return value;
}

// The parts of a unit of the double array.
bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_of(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t label_of(uint32_t unit) { return unit & 0x800000FF; }
uint32_t offset_of(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view bytes, std::string_view where) {
  if (bytes.empty()) return;
  if (bytes.size() < 4) invalid("{}: expected at least 4 bytes, got {}", where, bytes.size());
  const size_t array_bytes = read_unit(bytes, 0);
  if (array_bytes == 0 || array_bytes % 4 != 0 || array_bytes > bytes.size() - 4) {
    invalid("{}: expected a double array of whole units within {} bytes, got {}", where, bytes.size() - 4, array_bytes);
  }
  units_.reserve(array_bytes / 4);
  for (size_t at = 4; at < 4 + array_bytes; at += 4) units_.push_back(read_unit(bytes, at));
  replacements_ = bytes.substr(4 + array_bytes);
  if (!replacements_.empty() && replacements_.back() != '\0') {
    invalid("{}: expected a zero byte at the end of the replacements", where);
  }
  const size_t bad = find_invalid_utf8(replacements_);
  if (bad != std::string_view::npos) invalid("{}: replacements: not UTF-8 at byte {}", where, bad);
}

Charsmap::Match Charsmap::find(std::string_view text, bool longest) const {
  Match match;
  if (units_.empty()) return match;
  uint32_t node = offset_of(units_[0]);
  text = text.substr(0, kMaxCharsmapKeyBytes);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_value(unit)) continue;
    if (node >= units_.size()) break;
    const uint32_t begin = value_of(units_[node]);
    if (begin >= replacements_.size()) continue;
    match.length = i + 1;
    match.replacement = std::string_view(replacements_.data() + begin);  // ends: the last byte is zero
    if (!longest) break;
  }
  return match;
}

}  // namespace godwit
