// What both kinds of BPE share: the parts of a text being merged, and which pair comes next.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "text/id_map.h"

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

/// Merges parts until none can be: rank(left id, right id) is the pair's place in the list of merges or IdMap::kNone,
/// result(rank) the token it becomes. The lowest rank first, then the leftmost. Parts merged away have length 0 or are
/// gone. n log n; few parts, as most words have, without a queue.
template <class Rank, class Result>
void merge_by_rank(std::vector<MergePart>& parts, Rank rank, Result result) {
  constexpr size_t kFew = 24;
  if (parts.size() <= kFew) {
    uint32_t ranks[kFew];
    size_t n = parts.size();
    for (size_t i = 0; i + 1 < n; ++i) ranks[i] = rank(parts[i].id, parts[i + 1].id);
    while (n > 1) {
      size_t best = 0;
      for (size_t i = 1; i + 1 < n; ++i) {
        if (ranks[i] < ranks[best]) best = i;
      }
      if (ranks[best] == IdMap::kNone) break;
      parts[best].id = result(ranks[best]);
      parts[best].length += parts[best + 1].length;
      --n;
      for (size_t i = best + 1; i < n; ++i) {
        parts[i] = parts[i + 1];
        if (i + 1 < n) ranks[i] = ranks[i + 1];
      }
      if (best + 1 < n) ranks[best] = rank(parts[best].id, parts[best + 1].id);
      if (best > 0) ranks[best - 1] = rank(parts[best - 1].id, parts[best].id);
    }
    parts.resize(n);
    return;
  }
  MergeQueue queue;
  const auto propose = [&](int32_t left) {
    if (left < 0 || parts[static_cast<size_t>(left)].next < 0) return;
    const MergePart& part = parts[static_cast<size_t>(left)];
    const uint32_t r = rank(part.id, parts[static_cast<size_t>(part.next)].id);
    if (r != IdMap::kNone) queue.push(merge_entry(r, left));
  };
  for (size_t i = 0; i < parts.size(); ++i) propose(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const uint32_t r = static_cast<uint32_t>(queue.top() >> 32);
    const int32_t left = static_cast<int32_t>(queue.top());
    queue.pop();
    const MergePart& part = parts[static_cast<size_t>(left)];
    if (part.length == 0 || part.next < 0 || rank(part.id, parts[static_cast<size_t>(part.next)].id) != r) continue;
    join_with_next(parts, left, result(r));
    propose(part.previous);
    propose(left);
  }
}

}  // namespace godwit
