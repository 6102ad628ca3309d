// What all kinds of BPE share: the parts of a text being merged, and which pair comes next.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
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

using MergeQueue = std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>>;
inline uint64_t merge_entry(uint32_t rank, int32_t left) { return uint64_t{rank} << 32 | static_cast<uint32_t>(left); }

/// Pairs that may be merged, the lowest rank first, then the leftmost. Pairs that no longer exist stay queued; whoever
/// takes one out checks it. For texts of some length: a heap, n log n.
class MergeHeap {
 public:
  bool empty() const { return heap_.empty(); }
  void push(uint32_t rank, int32_t left) { heap_.push(merge_entry(rank, left)); }
  std::pair<uint32_t, int32_t> pop() {
    const uint64_t top = heap_.top();
    heap_.pop();
    return {static_cast<uint32_t>(top >> 32), static_cast<int32_t>(top)};
  }

 private:
  MergeQueue heap_;
};

/// The same for long texts: a list a rank, and a tree of bits that says which are not empty. Most pairs of a rank come
/// from left to right, so their list is in order as it grows; the others wait in a small heap. Near linear, where the
/// heap's time grows with what no longer fits the cache.
class MergeLists {
 public:
  explicit MergeLists(size_t n_ranks) : list_of_(n_ranks, kNoList) {
    for (size_t n = n_ranks;; n = (n + 63) / 64) {
      bits_.emplace_back((n + 63) / 64);
      if (n <= 64) break;
    }
  }

  bool empty() const { return bits_.back()[0] == 0; }

  void push(uint32_t rank, int32_t left) {
    if (list_of_[rank] == kNoList) {
      list_of_[rank] = static_cast<uint32_t>(lists_.size());
      lists_.emplace_back();
    }
    List& list = lists_[list_of_[rank]];
    if (list.empty()) {
      size_t at = rank;
      for (auto& level : bits_) {
        level[at / 64] |= uint64_t{1} << at % 64;
        at /= 64;
      }
    }
    if (list.in_order.empty() || list.in_order.back() <= left) {
      list.in_order.push_back(left);
    } else {
      list.late.push(left);
    }
  }

  std::pair<uint32_t, int32_t> pop() {
    size_t rank = 0;
    for (size_t level = bits_.size(); level > 0; --level) {
      rank = rank * 64 + static_cast<size_t>(std::countr_zero(bits_[level - 1][rank]));
    }
    List& list = lists_[list_of_[rank]];
    int32_t left;
    if (!list.late.empty() && (list.next == list.in_order.size() || list.late.top() < list.in_order[list.next])) {
      left = list.late.top();
      list.late.pop();
    } else {
      left = list.in_order[list.next++];
      if (list.next == list.in_order.size()) {
        list.in_order.clear();
        list.next = 0;
      }
    }
    if (list.empty()) {
      size_t at = rank;
      for (auto& level : bits_) {
        if ((level[at / 64] &= ~(uint64_t{1} << at % 64)) != 0) break;
        at /= 64;
      }
    }
    return {static_cast<uint32_t>(rank), left};
  }

 private:
  static constexpr uint32_t kNoList = ~uint32_t{0};
  struct List {
    std::vector<int32_t> in_order;
    size_t next = 0;
    std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> late;
    bool empty() const { return next == in_order.size() && late.empty(); }
  };

  std::vector<uint32_t> list_of_;  // by rank
  std::vector<List> lists_;
  std::vector<std::vector<uint64_t>> bits_;  // by level, ranks first; the last is one word
};

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

template <class Queue, class Rank, class Result>
void merge_with_queue(Queue& queue, std::vector<MergePart>& parts, Rank rank, Result result) {
  const auto propose = [&](int32_t left) {
    if (left < 0 || parts[static_cast<size_t>(left)].next < 0) return;
    const MergePart& part = parts[static_cast<size_t>(left)];
    const uint32_t r = rank(part, parts[static_cast<size_t>(part.next)]);
    if (r != IdMap::kNone) queue.push(r, left);
  };
  for (size_t i = 0; i < parts.size(); ++i) propose(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const auto [r, left] = queue.pop();
    const MergePart& part = parts[static_cast<size_t>(left)];
    if (part.length == 0 || part.next < 0) continue;
    const MergePart& right = parts[static_cast<size_t>(part.next)];
    if (rank(part, right) != r) continue;
    join_with_next(parts, left, result(part, right, r));
    propose(part.previous);
    propose(left);
  }
}

/// Merges parts until none can be: rank(left, right) is the pair's place in the order of merges, below n_ranks, or
/// IdMap::kNone; result(left, right, rank) the token it becomes. The lowest rank first, then the leftmost. Parts merged
/// away have length 0 or are gone.
template <class Rank, class Result>
void merge_by_rank(std::vector<MergePart>& parts, size_t n_ranks, Rank rank, Result result) {
  constexpr size_t kFew = 24, kMany = 4096;
  if (parts.size() > kMany) {
    MergeLists queue(n_ranks);
    return merge_with_queue(queue, parts, rank, result);
  }
  if (parts.size() > kFew) {
    MergeHeap queue;
    return merge_with_queue(queue, parts, rank, result);
  }
  // As most words are: no queue, no list.
  std::array<uint32_t, kFew> ranks;
  size_t n = parts.size();
  for (size_t i = 0; i + 1 < n; ++i) ranks[i] = rank(parts[i], parts[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == IdMap::kNone) break;
    parts[best].id = result(parts[best], parts[best + 1], ranks[best]);
    parts[best].length += parts[best + 1].length;
    --n;
    for (size_t i = best + 1; i < n; ++i) {
      parts[i] = parts[i + 1];
      if (i + 1 < n) ranks[i] = ranks[i + 1];
    }
    if (best + 1 < n) ranks[best] = rank(parts[best], parts[best + 1]);
    if (best > 0) ranks[best - 1] = rank(parts[best - 1], parts[best]);
  }
  parts.resize(n);
}

}  // namespace godwit
