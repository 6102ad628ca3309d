// The pool by cases: what fits, what is shared, what is found again, and what is let go.
#include "engine/state_pool.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/state_model.h"

namespace godwit {
namespace {

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
  const auto prompts = three_remembered(pool, 64);
  Sequence used = resumed(pool, prompts[0]);
  EXPECT_EQ(used.state.absorbed, 64);
  pool.release(used.state);
  Sequence s;
  ASSERT_TRUE(s.feed(pool, random_tokens(9, 128)));  // one page is free, one has to be found: that of prompt 1
  EXPECT_EQ(found_of(pool, prompts), (std::vector<int64_t>{64, 0, 64}));
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

}  // namespace
}  // namespace godwit
