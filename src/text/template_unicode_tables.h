// The shape of the tables that scripts/make-case-tables writes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace godwit::jinja {

enum Flag : uint16_t {
  kPrintable = 1,
  kAlpha = 2,
  kDecimal = 4,
  kDigit = 8,
  kNumeric = 16,
  kUppercase = 32,
  kLowercase = 64,
  kTitlecase = 128,
  kCaseIgnorable = 256,
};

struct FlagRange {
  uint32_t first, last;
  uint16_t flags;
};
extern const FlagRange kFlagRanges[];
extern const size_t kFlagRangesCount;

/// Every `step`-th code point from first to last maps to itself plus delta.
struct CaseRange {
  uint32_t first, last;
  uint32_t step;
  int32_t delta;
};
/// Maps to two or three code points; 0 ends them.
struct CaseSpecial {
  uint32_t code;
  uint32_t to[3];
};
struct CaseMap {
  const CaseRange* ranges;
  size_t range_count;
  const CaseSpecial* specials;
  size_t special_count;
};
/// kTitle holds what differs from kUpper, kFolded what differs from kLower.
extern const CaseMap kUpper, kLower, kTitle, kFolded;

}  // namespace godwit::jinja
