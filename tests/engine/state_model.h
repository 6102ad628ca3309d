// A sequence that writes and reads its state as a model would: every row is a function of all tokens up to its
// position, so whatever the pool does, what a sequence can read must be the rows of its own tokens.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"
#include "engine/state_pool.h"

namespace godwit {

inline constexpr int64_t kRowBytes = 16;

enum RecordParts : size_t { kNowPart, kEdgePart, kRowsPart };  // of place 0

/// Groups of the given windows, and perhaps a record of less than 4096 bytes with a part of each kind, 8 bytes each.
inline StateLayout layout_of(std::vector<int64_t> windows, bool record = false, int64_t page_bytes = 4096) {
  StateLayout layout;
  for (int64_t window : windows) layout.groups.push_back({window, page_bytes});
  if (record)
    layout.add_place({{.name = "now", .keep = Keep::kNow, .shape = {2}, .dtype = DType::kF32},
                      {.name = "edge", .keep = Keep::kEdge, .shape = {2}, .dtype = DType::kF32},
                      {.name = "rows", .keep = Keep::kSinceEdge, .shape = {2}, .dtype = DType::kF32}});
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
  /// A value in the record: a part's, as of now or (at_edge) of the last edge, or a position's row.
  std::byte* in_record(RecordParts part, bool at_edge = false, int64_t position = 0) const {
    static const StateLayout layout = layout_of({}, true);
    const PlacedPart& p = layout.places[0][part];
    return state.record + (at_edge ? p.edge_offset : p.offset) + position % kEdgeTokens * 8;
  }
  static uint64_t load(const std::byte* from) {
    uint64_t value;
    std::memcpy(&value, from, 8);
    return value;
  }
  static uint64_t next(uint64_t h, uint64_t id) { return mix64(h ^ (id + 1)); }
  /// As a recurrence with a value of now and one of the edge: both are the same function of the tokens before.
  void write_record() {
    const auto step = [&](int64_t position) {
      const uint64_t h = next(load(in_record(kNowPart)), load(in_record(kRowsPart, false, position)));
      std::memcpy(in_record(kNowPart), &h, 8);
    };
    for (int64_t i = state.now_at; i < state.absorbed; ++i) step(i);
    for (int64_t i = state.absorbed; i < static_cast<int64_t>(tokens.size()); ++i) {
      const auto id = static_cast<uint64_t>(tokens[static_cast<size_t>(i)]);
      std::memcpy(in_record(kRowsPart, false, i), &id, 8);
      step(i);
      if ((i + 1) % kEdgeTokens != 0) continue;
      std::memcpy(in_record(kNowPart, true), in_record(kNowPart), 8);
      uint64_t h = load(in_record(kEdgePart));
      for (int64_t j = 0; j < kEdgeTokens; ++j) h = next(h, load(in_record(kRowsPart, false, j)));
      std::memcpy(in_record(kEdgePart), &h, 8);
    }
  }
  void verify_record() const {
    uint64_t h = 0;  // what a fresh record holds
    const int64_t edge = last_edge(state.absorbed);
    ASSERT_TRUE(state.now_at == state.absorbed || state.now_at == edge) << state.now_at << " of " << state.absorbed;
    for (int64_t i = 0; i <= state.absorbed; ++i) {
      if (i == edge) {
        ASSERT_EQ(load(in_record(kNowPart, true)), h) << i;
        ASSERT_EQ(load(in_record(kEdgePart)), h) << i;
      }
      if (i == state.now_at) {
        ASSERT_EQ(load(in_record(kNowPart)), h) << i;
      }
      if (i == state.absorbed) break;
      const auto id = static_cast<uint64_t>(tokens[static_cast<size_t>(i)]);
      if (i >= edge) {
        ASSERT_EQ(load(in_record(kRowsPart, false, i)), id) << i;
      }
      h = next(h, id);
    }
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
    if (state.record != nullptr) write_record();
    state.advance(static_cast<int64_t>(more.size()));
    return true;
  }
  /// What the next token would read is all there, and everything that is there is right.
  void verify(const std::vector<int64_t>& windows) const {
    ASSERT_EQ(state.absorbed, static_cast<int64_t>(tokens.size()));
    if (state.record != nullptr) verify_record();
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

/// Three prompts of `n` tokens and one more, remembered without it in their order; all states are given back.
inline std::vector<std::vector<TokenId>> three_remembered(StatePool& pool, size_t n) {
  std::vector<std::vector<TokenId>> prompts;
  for (uint64_t i = 0; i < 3; ++i) {
    prompts.push_back(random_tokens(i, static_cast<int64_t>(n) + 1));
    Sequence s;
    EXPECT_TRUE(s.feed(pool, slice(prompts[i], 0, n)));
    pool.remember(s.state, s.tokens, s.key);
    pool.release(s.state);
  }
  return prompts;
}

/// What is found of each of the prompts.
inline std::vector<int64_t> found_of(StatePool& pool, const std::vector<std::vector<TokenId>>& prompts) {
  std::vector<int64_t> found;
  for (const auto& prompt : prompts) {
    Sequence r = resumed(pool, prompt);
    found.push_back(r.state.absorbed);
    pool.release(r.state);
  }
  return found;
}

}  // namespace godwit
