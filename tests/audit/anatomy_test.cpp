// Anatomy against a count of its own (tests/oracle/anatomy.py) and against what real passes count.
#include "audit/anatomy.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "engine/harness.h"
#include "temp_folder.h"

namespace godwit {
namespace {

using What = StepCost::What;

RunnerOptions options_for(const OpenModel& open) {
  RunnerOptions options;
  options.context = open.model->context_length();
  options.chunk = std::min<int64_t>(512, options.context);
  return options;
}

TEST(Anatomy, EqualsTheIndependentCount) {
  const Json golden = Json::parse(TempFolder::read(oracle("anatomy.json")));
  ASSERT_GE(golden.size(), 20U);
  const TempFolder folder;
  for (const Json& entry : golden) {
    const std::string name = entry.contains("folder") ? entry["folder"] : entry["config"]["architectures"][0];
    SCOPED_TRACE(name);
    OpenOptions how;
    std::string path = oracle("tiny/" + name);
    if (entry.contains("config")) {
      how.random_seed = 1;
      path = folder.write("config.json", entry["config"].dump());
    }
    const auto open = open_model(path, how);
    const Anatomy a = anatomy_of(*open, options_for(*open), {1, 8}, open->model->context_length());
    EXPECT_EQ(a.n_params, entry["parameters"]["total"].get<int64_t>());
    EXPECT_EQ(a.n_active_params, a.n_params);
    EXPECT_EQ(a.n_embedding_params, entry["parameters"]["embedding"].get<int64_t>());
    EXPECT_EQ(a.weights_bytes, entry["weights_bytes"].get<int64_t>());
    EXPECT_EQ(a.state_per_token_bytes, entry["state_per_token_bytes"].get<int64_t>());
    EXPECT_EQ(a.context_length, entry["context_length"].get<int64_t>());
    const Anatomy::Batch& one = a.batches.at(1);
    EXPECT_EQ(one.chunk.tokens, entry["chunk"].get<int64_t>());
    for (const Json& at : entry["at"]) {
      const auto context = at["context"].get<double>();
      SCOPED_TRACE(context);
      const auto bytes = [&](const StepCost& step) {
        return step.total(What::kWeightBytes, context) + step.total(What::kStateBytes, context);
      };
      EXPECT_EQ(one.decode.total(What::kFlops, context), at["decode_flops"].get<double>());
      EXPECT_EQ(bytes(one.decode), at["decode_bytes"].get<double>());
      EXPECT_EQ(a.token.total(What::kFlops, context), at["prefill_flops"].get<double>());
      if (at["chunk_bytes"].is_null()) continue;
      EXPECT_EQ(bytes(one.chunk), at["chunk_bytes"].get<double>());
    }
  }
}

// What real passes over real states count, of whatever batch.
TEST(Anatomy, EqualsTheMeterOfRealPasses) {
  for (const char* name : {"llama-plain-gqa", "ministral-layers", "qwen3-bias-window", "gemma3-window"}) {
    SCOPED_TRACE(name);
    const auto open = opened(oracle(std::string("tiny/") + name));
    RunnerOptions options = options_for(*open);
    options.sequences = 3;
    const Anatomy a = anatomy_of(*open, options, {1, 3}, open->model->context_length());
    Runner runner(*open, options);
    Context cx = runner.context();
    std::vector<SequenceState> states(3);
    for (int64_t context : {int64_t{0}, int64_t{5}, int64_t{8}, int64_t{40}}) {
      const StepCost& expected = a.batches.at(3).decode;
      Batch batch;
      for (int32_t s = 0; s < 3; ++s) {
        SequenceState& state = states[static_cast<size_t>(s)];
        const std::vector<TokenId> some(static_cast<size_t>(context - state.absorbed), 1);
        runner.feed(state, some, Want::kNone, {});
        ASSERT_TRUE(runner.pool().reserve(state, 1));
        batch.tokens.push_back(2);
        batch.wanted.push_back(s);
        batch.rows.push_back({.first = s, .count = 1, .past = context, .state = &state});
      }
      Meter meter;
      cx.meter = &meter;
      open->model->forward(cx, batch, runner.layout(), {});
      cx.meter = nullptr;
      const Cost cost = meter.total();
      const auto at = static_cast<double>(context);
      EXPECT_EQ(expected.total(What::kFlops, at), static_cast<double>(cost.flops)) << context;
      EXPECT_EQ(expected.total(What::kWeightBytes, at), static_cast<double>(cost.weight_bytes)) << context;
      EXPECT_EQ(expected.total(What::kStateBytes, at), static_cast<double>(cost.state_bytes)) << context;
    }
    for (SequenceState& state : states) runner.pool().release(state);
  }
}

}  // namespace
}  // namespace godwit
