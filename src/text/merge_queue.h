// What both kinds of BPE share: the parts of a text being merged, and which pair comes next.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

namespace godwit {

/// A part of the text; parts form a list, and a part that was merged into its left neighbour has length 0.
struct MergePart {
  int32_t id;              // its token; -1 when it has none
  uint32_t begin;          // in the text
  uint32_t length;         // bytes
  int32_t previous, next;  // -1 at the ends
};

/// Pairs that may be merged, the lowest rank first, then the leftmost. Pairs that no longer exist stay queued; whoever
/// takes one out checks it.
using MergeQueue = std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>>;

inline uint64_t merge_entry(uint32_t rank, int32_t left) { return uint64_t{rank} << 32 | static_cast<uint32_t>(left); }

/// Joins part `left` with the one after it.
inline void join_with_next(std::vector<MergePart>& parts, int32_t left, int32_t id) {
  MergePart& part = parts[static_cast<size_t>(left)];
  MergePart& right = parts[static_cast<size_t>(part.next)];
  part.id = id;
  part.length += right.length;
  part.next = right.next;
  if (right.next >= 0) parts[static_cast<size_t>(right.next)].previous = left;
  right.length = 0;
}

}  // namespace godwit
