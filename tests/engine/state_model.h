// A sequence that writes and reads its state as a model would: every row is a function of all tokens up to its
// position, so whatever the pool does, what a sequence can read must be the rows of its own tokens.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"
#include "engine/state_pool.h"

namespace godwit {

inline constexpr int64_t kRowBytes = 16;

inline StateLayout layout_of(std::vector<int64_t> windows, int64_t page_bytes = 4096) {
  StateLayout layout;
  for (int64_t window : windows) layout.groups.push_back({window, page_bytes});
  return layout;
}

inline std::vector<TokenId> random_tokens(uint64_t seed, int64_t n, int64_t n_ids = 1000) {
  std::vector<TokenId> tokens;
  for (int64_t i = 0; i < n; ++i)
    tokens.push_back(
        static_cast<TokenId>(random_bits(seed, 1, static_cast<uint64_t>(i)) % static_cast<uint64_t>(n_ids)));
  return tokens;
}

/// A sequence as a caller sees it, and the writing and reading that a model would do.
struct Sequence {
  SequenceState state;
  std::vector<TokenId> tokens;  // absorbed ones
  CacheKey key;

  /// What belongs to `position` in a group: depends on the key and all tokens up to there.
  std::vector<uint64_t> hashes() const {
    std::vector<uint64_t> list;
    uint64_t h = mix64(std::hash<std::string>()(key.tenant) + static_cast<uint64_t>(key.adapter));
    for (TokenId id : tokens) list.push_back(h = mix64(h ^ static_cast<uint64_t>(id)));
    return list;
  }
  std::byte* row(size_t group, int64_t position) const {
    std::byte* page = state.pages[group][static_cast<size_t>(position / kPageTokens)];
    return page == nullptr ? nullptr : page + position % kPageTokens * kRowBytes;
  }
  /// Reserves, and then writes as a step does; false when the pool is full.
  bool feed(StatePool& pool, const std::vector<TokenId>& more) {
    if (!pool.reserve(state, static_cast<int64_t>(more.size()))) return false;
    tokens.insert(tokens.end(), more.begin(), more.end());
    const auto h = hashes();
    for (size_t g = 0; g < state.pages.size(); ++g) {
      for (size_t i = static_cast<size_t>(state.absorbed); i < tokens.size(); ++i) {
        for (size_t word = 0; word < kRowBytes / 8; ++word) {
          const uint64_t value = mix64(h[i] + g * 8 + word);
          std::memcpy(row(g, static_cast<int64_t>(i)) + 8 * word, &value, 8);
        }
      }
    }
    state.absorbed = static_cast<int64_t>(tokens.size());
    return true;
  }
  /// What the next token would read is all there, and everything that is there is right.
  void verify(const std::vector<int64_t>& windows) const {
    ASSERT_EQ(state.absorbed, static_cast<int64_t>(tokens.size()));
    const auto h = hashes();
    for (size_t g = 0; g < state.pages.size(); ++g) {
      const int64_t must = windows[g] == 0 ? 0 : state.absorbed - windows[g] + 1;
      for (int64_t i = 0; i < state.absorbed; ++i) {
        const std::byte* p = row(g, i);
        ASSERT_TRUE(p != nullptr || i < must) << "group " << g << " position " << i << " of " << state.absorbed;
        if (p == nullptr) continue;
        for (size_t word = 0; word < kRowBytes / 8; ++word) {
          uint64_t value;
          std::memcpy(&value, p + 8 * word, 8);
          ASSERT_EQ(value, mix64(h[static_cast<size_t>(i)] + g * 8 + word)) << "group " << g << " position " << i;
        }
      }
    }
  }
};

inline std::vector<TokenId> slice(const std::vector<TokenId>& tokens, size_t first, size_t last) {
  return {tokens.begin() + static_cast<std::ptrdiff_t>(first), tokens.begin() + static_cast<std::ptrdiff_t>(last)};
}

inline Sequence resumed(StatePool& pool, const std::vector<TokenId>& prompt, const CacheKey& key = {}) {
  Sequence s{pool.resume(prompt, key), {}, key};
  s.tokens = slice(prompt, 0, static_cast<size_t>(s.state.absorbed));
  return s;
}

inline int64_t pages_in_use(const SequenceState& state, size_t group) {
  int64_t n = 0;
  for (const std::byte* page : state.pages[group]) n += page != nullptr ? 1 : 0;
  return n;
}

}  // namespace godwit
