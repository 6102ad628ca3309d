// Where keys and values lie, and which of them a token sees: what every level of attention and kv_store shares.
// Everything is always inlined, so that a file compiled for a CPU level leaves no copy for the linker to hand to
// others.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

#define GODWIT_INLINE [[gnu::always_inline]] inline

namespace godwit {

inline constexpr int64_t kScaleChannels = 32;  // channels that share a scale in Q8_0

/// Absolute positions [first, last).
struct KeyRange {
  int64_t first, last;
};

/// The keys that the token at `position` sees; window 0: all up to itself.
GODWIT_INLINE KeyRange visible_keys(int64_t position, int64_t window) {
  const int64_t first = window > 0 && position >= window ? position - window + 1 : 0;
  return {first, position + 1};
}

/// The part of `range` that lies in [begin, begin + size); empty (first >= last) where there is none.
GODWIT_INLINE KeyRange clip(KeyRange range, int64_t begin, int64_t size) {
  return {range.first > begin ? range.first : begin, range.last < begin + size ? range.last : begin + size};
}

/// One head's own keys [own_k_dim][64] and values [64][v_dim] in the page of `position`.
GODWIT_INLINE const std::byte* page_keys(const KvLayout& layout, const KvRow& row, int64_t position, int64_t head) {
  return row.pages[position / kPageTokens] + layout.k_offset + head * kv_head_bytes(layout.k_type, layout.own_k_dim());
}
GODWIT_INLINE const std::byte* page_values(const KvLayout& layout, const KvRow& row, int64_t position, int64_t head) {
  return row.pages[position / kPageTokens] + layout.v_offset + head * kv_head_bytes(layout.v_type, layout.v_dim);
}

}  // namespace godwit

#undef GODWIT_INLINE
