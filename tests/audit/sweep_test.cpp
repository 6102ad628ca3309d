#include "audit/sweep.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/harness.h"

namespace godwit {
namespace {

class SweepTest : public testing::Test {
 protected:
  void start(int64_t sequences, int64_t budget = 0) {
    open_ = opened(oracle("tiny/gemma3-window"));
    RunnerOptions options;
    options.context = 100;
    options.chunk = 24;
    options.sequences = sequences;
    options.state_budget = budget;
    runner_ = std::make_unique<Runner>(*open_, options);
  }
  std::unique_ptr<OpenModel> open_;
  std::unique_ptr<Runner> runner_;
  std::atomic<bool> stop_{false};
};

TEST_F(SweepTest, GrowsChunkByChunkSharedEvenly) {
  start(3);
  {
    Sweep sweep(*runner_, 3, stop_);
    auto chunks = sweep.advance(20);
    ASSERT_EQ(chunks.size(), 3U);  // 8 + 8 + 4 of each
    EXPECT_EQ(chunks[2].from, 16);
    EXPECT_EQ(chunks[2].to, 20);
    EXPECT_GT(chunks[2].seconds, 0);
    const int64_t used = runner_->pool().used_bytes();
    const DecodeTimes times = sweep.decode(2, 9);
    EXPECT_EQ(times.steps.size(), 9U);
    EXPECT_EQ(times.layers.size(), 3U);
    EXPECT_EQ(decoded_tokens(9), 12);
    EXPECT_EQ(runner_->pool().used_bytes(), used);  // the copies are gone
    chunks = sweep.advance(30);                     // on from 20
    EXPECT_EQ(chunks.front().from, 20);
    EXPECT_EQ(chunks.back().to, 30);
  }
  EXPECT_EQ(runner_->pool().used_bytes(), 0);
}

TEST_F(SweepTest, FitsWhatItSaysItTakes) {
  start(1);
  for (int64_t batch : {1, 4})
    for (int64_t context : {5, 63, 64, 65, 80}) {
      const int64_t bytes = decode_state_bytes(runner_->layout(), batch, context, 8, 24);
      start(batch, bytes);
      Sweep sweep(*runner_, 1, stop_);
      EXPECT_NO_THROW(sweep.advance(context)) << batch << " at " << context;
      EXPECT_NO_THROW(sweep.decode(batch, 8)) << batch << " at " << context;
    }
}

TEST_F(SweepTest, NoRoomIsAnErrorAndStopEndsEarly) {
  start(2, 1000);
  {
    Sweep sweep(*runner_, 2, stop_);
    EXPECT_THROW(sweep.advance(50), Error);
  }
  start(1);
  stop_ = true;
  Sweep stopped(*runner_, 1, stop_);
  EXPECT_TRUE(stopped.advance(50).empty());
  EXPECT_TRUE(stopped.decode(1, 4).steps.empty());
}

}  // namespace
}  // namespace godwit
