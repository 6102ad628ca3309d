// The pool against a naive model: every row that is written is a function of all tokens up to its position, and
// whatever the pool does, what a sequence can read must be the rows of its own tokens.
#include "engine/state_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <list>

#include "base/error.h"
#include "base/random.h"

namespace godwit {
namespace {

constexpr int64_t kRowBytes = 16;

StateLayout layout_of(std::vector<int64_t> windows, int64_t page_bytes = 4096) {
  StateLayout layout;
  for (int64_t window : windows) layout.groups.push_back({window, page_bytes});
  return layout;
}

std::vector<TokenId> random_tokens(uint64_t seed, int64_t n, int64_t n_ids = 1000) {
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

std::vector<TokenId> slice(const std::vector<TokenId>& tokens, size_t first, size_t last) {
  return {tokens.begin() + static_cast<std::ptrdiff_t>(first), tokens.begin() + static_cast<std::ptrdiff_t>(last)};
}

Sequence resumed(StatePool& pool, const std::vector<TokenId>& prompt, const CacheKey& key = {}) {
  Sequence s{pool.resume(prompt, key), {}, key};
  s.tokens = slice(prompt, 0, static_cast<size_t>(s.state.absorbed));
  return s;
}

int64_t pages_in_use(const SequenceState& state, size_t group) {
  int64_t n = 0;
  for (const std::byte* page : state.pages[group]) n += page != nullptr ? 1 : 0;
  return n;
}

TEST(StatePool, ReservesWholePagesWithinTheBudget) {
  const StateLayout layout = layout_of({0});
  StatePool pool(layout, 3 * 4096 + 100, 64);
  SequenceState state;
  ASSERT_TRUE(pool.reserve(state, 65));
  EXPECT_EQ(pool.used_bytes(), 2 * 4096);
  state.absorbed = 65;
  ASSERT_TRUE(pool.reserve(state, 63));
  EXPECT_EQ(pool.used_bytes(), 2 * 4096);
  const auto before = state.pages;
  EXPECT_FALSE(pool.reserve(state, 128));
  EXPECT_EQ(state.pages, before);
  EXPECT_EQ(pool.used_bytes(), 2 * 4096);
  ASSERT_TRUE(pool.reserve(state, 127));
  EXPECT_EQ(pool.free_bytes(), 100);
  const SequenceState* live[] = {&state};
  pool.check(live);
  pool.release(state);
  EXPECT_EQ(state.absorbed, 0);
  EXPECT_EQ(pool.free_bytes(), pool.total_bytes());
  pool.check({});
}

TEST(StatePool, AChangedBookIsNoticed) {
  StatePool pool(layout_of({0}), 1 << 20, 64);
  SequenceState state;
  ASSERT_TRUE(pool.reserve(state, 100));
#ifndef GODWIT_DEBUG
  EXPECT_THROW(pool.check({}), Bug);
#endif
  pool.release(state);
  pool.check({});
}

TEST(StatePool, FreedMemoryOfOneGroupServesTheOther) {
  // Pages of 4096 and 12288 bytes: first the window's group has nearly all, then the other one.
  StateLayout layout;
  layout.groups = {{0, 4096}, {64, 12288}};
  StatePool pool(layout, 40 * 4096, 64);
  SequenceState state;
  ASSERT_TRUE(pool.reserve(state, 640));  // 10 pages each: 40 * 4096
  EXPECT_EQ(pool.free_bytes(), 0);
  EXPECT_EQ(pool.resident_bytes(), 40 * 4096);
  state.absorbed = 640;
  ASSERT_TRUE(pool.reserve(state, 64));  // 64 + 256 rows that end at 704 begin at 384, with page 6
  EXPECT_EQ(pages_in_use(state, 1), 5);
  EXPECT_EQ(pages_in_use(state, 0), 11);
  // 25 pages of 4096 beside 5 of 12288: the ten of 12288 that were there at first have given their memory.
  for (state.absorbed = 704; state.absorbed < 25 * 64; state.absorbed += 64) ASSERT_TRUE(pool.reserve(state, 64));
  EXPECT_EQ(pool.resident_bytes(), 40 * 4096);
  EXPECT_FALSE(pool.reserve(state, 64));
  EXPECT_EQ(pages_in_use(state, 0), 25);
  const SequenceState* live[] = {&state};
  pool.check(live);
  pool.release(state);
  pool.check({});
}

TEST(StatePool, WindowedGroupsAreBounded) {
  for (int64_t chunk : {1, 64, 100, 512}) {
    const std::vector<int64_t> windows = {512, 1000};
    const StateLayout layout = layout_of(windows);
    // Nothing but what bytes_for says: it has to be enough.
    StatePool pool(layout, StatePool::bytes_for(layout, 100000, chunk), chunk);
    SequenceState state;
    int64_t most[2] = {};
    while (state.absorbed < 100000) {
      const int64_t n = std::min<int64_t>(chunk, 100000 - state.absorbed);
      ASSERT_TRUE(pool.reserve(state, n)) << state.absorbed;
      for (size_t g = 0; g < 2; ++g) {
        most[g] = std::max(most[g], pages_in_use(state, g));
        const int64_t oldest = std::max<int64_t>(0, state.absorbed - windows[g] + 1);
        ASSERT_NE(state.pages[g][static_cast<size_t>(oldest / kPageTokens)], nullptr);
      }
      state.absorbed += n;
    }
    for (size_t g = 0; g < 2; ++g)
      EXPECT_LE(most[g] * kPageTokens, windows[g] + std::max<int64_t>(chunk, 256) + 2 * kPageTokens) << chunk;
    pool.release(state);
  }
}

TEST(StatePool, BytesForCountsWholePages) {
  StateLayout layout;
  layout.groups = {{0, 5000}, {512, 4096}};
  EXPECT_EQ(StatePool::bytes_for(layout, 65, 512), 2 * 8192 + 2 * 4096);
  EXPECT_EQ(StatePool::bytes_for(layout, 6400, 512), 100 * 8192 + 17 * 4096);  // 1024 rows begin and end in a page: 17
}

TEST(StatePool, RewindLandsWhereAskedWithFullAttention) {
  StatePool pool(layout_of({0}), 1 << 20, 64);
  Sequence s;
  ASSERT_TRUE(s.feed(pool, random_tokens(1, 1000)));
  for (int64_t to : {999, 640, 639, 64, 1, 0}) {
    ASSERT_EQ(pool.rewind(s.state, to), to);
    s.tokens.resize(static_cast<size_t>(to));
    s.verify({0});
    EXPECT_EQ(pages_in_use(s.state, 0), (to + 63) / 64);
  }
  EXPECT_EQ(pool.free_bytes(), pool.total_bytes());
}

TEST(StatePool, RewindIsExactWithinTheSlackOfAWindow) {
  const std::vector<int64_t> windows = {0, 512};
  for (int64_t back : {1, 100, 256}) {
    StatePool pool(layout_of(windows), 4 << 20, 200);
    Sequence s;
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(s.feed(pool, random_tokens(static_cast<uint64_t>(i), 200)));
    ASSERT_EQ(pool.rewind(s.state, 4000 - back), 4000 - back);
    s.tokens.resize(static_cast<size_t>(4000 - back));
    s.verify(windows);
    ASSERT_TRUE(s.feed(pool, random_tokens(77, 200)));
    s.verify(windows);
    pool.release(s.state);
  }
  StatePool pool(layout_of(windows), 4 << 20, 200);
  Sequence s;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(s.feed(pool, random_tokens(static_cast<uint64_t>(i), 200)));
  EXPECT_EQ(pool.rewind(s.state, 3000), 0);
  EXPECT_EQ(pool.used_bytes(), 0);
}

TEST(StatePool, WritersOwnTheirLastPage) {
  StatePool pool(layout_of({0}), 1 << 20, 64);
  Sequence a;
  ASSERT_TRUE(a.feed(pool, random_tokens(1, 200)));
  pool.remember(a.state, a.tokens, a.key);
  Sequence b = a;
  b.state = *pool.fork(a.state);
  EXPECT_EQ(a.state.pages[0][2], b.state.pages[0][2]);
  EXPECT_NE(a.state.pages[0][3], b.state.pages[0][3]);
  // A rewind into a shared full page: both write there, and a third reads what was remembered.
  for (Sequence* s : {&a, &b}) {
    ASSERT_EQ(pool.rewind(s->state, 100), 100);
    s->tokens.resize(100);
  }
  ASSERT_TRUE(a.feed(pool, random_tokens(2, 50)));
  ASSERT_TRUE(b.feed(pool, random_tokens(3, 50)));
  Sequence c = resumed(pool, random_tokens(1, 200));
  EXPECT_EQ(c.state.absorbed, 199);
  for (Sequence* s : {&a, &b, &c}) s->verify({0});
  const SequenceState* live[] = {&a.state, &b.state, &c.state};
  pool.check(live);
  for (Sequence* s : {&a, &b, &c}) pool.release(s->state);
  pool.check({});
}

TEST(StatePool, ResumeLeavesOneTokenAndKeepsKeysApart) {
  StatePool pool(layout_of({0}), 1 << 20, 64);
  const auto prompt = random_tokens(1, 128);
  Sequence s;
  s.key = {"alice", 0, 0};
  ASSERT_TRUE(s.feed(pool, prompt));
  pool.remember(s.state, prompt, s.key);
  pool.release(s.state);
  EXPECT_EQ(pool.cached_bytes(), 2 * 4096);
  for (const CacheKey& other : {CacheKey{"bob", 0, 0}, CacheKey{"alice", 1, 0}, CacheKey{"alice", 0, 1}, CacheKey{}})
    EXPECT_EQ(pool.resume(prompt, other).absorbed, 0);
  const struct {
    size_t length;
    int64_t absorbed;
  } cases[] = {{0, 0}, {1, 0}, {2, 1}, {64, 63}, {65, 64}, {66, 65}, {128, 127}};
  for (const auto& c : cases) {
    Sequence r = resumed(pool, slice(prompt, 0, c.length), s.key);
    EXPECT_EQ(r.state.absorbed, c.absorbed);
    r.verify({0});
    pool.release(r.state);
  }
  auto longer = prompt;
  longer.push_back(5);
  Sequence r = resumed(pool, longer, s.key);
  EXPECT_EQ(r.state.absorbed, 128);
  pool.release(r.state);
  pool.check({});
}

TEST(StatePool, ForgetsTheLeastRecentlyUsed) {
  StatePool pool(layout_of({0}), 4 * 4096, 64);
  std::vector<std::vector<TokenId>> prompts;
  for (uint64_t i = 0; i < 3; ++i) {
    prompts.push_back(random_tokens(i, 65));
    Sequence s;
    ASSERT_TRUE(s.feed(pool, slice(prompts[i], 0, 64)));
    pool.remember(s.state, s.tokens, s.key);
    pool.release(s.state);
  }
  Sequence used = resumed(pool, prompts[0]);
  EXPECT_EQ(used.state.absorbed, 64);
  pool.release(used.state);
  Sequence s;
  ASSERT_TRUE(s.feed(pool, random_tokens(9, 128)));  // one page is free, one has to be found: that of prompt 1
  const int64_t expected[] = {64, 0, 64};
  for (size_t i = 0; i < 3; ++i) {
    Sequence r = resumed(pool, prompts[i]);
    EXPECT_EQ(r.state.absorbed, expected[i]) << i;
    pool.release(r.state);
  }
  EXPECT_FALSE(pool.reserve(s.state, 129));  // more than there is: nothing is forgotten for it
  EXPECT_EQ(pool.cached_bytes(), 2 * 4096);
  ASSERT_TRUE(pool.reserve(s.state, 128));
  EXPECT_EQ(pool.cached_bytes(), 0);
  pool.release(s.state);
  EXPECT_EQ(pool.free_bytes(), pool.total_bytes());
}

TEST(StatePool, ASequenceThatFillsThePoolGoesOnPastWhatIsRemembered) {
  StatePool pool(layout_of({0, 64}), 8 * 4096, 64);
  Sequence s;
  ASSERT_TRUE(s.feed(pool, random_tokens(1, 200)));
  pool.remember(s.state, s.tokens, s.key);
  ASSERT_TRUE(s.feed(pool, random_tokens(2, 56)));  // its last pages are remembered, and there is no room for copies
  s.verify({0, 64});
  EXPECT_EQ(pool.free_bytes(), 0);
  pool.release(s.state);
}

TEST(StatePool, AForkThatDoesNotFitChangesNothing) {
  StatePool pool(layout_of({0}), 2 * 4096, 64);
  Sequence s;
  ASSERT_TRUE(s.feed(pool, random_tokens(1, 100)));
  EXPECT_FALSE(pool.fork(s.state).has_value());
  const SequenceState* live[] = {&s.state};
  pool.check(live);
  pool.release(s.state);
}

TEST(StatePool, AWindowResumesOnlyWhereItIsWhole) {
  const std::vector<int64_t> windows = {0, 128};
  StatePool pool(layout_of(windows), 8 << 20, 64);
  const auto tokens = random_tokens(1, 2000);
  Sequence s;
  for (size_t i = 0; i < 2000; i += 50) {
    ASSERT_TRUE(s.feed(pool, slice(tokens, i, i + 50)));
    if (i + 50 == 500) pool.remember(s.state, s.tokens, s.key);
  }
  pool.remember(s.state, s.tokens, s.key);
  pool.release(s.state);
  const struct {
    size_t match;
    int64_t least, most;
  } cases[] = {
      {1990, 1990, 1990},  // within the rows kept at 2000
      {1000, 400, 512},    // the snapshot at 500, whose last page was not full: its full pages end at 448
      {480, 448, 480},
      {50, 0, 0},  // gone behind the window when 500 were remembered
  };
  for (const auto& c : cases) {
    auto prompt = slice(tokens, 0, c.match);
    prompt.push_back(-1);
    Sequence r = resumed(pool, prompt);
    EXPECT_GE(r.state.absorbed, c.least) << c.match;
    EXPECT_LE(r.state.absorbed, c.most) << c.match;
    r.verify(windows);
    ASSERT_TRUE(r.feed(pool, {7, 8, 9}));
    r.verify(windows);
    pool.release(r.state);
  }
  pool.check({});
}

/// Random operations on up to six sequences over a few documents, so that much is shared.
class RandomOperations {
 public:
  RandomOperations(uint64_t seed, std::vector<int64_t> windows, int64_t pages)
      : windows_(std::move(windows)), pool_(layout_of(windows_), pages * 4096, 100), seed_(seed) {
    for (uint64_t d = 0; d < 3; ++d) documents_.push_back(random_tokens(d, 1500));
    for (size_t i = 300; i < 1500; ++i) documents_[1][i % 300] = documents_[0][i % 300];  // a common beginning
  }

  void run(int n) {
    for (int i = 0; i < n; ++i) {
      one();
      if (::testing::Test::HasFatalFailure()) return;
      std::vector<const SequenceState*> live;
      for (const Sequence& s : sequences_) live.push_back(&s.state);
      pool_.check(live);
      ASSERT_EQ(pool_.free_bytes() + pool_.used_bytes() + pool_.cached_bytes(), pool_.total_bytes());
      ASSERT_LE(pool_.resident_bytes(), pool_.total_bytes());
      for (const Sequence& s : sequences_) s.verify(windows_);
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (Sequence& s : sequences_) pool_.release(s.state);
    pool_.check({});
    ASSERT_EQ(pool_.used_bytes(), 0);
  }
  int resumed_mid_page = 0, resumed_far = 0, refused = 0, rewound = 0, forked = 0;

 private:
  int64_t below(int64_t n) { return static_cast<int64_t>(random_bits(seed_, 7, draws_++) % static_cast<uint64_t>(n)); }

  void one() {
    const int64_t op = below(10);
    if (sequences_.empty() || (op == 0 && sequences_.size() < 6)) return start();
    auto at = std::next(sequences_.begin(), below(static_cast<int64_t>(sequences_.size())));
    if (op <= 3) {
      feed(*at, random_tokens(static_cast<uint64_t>(below(1000)), 1 + below(100)));
    } else if (op == 4) {
      const int64_t to = std::max<int64_t>(0, at->state.absorbed - below(400));
      const int64_t landed = pool_.rewind(at->state, to);
      ASSERT_TRUE(landed == to || (landed == 0 && windows_ != std::vector<int64_t>{0}));
      at->tokens.resize(static_cast<size_t>(landed));
      ++rewound;
    } else if (op == 5 && sequences_.size() < 6) {
      auto state = pool_.fork(at->state);
      if (!state.has_value()) return;
      Sequence copy = *at;
      copy.state = std::move(*state);
      sequences_.push_back(std::move(copy));
      ++forked;
    } else if (op <= 7) {
      const auto part =
          slice(at->tokens, 0, static_cast<size_t>(at->state.absorbed - below(2) * below(at->state.absorbed + 1)));
      pool_.remember(at->state, part, at->key);
      remembered_.push_back({at->key, part});
    } else if (op == 8) {
      pool_.release(at->state);
      sequences_.erase(at);
    } else if (sequences_.size() < 6) {
      start();
    }
  }

  void start() {
    const auto& document = documents_[static_cast<size_t>(below(3))];
    auto prompt = slice(document, 0, static_cast<size_t>(below(700) + 1));
    for (TokenId id : random_tokens(static_cast<uint64_t>(below(5)), below(40), 2)) prompt.push_back(id);
    Sequence s = resumed(pool_, prompt, {below(2) == 0 ? "a" : "b", 0, 0});
    const int64_t known = longest_remembered(s.key, prompt);
    ASSERT_LE(s.state.absorbed, known);
    // Where nothing is ever forgotten or let go, it is found to the token.
    if (pool_.total_bytes() > kAmple && windows_ == std::vector<int64_t>{0}) {
      ASSERT_EQ(s.state.absorbed, known);
    }
    resumed_mid_page += s.state.absorbed % kPageTokens != 0 ? 1 : 0;
    resumed_far += s.state.absorbed > 200 ? 1 : 0;
    s.verify(windows_);
    sequences_.push_back(std::move(s));
    Sequence& placed = sequences_.back();
    for (size_t i = placed.tokens.size(); i < prompt.size(); i = placed.tokens.size()) {
      if (!feed(placed, slice(prompt, i, std::min(prompt.size(), i + 100)))) break;
    }
  }

  int64_t longest_remembered(const CacheKey& key, const std::vector<TokenId>& prompt) const {
    int64_t best = 0;
    for (const auto& [k, tokens] : remembered_) {
      if (!(k == key)) continue;
      int64_t n = 0;
      while (n < static_cast<int64_t>(std::min(tokens.size(), prompt.size() - 1)) &&
             tokens[static_cast<size_t>(n)] == prompt[static_cast<size_t>(n)])
        ++n;
      best = std::max(best, n);
    }
    return best;
  }

  bool feed(Sequence& s, const std::vector<TokenId>& tokens) {
    const auto pages = s.state.pages;
    const int64_t used = pool_.used_bytes(), cached = pool_.cached_bytes(), absorbed = s.state.absorbed;
    if (s.feed(pool_, tokens)) return true;
    ++refused;
    // Refused only for want of room: what it needed at most, a copy of each last page included.
    int64_t needed = 0;
    for (size_t g = 0; g < windows_.size(); ++g)
      needed += ((absorbed + static_cast<int64_t>(tokens.size()) + 63) / 64 - (absorbed + 63) / 64 + 1) * 4096;
    EXPECT_GT(used + needed, pool_.total_bytes());
    EXPECT_EQ(s.state.pages, pages);
    EXPECT_EQ(pool_.used_bytes(), used);
    EXPECT_EQ(pool_.cached_bytes(), cached);
    EXPECT_EQ(s.state.absorbed, absorbed);
    return false;
  }

  static constexpr int64_t kAmple = int64_t{4096} * 5000;
  std::vector<int64_t> windows_;
  StatePool pool_;
  uint64_t seed_, draws_ = 0;
  std::vector<std::vector<TokenId>> documents_;
  std::list<Sequence> sequences_;
  std::vector<std::pair<CacheKey, std::vector<TokenId>>> remembered_;
};

TEST(StatePool, RandomOperationsWithAmpleRoom) {
  RandomOperations run(1, {0}, 20000);
  run.run(600);
  EXPECT_GT(run.resumed_mid_page, 20);
  EXPECT_GT(run.resumed_far, 20);
  EXPECT_EQ(run.refused, 0);
}

TEST(StatePool, RandomOperationsInATightBudget) {
  int far = 0, refused = 0, rewound = 0, forked = 0;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    for (const auto& windows : {std::vector<int64_t>{0}, {0, 128}, {100}, {300, 64, 0}}) {
      RandomOperations run(seed, windows, static_cast<int64_t>(windows.size()) * 30);
      run.run(150);
      ASSERT_FALSE(HasFatalFailure()) << seed;
      far += run.resumed_far, refused += run.refused, rewound += run.rewound, forked += run.forked;
    }
  }
  EXPECT_GT(far, 20);
  EXPECT_GT(refused, 20);
  EXPECT_GT(rewound, 20);
  EXPECT_GT(forked, 20);
}

}  // namespace
}  // namespace godwit
