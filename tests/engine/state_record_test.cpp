// The pool's records by cases: where they lie, whose they are, how far back they reach, which snapshots are kept.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/poison.h"
#include "engine/state_model.h"

namespace godwit {
namespace {

void check(const StatePool& pool, std::initializer_list<const Sequence*> live) {
  std::vector<const SequenceState*> states;
  for (const Sequence* s : live) states.push_back(&s->state);
  pool.check(states);
}

TEST(StateRecord, LayoutPutsEveryPartInItsPlace) {
  StateLayout layout;
  const auto part = [](const char* name, Keep keep, Shape shape) {
    return StatePart{.name = name, .keep = keep, .shape = shape, .dtype = DType::kF32};
  };
  layout.add_place({part("conv", Keep::kNow, {3, 16}),
                    part("ssm", Keep::kEdge, {2, 4, 8}),
                    {.name = "k", .shape = {1, 16}, .dtype = DType::kF32},
                    part("x", Keep::kSinceEdge, {5})});
  layout.add_place({part("h", Keep::kNow, {1})});
  const auto& first = layout.places[0];
  EXPECT_EQ(first[0].offset, 0);
  EXPECT_EQ(first[0].edge_offset, 3 * 16 * 4);
  EXPECT_EQ(first[1].offset, 2 * 3 * 16 * 4);
  EXPECT_EQ(first[1].edge_offset, first[1].offset);
  EXPECT_EQ(first[2].offset, 0);  // in a page
  EXPECT_EQ(first[3].offset, first[1].offset + 2 * 4 * 8 * 4);
  EXPECT_EQ(layout.places[1][0].offset, first[3].offset + 32 * 5 * 4);
  EXPECT_EQ(layout.places[1][0].edge_offset, layout.places[1][0].offset + 64);  // each begins at a line of the cache
  EXPECT_EQ(layout.record_bytes, layout.places[1][0].edge_offset + 64);
  ASSERT_EQ(layout.groups.size(), 1U);
  EXPECT_EQ(layout.groups[0].page_bytes, 64 * 16 * 4);
#ifndef GODWIT_DEBUG
  StatePart half = part("h", Keep::kNow, {1});
  half.dtype = DType::kF16;
  EXPECT_THROW(layout.add_place({half}), Bug);
#endif
}

TEST(StateRecord, IsPartOfTheBudget) {
  const StateLayout layout = layout_of({0}, true);
  EXPECT_EQ(StatePool::bytes_for(layout, 65, 64), 3 * 4096);
  StatePool pool(layout, 3 * 4096, 64);
  EXPECT_EQ(pool.snapshot_every(), 256);
  EXPECT_EQ(StatePool(layout_of({0}), 4096, 64).snapshot_every(), 0);
  Sequence a, b;
  ASSERT_TRUE(a.feed(pool, random_tokens(1, 65)));
  EXPECT_EQ(pool.free_bytes(), 0);
  EXPECT_FALSE(pool.reserve(b.state, 1));
  EXPECT_EQ(b.state.record, nullptr);
  ASSERT_EQ(pool.rewind(a.state, 64), 64);
  EXPECT_FALSE(pool.reserve(b.state, 1));  // a page is free, and a record is wanted too
  check(pool, {&a, &b});
  pool.release(a.state);
  EXPECT_EQ(a.state.record, nullptr);
  EXPECT_TRUE(pool.reserve(b.state, 1));
  pool.release(b.state);
  EXPECT_EQ(pool.free_bytes(), pool.total_bytes());
}

TEST(StateRecord, IsZeroWhenItIsGotAndPoisonedWhenItIsLetGo) {
  StatePool pool(layout_of({}, true), 4096, 64);
  SequenceState first, second;
  ASSERT_TRUE(pool.reserve(first, 10));
  std::byte* record = first.record;
  std::memset(record, 0x55, 4096);
  pool.release(first);
#if defined(GODWIT_DEBUG) && !defined(GODWIT_ASAN)
  for (int i = 0; i < 4096; ++i) ASSERT_EQ(record[i], std::byte{0xff}) << i;
#endif
  ASSERT_TRUE(pool.reserve(second, 10));
  ASSERT_EQ(second.record, record);
  for (int i = 0; i < 4096; ++i) ASSERT_EQ(record[i], std::byte{0}) << i;
  pool.release(second);
}

TEST(StateRecord, RewindReachesTheLastEdgeAndNoFarther) {
  const struct {
    int64_t from, to, landed;
  } cases[] = {{100, 100, 100}, {100, 99, 99}, {100, 96, 96}, {100, 95, 0}, {100, 64, 0},
               {96, 96, 96},    {96, 95, 0},   {31, 5, 5},    {31, 0, 0},   {20, 1, 1}};
  for (const auto& c : cases) {
    StatePool pool(layout_of({0}, true), 1 << 20, 64);
    Sequence s;
    ASSERT_TRUE(s.feed(pool, random_tokens(1, c.from)));
    ASSERT_EQ(pool.rewind(s.state, c.to), c.landed) << c.from << " to " << c.to;
    s.tokens.resize(static_cast<size_t>(c.landed));
    if (c.landed > 0) s.verify({0});
    EXPECT_EQ(s.state.record == nullptr, c.landed == 0);
    ASSERT_TRUE(s.feed(pool, random_tokens(2, 40)));
    s.verify({0});
    check(pool, {&s});
    pool.release(s.state);
  }
}

TEST(StateRecord, RewindAgainBeforeTheNextStep) {
  StatePool pool(layout_of({0}, true), 1 << 20, 64);
  Sequence s;
  ASSERT_TRUE(s.feed(pool, random_tokens(1, 60)));
  for (int64_t to : {50, 50, 41, 32}) {
    ASSERT_EQ(pool.rewind(s.state, to), to);
    s.tokens.resize(static_cast<size_t>(to));
    s.verify({0});
    EXPECT_EQ(s.state.now_at, 32);
  }
  ASSERT_TRUE(s.feed(pool, {1, 2, 3}));
  s.verify({0});
  pool.release(s.state);
}

TEST(StateRecord, ForksHaveTheirOwn) {
  StatePool pool(layout_of({0}, true), 1 << 20, 64);
  Sequence a;
  ASSERT_TRUE(a.feed(pool, random_tokens(1, 75)));
  ASSERT_EQ(pool.rewind(a.state, 70), 70);
  a.tokens.resize(70);
  Sequence b = a;
  b.state = *pool.fork(a.state);
  EXPECT_NE(a.state.record, b.state.record);
  ASSERT_TRUE(a.feed(pool, random_tokens(2, 50)));
  ASSERT_TRUE(b.feed(pool, random_tokens(3, 20)));
  for (Sequence* s : {&a, &b}) s->verify({0});
  check(pool, {&a, &b});
  for (Sequence* s : {&a, &b}) pool.release(s->state);
  Sequence empty;
  EXPECT_EQ(pool.fork(empty.state)->record, nullptr);
}

/// A prompt that shares `match` of the tokens finds `absorbed` of them, and goes on rightly with `more`.
void resumes_and_goes_on(StatePool& pool, const std::vector<TokenId>& tokens, size_t match, int64_t absorbed,
                         const std::vector<TokenId>& more, const std::vector<int64_t>& windows) {
  auto prompt = slice(tokens, 0, match);
  prompt.push_back(-1);
  Sequence r = resumed(pool, prompt);
  EXPECT_EQ(r.state.absorbed, absorbed) << match;
  if (r.state.absorbed > 0) r.verify(windows);
  ASSERT_TRUE(r.feed(pool, more));
  r.verify(windows);
  check(pool, {&r});
  pool.release(r.state);
}

TEST(StateRecord, ASnapshotServesItsChunk) {
  for (const auto& windows : {std::vector<int64_t>{0}, {}}) {
    StatePool pool(layout_of(windows, true), 1 << 20, 64);
    const auto tokens = random_tokens(1, 300);
    Sequence s;
    ASSERT_TRUE(s.feed(pool, slice(tokens, 0, 150)));
    pool.remember(s.state, s.tokens, s.key);               // [128, 150]
    pool.remember(s.state, slice(tokens, 0, 140), s.key);  // served by that one
    pool.remember(s.state, slice(tokens, 0, 100), s.key);  // its record is past
    ASSERT_TRUE(s.feed(pool, slice(tokens, 150, 256)));
    pool.remember(s.state, s.tokens, s.key);               // 256 only
    pool.remember(s.state, slice(tokens, 0, 240), s.key);  // its edge is past
    pool.release(s.state);
    const int64_t pages = windows.empty() ? 0 : 4;
    EXPECT_EQ(pool.cached_bytes(), (pages + 2) * 4096);
    const struct {
      size_t match;
      int64_t absorbed;
    } cases[] = {{300, 256}, {256, 256}, {255, 150}, {151, 150}, {150, 150}, {149, 149}, {128, 128}, {127, 0}, {64, 0}};
    for (const auto& c : cases) {
      resumes_and_goes_on(pool, tokens, c.match, c.absorbed, random_tokens(9, 50), windows);
    }
  }
}

TEST(StateRecord, OfAChunkOnlyTheLongestSnapshotIsKept) {
  StatePool pool(layout_of({}, true), 1 << 20, 64);
  Sequence s;
  for (TokenId id : random_tokens(1, 64)) {
    ASSERT_TRUE(s.feed(pool, {id}));
    pool.remember(s.state, s.tokens, s.key);
  }
  EXPECT_EQ(pool.cached_bytes(), 3 * 4096);  // at 31, 63 and 64
  for (size_t n = 2; n <= 64; ++n) {
    Sequence r = resumed(pool, slice(s.tokens, 0, n));
    EXPECT_EQ(r.state.absorbed, static_cast<int64_t>(n) - 1);
    r.verify({});
    pool.release(r.state);
  }
  pool.release(s.state);
}

// Runs of pages that begin alike: the record lies with one of them, the longest match with another.
TEST(StateRecord, FoundWithASequenceThatWentAnotherWay) {
  const auto common = random_tokens(1, 110);
  for (bool longer : {false, true}) {
    StatePool pool(layout_of({0}, true), 1 << 20, 64);
    Sequence a, b;
    ASSERT_TRUE(a.feed(pool, slice(common, 0, 100)));
    pool.remember(a.state, a.tokens, a.key);
    ASSERT_TRUE(a.feed(pool, {5000, 5001}));
    if (longer) pool.remember(a.state, a.tokens, a.key);
    ASSERT_TRUE(b.feed(pool, common));
    ASSERT_TRUE(b.feed(pool, random_tokens(3, 60)));
    pool.remember(b.state, b.tokens, b.key);
    auto prompt = common;
    prompt.push_back(-1);
    Sequence r = resumed(pool, prompt);
    EXPECT_EQ(r.state.absorbed, 100);
    r.verify({0});
    check(pool, {&a, &b, &r});
    for (Sequence* s : {&a, &b, &r}) pool.release(s->state);
  }
}

TEST(StateRecord, APositionAtAPageIsServedByTheNextPagesChunk) {
  StatePool pool(layout_of({0}, true), 1 << 20, 64);
  Sequence s;
  ASSERT_TRUE(s.feed(pool, random_tokens(1, 70)));
  pool.remember(s.state, s.tokens, s.key);
  for (bool more : {false, true}) {
    auto prompt = slice(s.tokens, 0, 64);
    prompt.push_back(-1);
    if (more) prompt.push_back(-2);
    Sequence r = resumed(pool, prompt);
    EXPECT_EQ(r.state.absorbed, 64);
    r.verify({0});
    pool.release(r.state);
  }
  pool.release(s.state);
}

TEST(StateRecord, SnapshotsGoInTheOrderOfTheirUse) {
  StatePool pool(layout_of({}, true), 4 * 4096, 64);
  const auto prompts = three_remembered(pool, 40);
  Sequence used = resumed(pool, prompts[0]);
  EXPECT_EQ(used.state.absorbed, 40);
  Sequence s;
  ASSERT_TRUE(s.feed(pool, random_tokens(9, 40)));  // of four one is used, one is wanted: that of prompt 1 goes
  pool.release(used.state);
  EXPECT_EQ(found_of(pool, prompts), (std::vector<int64_t>{40, 0, 40}));
  check(pool, {&s});
  pool.release(s.state);
}

// A long prompt remembered as it grows: where the room ends, its own older snapshots go before its pages.
TEST(StateRecord, OlderSnapshotsOfAPromptGoFirst) {
  StatePool pool(layout_of({0}, true), 20 * 4096, 256);
  const auto tokens = random_tokens(1, 1025);
  Sequence s;
  for (size_t i = 0; i < 1024; i += 256) {
    ASSERT_TRUE(s.feed(pool, slice(tokens, i, i + 256)));
    pool.remember(s.state, s.tokens, s.key);
  }
  EXPECT_EQ(pool.used_bytes(), 17 * 4096);
  EXPECT_EQ(pool.cached_bytes(), 3 * 4096);
  pool.release(s.state);
  Sequence r = resumed(pool, tokens);
  EXPECT_EQ(r.state.absorbed, 1024);
  r.verify({0});
  pool.release(r.state);
  Sequence early = resumed(pool, slice(tokens, 0, 300));  // that at 256 went when the one at 1024 came
  EXPECT_EQ(early.state.absorbed, 0);
  pool.release(early.state);
  Sequence middle = resumed(pool, slice(tokens, 0, 600));
  EXPECT_EQ(middle.state.absorbed, 512);
  middle.verify({0});
  pool.release(middle.state);
  pool.check({});
}

TEST(StateRecord, ResumeWithoutRoomIsEmpty) {
  StatePool pool(layout_of({0}, true), 6 * 4096, 64);
  const auto tokens = random_tokens(1, 64);
  Sequence s;
  ASSERT_TRUE(s.feed(pool, tokens));
  pool.remember(s.state, s.tokens, s.key);  // a page, a record, a snapshot
  Sequence other;
  ASSERT_TRUE(other.feed(pool, random_tokens(2, 128)));
  auto prompt = tokens;
  prompt.push_back(-1);
  Sequence r = resumed(pool, prompt);
  EXPECT_EQ(r.state.absorbed, 0);
  EXPECT_EQ(r.state.record, nullptr);
  check(pool, {&s, &other, &r});
  pool.release(other.state);
  Sequence again = resumed(pool, prompt);
  EXPECT_EQ(again.state.absorbed, 64);  // the snapshot is still there
  again.verify({0});
  for (Sequence* q : {&s, &r, &again}) pool.release(q->state);
  pool.check({});
}

TEST(StateRecord, AWindowAndARecordResumeWhereBothAreWhole) {
  const std::vector<int64_t> windows = {0, 128};
  StatePool pool(layout_of(windows, true), 8 << 20, 64);
  const auto tokens = random_tokens(1, 2010);
  Sequence s;
  for (size_t i = 0; i < 2000; i += 64) {
    ASSERT_TRUE(s.feed(pool, slice(tokens, i, std::min<size_t>(i + 64, 2000))));
    if (s.state.absorbed % 512 == 0) pool.remember(s.state, s.tokens, s.key);
  }
  pool.remember(s.state, s.tokens, s.key);
  pool.release(s.state);
  const struct {
    size_t match;
    int64_t absorbed;
  } cases[] = {{2010, 2000}, {1990, 1990}, {1984, 1984}, {1983, 1536},
               {1536, 1536}, {1535, 1024}, {1000, 512},  {511, 0}};
  for (const auto& c : cases) {
    resumes_and_goes_on(pool, tokens, c.match, c.absorbed, {7, 8, 9}, windows);
  }
}

}  // namespace
}  // namespace godwit
