#include "audit/sweep.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "engine/harness.h"
#include "temp_folder.h"

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

// Sequences that were copies of one another would send their tokens to the same experts, step after step.
TEST_F(SweepTest, SequencesChooseExpertsOfTheirOwn) {
  const Json config{{"architectures", {"Qwen3MoeForCausalLM"}},
                    {"vocab_size", 300},
                    {"hidden_size", 192},
                    {"intermediate_size", 64},
                    {"moe_intermediate_size", 32},
                    {"num_hidden_layers", 4},
                    {"num_attention_heads", 6},
                    {"num_key_value_heads", 2},
                    {"head_dim", 32},
                    {"num_experts", 32},
                    {"num_experts_per_tok", 4},
                    {"max_position_embeddings", 256}};
  const TempFolder folder;
  OpenOptions how;
  how.random_seed = 3;
  open_ = opened(folder.write("config.json", config.dump()), how);
  for (const DType type : {DType::kF32, DType::kF16, DType::kQ8_0}) {
    RunnerOptions options;
    options.context = 200;
    options.sequences = 9;
    options.cache = {type, type};
    options.level = static_cast<int>(cpu_level());
    Runner runner(*open_, options);
    Sweep sweep(runner, 1, stop_);
    sweep.advance(130);
    const ExpertUse use = sweep.decode(8, 16).experts;
    EXPECT_EQ(use.passes, 4 * decoded_tokens(16));
    EXPECT_EQ(use.tokens, 8 * use.passes);
    const double expected = 32 * (1 - std::pow(0.875, 8));
    // A block of Q8_0 has one sign, and here there are but two of them.
    EXPECT_NEAR(use.distinct_a_pass(), expected, (type == DType::kQ8_0 ? 0.2 : 0.1) * expected) << name(type);
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
