#include "text/template_unicode.h"

#include <algorithm>

#include "text/template_unicode_tables.h"
#include "text/unicode.h"

namespace godwit::jinja {
namespace {

uint16_t flags_of(uint32_t code) {
  const FlagRange* const end = kFlagRanges + kFlagRangesCount;
  const FlagRange* range =
      std::partition_point(kFlagRanges, end, [code](const FlagRange& other) { return other.last < code; });
  return range != end && range->first <= code ? range->flags : uint16_t{0};
}

// False when the map does not have it.
bool append_mapped(std::string& out, uint32_t code, const CaseMap& map) {
  const CaseRange* const end = map.ranges + map.range_count;
  const CaseRange* range =
      std::partition_point(map.ranges, end, [code](const CaseRange& other) { return other.last < code; });
  if (range != end && range->first <= code && (code - range->first) % range->step == 0) {
    append_utf8(out, static_cast<uint32_t>(static_cast<int32_t>(code) + range->delta));
    return true;
  }
  const CaseSpecial* const last = map.specials + map.special_count;
  const CaseSpecial* special =
      std::partition_point(map.specials, last, [code](const CaseSpecial& other) { return other.code < code; });
  if (special == last || special->code != code) return false;
  for (const uint32_t to : special->to) {
    if (to != 0) append_utf8(out, to);
  }
  return true;
}

}  // namespace

bool is_printable(uint32_t code) {
  return code < 0x80 ? code >= 0x20 && code != 0x7F : (flags_of(code) & kPrintable) != 0;
}
bool is_alpha(uint32_t code) { return (flags_of(code) & kAlpha) != 0; }
bool is_decimal(uint32_t code) { return (flags_of(code) & kDecimal) != 0; }
bool is_digit(uint32_t code) { return (flags_of(code) & kDigit) != 0; }
bool is_numeric(uint32_t code) { return (flags_of(code) & kNumeric) != 0; }
bool is_upper(uint32_t code) { return (flags_of(code) & kUppercase) != 0; }
bool is_lower(uint32_t code) { return (flags_of(code) & kLowercase) != 0; }
bool is_title(uint32_t code) { return (flags_of(code) & kTitlecase) != 0; }
bool is_case_ignorable(uint32_t code) { return (flags_of(code) & kCaseIgnorable) != 0; }

void append_upper(std::string& out, uint32_t code) {
  if (!append_mapped(out, code, kUpper)) append_utf8(out, code);
}
void append_lower(std::string& out, uint32_t code) {
  if (!append_mapped(out, code, kLower)) append_utf8(out, code);
}
void append_title(std::string& out, uint32_t code) {
  if (!append_mapped(out, code, kTitle)) append_upper(out, code);
}
void append_folded(std::string& out, uint32_t code) {
  if (!append_mapped(out, code, kFolded)) append_lower(out, code);
}

}  // namespace godwit::jinja
