// A part of a text.
#pragma once

#include <cstdint>

namespace godwit {

/// Bytes [begin, end) of a text.
struct TextRange {
  uint32_t begin;
  uint32_t end;
  bool operator==(const TextRange&) const = default;
};

}  // namespace godwit
