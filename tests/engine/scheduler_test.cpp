#include "engine/scheduler.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace godwit {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Room is counted in pages of one byte.
ScheduleLimits limits_of(int64_t chunk, int64_t rows, int64_t pages) {
  return {.chunk = chunk, .rows = rows, .snapshot_every = 0, .budget_bytes = pages, .bytes_for = [](int64_t n) {
            return (n + 63) / 64;
          }};
}
SequenceLoad waiting_load(int64_t order, int64_t known, int64_t most) {
  return {.order = order, .fed = 0, .known = known, .most = most, .running = false};
}
SequenceLoad running(int64_t order, int64_t fed, int64_t known, int64_t most) {
  return {.order = order, .fed = fed, .known = known, .most = most, .running = true};
}
/// One that has generated as far as `known`.
SequenceLoad decoding(int64_t order, int64_t known, int64_t most) { return running(order, known - 1, known, most); }

std::vector<int64_t> tokens_of(const Plan& plan) {
  std::vector<int64_t> tokens;
  for (const Plan::Row& row : plan.rows) tokens.push_back(row.tokens);
  return tokens;
}

// ---------------------------------------------------------------- a step's tokens

TEST(Scheduler, NothingToDo) {
  const Plan plan = plan_step({}, limits_of(512, 8, 100));
  EXPECT_THAT(plan.rows, IsEmpty());
  EXPECT_THAT(plan.admit, IsEmpty());
}

TEST(Scheduler, OneAloneHasTheWholeChunk) {
  const ScheduleLimits limits = limits_of(512, 8, 100);
  Plan plan = plan_step(std::vector{waiting_load(0, 1300, 2000)}, limits);
  EXPECT_THAT(plan.admit, ElementsAre(0));
  EXPECT_THAT(plan.rows, ElementsAre(Plan::Row{0, 512}));
  plan = plan_step(std::vector{running(0, 1024, 1300, 2000)}, limits);
  EXPECT_THAT(plan.admit, IsEmpty());
  EXPECT_THAT(plan.rows, ElementsAre(Plan::Row{0, 276}));
}

TEST(Scheduler, DecodingDoesNotWaitForALongPrompt) {
  const std::vector loads = {running(0, 512, 100000, 100100), decoding(1, 50, 90), decoding(2, 70, 90)};
  EXPECT_THAT(tokens_of(plan_step(loads, limits_of(512, 8, 10000))), ElementsAre(510, 1, 1));
}

TEST(Scheduler, AShortPromptDoesNotWaitForALongOne) {
  const std::vector loads = {running(0, 512, 100000, 100100), waiting_load(1, 10, 90)};
  EXPECT_THAT(tokens_of(plan_step(loads, limits_of(512, 8, 10000))), ElementsAre(502, 10));
}

TEST(Scheduler, WhatOneCannotUseGoesToTheOthers) {
  const std::vector loads = {running(0, 0, 5000, 5001), decoding(1, 50, 90), waiting_load(2, 20, 90),
                             waiting_load(3, 5000, 5001)};
  EXPECT_THAT(tokens_of(plan_step(loads, limits_of(100, 8, 10000))), ElementsAre(39, 1, 20, 40));
}

TEST(Scheduler, RowsEndWhereSnapshotsAreTaken) {
  ScheduleLimits limits = limits_of(512, 8, 1000);
  limits.snapshot_every = 256;
  const std::vector loads = {running(0, 200, 5000, 5001), waiting_load(1, 5000, 5001), running(2, 256, 300, 310)};
  EXPECT_THAT(tokens_of(plan_step(loads, limits)), ElementsAre(56, 256, 44));
}

TEST(Scheduler, WithoutTokensToFeedThereIsNoRow) {
  const std::vector loads = {running(0, 10, 10, 90), decoding(1, 50, 90)};
  const Plan plan = plan_step(loads, limits_of(512, 8, 10));
  EXPECT_THAT(plan.rows, ElementsAre(Plan::Row{1, 1}));
  EXPECT_THAT(plan.preempt, IsEmpty());
}

TEST(Scheduler, NoMoreRunThanTheChunkHasTokens) {
  const std::vector loads = {waiting_load(0, 9, 90), waiting_load(1, 9, 90), waiting_load(2, 9, 90),
                             waiting_load(3, 9, 90)};
  EXPECT_THAT(tokens_of(plan_step(loads, limits_of(3, 8, 100))), ElementsAre(1, 1, 1));
  EXPECT_THAT(tokens_of(plan_step(loads, limits_of(512, 2, 100))), ElementsAre(9, 9));
}

// ---------------------------------------------------------------- memory

TEST(Scheduler, TheQueueIsByOrderNotByIndex) {
  const std::vector loads = {waiting_load(7, 64, 1000), waiting_load(3, 64, 1000), waiting_load(5, 64, 1000)};
  EXPECT_THAT(plan_step(loads, limits_of(512, 2, 100)).admit, ElementsAre(1, 2));
}

TEST(Scheduler, RefusesWhatCouldNeverFinish) {
  const Plan plan = plan_step(std::vector{waiting_load(0, 10, 641), waiting_load(1, 10, 640)}, limits_of(512, 8, 10));
  EXPECT_THAT(plan.refuse, ElementsAre(0));
  EXPECT_THAT(plan.admit, ElementsAre(1));
}

TEST(Scheduler, AClaimIsAQuarterMoreAtLeastAPageAtMostAll) {
  EXPECT_EQ(claimed_tokens(waiting_load(0, 10, 10000)), 74);
  EXPECT_EQ(claimed_tokens(waiting_load(0, 1000, 10000)), 1250);
  EXPECT_EQ(claimed_tokens(waiting_load(0, 1000, 1010)), 1010);
}

TEST(Scheduler, AdmitsOnClaims) {
  // Both know 2 pages and claim 3. That they may become 5 pages each keeps nobody waiting_load.
  const std::vector loads = {decoding(0, 128, 320), waiting_load(1, 128, 320)};
  EXPECT_THAT(plan_step(loads, limits_of(512, 8, 6)).admit, ElementsAre(1));
  const Plan plan = plan_step(loads, limits_of(512, 8, 5));
  EXPECT_THAT(plan.admit, IsEmpty());
  EXPECT_THAT(plan.preempt, IsEmpty());
  EXPECT_THAT(plan.rows, ElementsAre(Plan::Row{0, 1}));
}

TEST(Scheduler, GoesOnWithRoomForWhatIsKnown) {
  EXPECT_THAT(plan_step(std::vector{decoding(0, 640, 1280), decoding(1, 640, 1280)}, limits_of(512, 8, 20)).preempt,
              IsEmpty());
  // A prompt that is being fed has its room from the start.
  EXPECT_THAT(plan_step(std::vector{running(0, 1, 641, 1280), decoding(1, 640, 1280)}, limits_of(512, 8, 20)).preempt,
              ElementsAre(1));
}

TEST(Scheduler, PreemptsTheLastWhenTheFirstGrow) {
  const std::vector loads = {decoding(0, 641, 1280), decoding(1, 320, 1280), decoding(2, 320, 1280)};
  const Plan plan = plan_step(loads, limits_of(512, 8, 20));
  EXPECT_THAT(plan.preempt, ElementsAre(2));
  EXPECT_THAT(plan.rows, ElementsAre(Plan::Row{0, 1}, Plan::Row{1, 1}));
}

TEST(Scheduler, TheFirstIsNeverPreempted) {
  const std::vector loads = {decoding(5, 64, 1280), decoding(4, 1280, 1280), decoding(6, 64, 128)};
  EXPECT_THAT(plan_step(loads, limits_of(512, 8, 20)).preempt, ElementsAre(0, 2));
}

TEST(Scheduler, ThePreemptedComeBackBeforeNewcomers) {
  const std::vector loads = {decoding(0, 640, 1280), waiting_load(1, 320, 1280), waiting_load(2, 320, 1280)};
  EXPECT_THAT(plan_step(loads, limits_of(512, 8, 20)).admit, ElementsAre(1));
}

TEST(Scheduler, SmallOnesOvertakeALargeOneAndMakeWayForIt) {
  std::vector loads = {decoding(0, 640, 700), waiting_load(1, 1280, 1280), waiting_load(2, 64, 128)};
  const ScheduleLimits limits = limits_of(512, 8, 24);
  EXPECT_THAT(plan_step(loads, limits).admit, ElementsAre(2));
  // The first has ended: those before the large one leave it room now, and there is not enough for both.
  loads = {waiting_load(1, 1500, 1536), decoding(2, 65, 128)};
  const Plan plan = plan_step(loads, limits);
  EXPECT_THAT(plan.admit, ElementsAre(0));
  EXPECT_THAT(plan.preempt, ElementsAre(1));
  EXPECT_THAT(plan.rows, ElementsAre(Plan::Row{0, 512}));
}

TEST(Scheduler, WithFewerRowsTheLastArePreempted) {
  const std::vector loads = {decoding(0, 64, 100), decoding(1, 64, 100), decoding(2, 64, 100)};
  EXPECT_THAT(plan_step(loads, limits_of(512, 2, 24)).preempt, ElementsAre(2));
  EXPECT_THAT(plan_step(loads, limits_of(1, 8, 24)).preempt, ElementsAre(1, 2));
}

TEST(Scheduler, StatesOfOneSizeAreCountedByTheirSize) {
  ScheduleLimits limits = limits_of(512, 8, 30);
  limits.bytes_for = [](int64_t) { return int64_t{10}; };
  const std::vector loads = {waiting_load(0, 100, 1000000), waiting_load(1, 5, 10), waiting_load(2, 5, 10),
                             waiting_load(3, 5, 10)};
  EXPECT_THAT(plan_step(loads, limits).admit, ElementsAre(0, 1, 2));
}

// ---------------------------------------------------------------- many steps

/// Feeds the plan; who has been fed all chooses a token, and ends at `most`.
void carry_out(const Plan& plan, std::vector<SequenceLoad>& loads) {
  for (size_t i : plan.preempt) loads[i].running = false, loads[i].fed = 0;
  for (size_t i : plan.admit) loads[i].running = true;
  for (const Plan::Row& row : plan.rows) {
    SequenceLoad& s = loads[row.sequence];
    s.fed += row.tokens;
    if (s.fed == s.known) ++s.known;
  }
  std::erase_if(loads, [](const SequenceLoad& s) { return s.known == s.most; });
}

TEST(Scheduler, AStreamOfShortOnesDoesNotStarveALongOne) {
  // In each step comes a prompt of 200 tokens, more than there is time for. The long one has a quarter of each step.
  std::vector<SequenceLoad> loads = {waiting_load(0, 20000, 20010)};
  for (int64_t steps = 0; loads[0].order == 0; ++steps) {
    carry_out(plan_step(loads, limits_of(128, 4, 330)), loads);
    loads.push_back(waiting_load(steps + 1, 200, 210));
    ASSERT_LT(steps, 20000 / (128 / 4) + 10);
  }
}

TEST(Scheduler, AStreamOfSmallOnesDoesNotKeepALargeOneOut) {
  // The large one needs the whole budget; small ones come all the time and would always find room.
  std::vector<SequenceLoad> loads = {waiting_load(0, 64, 300), waiting_load(1, 600, 640)};
  for (int64_t step = 0; loads[0].order == 0; ++step) {
    carry_out(plan_step(loads, limits_of(512, 8, 10)), loads);
    loads.push_back(waiting_load(step + 2, 10, 20));
    ASSERT_LT(step, 240);
  }
  ASSERT_EQ(loads[0].order, 1);
  EXPECT_FALSE(loads[0].running);
  const Plan plan = plan_step(loads, limits_of(512, 8, 10));
  EXPECT_THAT(plan.admit, ElementsAre(0));
  EXPECT_THAT(plan.rows, ElementsAre(Plan::Row{0, 512}));
}

TEST(Scheduler, NonsenseIsABug) {
#ifndef GODWIT_DEBUG  // a Bug aborts in debug builds
  EXPECT_THROW(plan_step({}, limits_of(0, 8, 10)), Bug);
  EXPECT_THROW(plan_step({}, limits_of(8, 0, 10)), Bug);
  EXPECT_THROW(plan_step(std::vector{waiting_load(0, 0, 10)}, limits_of(8, 8, 10)), Bug);
  EXPECT_THROW(plan_step(std::vector{waiting_load(0, 11, 10)}, limits_of(8, 8, 10)), Bug);
  EXPECT_THROW(plan_step(std::vector{running(0, 6, 5, 10)}, limits_of(8, 8, 10)), Bug);
  EXPECT_THROW(plan_step(std::vector{SequenceLoad{.order = 0, .fed = 1, .known = 5, .most = 10}}, limits_of(8, 8, 10)),
               Bug);
#else
  GTEST_SKIP() << "a Bug aborts in debug builds";
#endif
}

}  // namespace
}  // namespace godwit
