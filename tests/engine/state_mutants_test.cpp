// States that are wrong on purpose: the laws of state must see each of them.
#include <gmock/gmock.h>

#include "engine/state_laws.h"
#include "engine/toy_mixers.h"

namespace godwit {
namespace {

const auto kSeen = testing::HasSubstr(": value ");  // bits differ

class StateMutants : public testing::Test {
 protected:
  static RunnerOptions options() {
    RunnerOptions o = best_level();
    o.cache = {DType::kF32, DType::kF32};
    o.exact = true;
    o.chunk = 100;
    return o;
  }
  static std::unique_ptr<OpenModel> toy(const ToyFault& fault = {}) { return toy_stack(DType::kF32, fault); }
  static std::vector<TokenId> ids() { return random_ids(7, 80, 61); }
  static size_t record_bytes(const OpenModel& open) {
    return static_cast<size_t>(open.model->state_layout({DType::kF32, DType::kF32}).record_bytes);
  }
  /// The record and the pages of another request, as it left them.
  struct Other {
    std::vector<std::byte> record;
    std::vector<std::vector<std::byte>> first_page;  // by group
  };
  static Other other(const OpenModel& open) {
    RunnerOptions o = options();
    o.context = 100;
    Runner runner(open, o);
    SequenceState state;
    runner.feed(state, random_ids(99, 70, 61), Want::kNone, {});
    Other result;
    const auto copy = [](const std::byte* from, int64_t n) { return std::vector<std::byte>(from, from + n); };
    if (state.record != nullptr) result.record = copy(state.record, runner.layout().record_bytes);
    for (size_t g = 0; g < state.pages.size(); ++g)
      result.first_page.push_back(copy(state.pages[g][0], runner.layout().groups[g].page_bytes));
    runner.pool().release(state);
    return result;
  }
};

TEST_F(StateMutants, NoneIsSeenWithoutAFault) {
  const auto open = toy();
  StateLaws laws(*open, options(), ids());
  EXPECT_EQ(laws.broken_by_resume(1, true), "");
  EXPECT_EQ(laws.broken_by_preemption(), "");
  EXPECT_EQ(laws.broken_by_rewind({3}), "");
  EXPECT_EQ(laws.broken_by_fork(), "");
}

// Resuming gives pages but not the record: it is zero, or still that of the request which had the slot.
TEST_F(StateMutants, ARecordNotRestored) {
  const auto open = toy();
  const size_t bytes = record_bytes(*open);
  const Other before = other(*open);
  StateFault zero, foreign;
  zero.resumed = [&](SequenceState& s) { std::memset(s.record, 0, bytes); };
  foreign.resumed = [&](SequenceState& s) { std::memcpy(s.record, before.record.data(), bytes); };
  for (const StateFault& fault : {zero, foreign}) {
    StateLaws laws(*open, options(), ids(), fault);
    EXPECT_THAT(laws.broken_by_resume(1, true), kSeen);
    EXPECT_THAT(laws.broken_by_preemption(), kSeen);
  }
}

// Only the values of now, or only the rows since the edge, are lost.
TEST_F(StateMutants, APartOfARecordNotRestored) {
  const auto open = toy();
  const StateLayout layout = open->model->state_layout({DType::kF32, DType::kF32});
  for (Keep keep : {Keep::kNow, Keep::kEdge, Keep::kSinceEdge}) {
    StateFault fault;
    fault.resumed = [&](SequenceState& s) {
      for (const auto& place : layout.places)
        for (const PlacedPart& p : place)
          if (p.part.keep == keep)
            std::memset(s.record + p.offset, 0, static_cast<size_t>(p.part.shape.count()) * sizeof(float));
    };
    StateLaws laws(*open, options(), ids(), fault);
    EXPECT_THAT(laws.broken_by_preemption(), kSeen) << static_cast<int>(keep);
  }
}

TEST_F(StateMutants, ASlotNotZeroed) {
  const auto open = toy();
  const Other before = other(*open);
  StateFault fault;
  fault.started = [&](SequenceState& s) { std::memcpy(s.record, before.record.data(), before.record.size()); };
  StateLaws laws(*open, options(), ids(), fault);
  EXPECT_THAT(laws.broken_by_resume(1, true), kSeen);
  EXPECT_THAT(laws.broken_by_preemption(), kSeen);
  EXPECT_THAT(laws.broken_by_rewind({3}), kSeen);
  EXPECT_THAT(laws.broken_by_fork(), kSeen);
}

// A page that has been given to another request since; in every model with pages, in each of its groups.
TEST_F(StateMutants, AStalePage) {
  std::vector<std::unique_ptr<OpenModel>> models;
  models.push_back(toy());
  for (const Architecture* a : architectures()) models.push_back(tiny(*a, DType::kF32));
  for (const auto& open : models) {
    const Other before = other(*open);
    for (size_t g = 0; g < before.first_page.size(); ++g) {
      StateFault fault;
      fault.resumed = [&](SequenceState& s) {
        std::memcpy(s.pages[g][0], before.first_page[g].data(), before.first_page[g].size());
      };
      StateLaws laws(*open, options(), random_ids(7, 80, open->model->vocab_size()), fault);
      EXPECT_THAT(laws.broken_by_resume(1, true), kSeen) << g;
      EXPECT_THAT(laws.broken_by_preemption(), kSeen) << g;
    }
  }
}

TEST_F(StateMutants, AnEdgeOffByOne) {
  for (int64_t shift : {1, -1}) {
    const auto open = toy({.edge_shift = shift});
    // The grid is still absolute, so cutting a sequence into chunks changes nothing; but what the pool takes for the
    // state at an edge is another.
    EXPECT_EQ(broken_by_chunks(*open, options(), ids(), {1, 7, 64}), "");
    StateLaws laws(*open, options(), ids());
    EXPECT_THAT(laws.broken_by_rewind({3}), kSeen) << shift;
    EXPECT_THAT(laws.broken_by_resume(1, true), kSeen) << shift;
  }
}

// The state is right but for the order of sums.
TEST_F(StateMutants, ChunksRestartedAfterAResume) {
  const auto open = toy({.restarts = true});
  EXPECT_THAT(broken_by_chunks(*open, options(), ids(), {7}), kSeen);
  StateLaws laws(*open, options(), ids());
  EXPECT_THAT(laws.broken_by_resume(50, false), kSeen);
  EXPECT_THAT(laws.broken_by_preemption(), kSeen);
  const auto right = toy();
  const auto a = all_logits(*right, options(), ids()), b = all_logits(*open, options(), ids());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4);
}

}  // namespace
}  // namespace godwit
