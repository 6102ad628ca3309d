// A part of a text.
#pragma once

#include <cstddef>

namespace godwit {

/// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin;
  size_t end;
  bool operator==(const TextRange&) const = default;
};

}  // namespace godwit
