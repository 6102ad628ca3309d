// Anatomy against a count of its own (tests/oracle/anatomy.py) and against what real passes count.
#include "audit/anatomy.h"

#include <gtest/gtest.h>

#include <cmath>

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

// `golden`: {least, expected, most}. The mean is rounded once for each matrix of a layer's experts.
void expect_weights(const StepCost& step, const Json& golden, const Anatomy& a) {
  double rounded = 0;
  for (const ExpertLayers& e : a.experts) rounded += 1.5 * static_cast<double>(e.layers);
  const double expected = step.total(What::kWeightBytes, 0);
  EXPECT_NEAR(expected, golden["expected"].get<double>(), rounded);
  EXPECT_EQ(expected - step.total(What::kFewerBytes, 0), golden["least"].get<double>());
  EXPECT_EQ(expected + step.total(What::kMoreBytes, 0), golden["most"].get<double>());
}

TEST(Anatomy, EqualsTheIndependentCount) {
  const Json golden = Json::parse(TempFolder::read(oracle("anatomy.json")));
  ASSERT_GE(golden.size(), 100U);
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
    EXPECT_EQ(a.n_active_params, entry["parameters"]["active"].get<int64_t>());
    EXPECT_EQ(a.n_embedding_params, entry["parameters"]["embedding"].get<int64_t>());
    EXPECT_EQ(a.weights_bytes, entry["weights_bytes"].get<int64_t>());
    EXPECT_EQ(a.state_per_token_bytes, entry["state_per_token_bytes"].get<int64_t>());
    EXPECT_EQ(a.context_length, entry["context_length"].get<int64_t>());
    const Anatomy::Batch &one = a.batches.at(1), &eight = a.batches.at(8);
    EXPECT_EQ(one.chunk.tokens, entry["chunk"].get<int64_t>());
    expect_weights(one.decode, entry["weight_bytes"]["decode"], a);
    expect_weights(eight.decode, entry["weight_bytes"]["decode_8"], a);
    expect_weights(one.chunk, entry["weight_bytes"]["chunk"], a);
    for (const Json& at : entry["at"]) {
      const auto context = at["context"].get<double>();
      SCOPED_TRACE(context);
      EXPECT_DOUBLE_EQ(one.decode.total(What::kFlops, context), at["decode_flops"].get<double>());
      EXPECT_DOUBLE_EQ(eight.decode.total(What::kFlops, context), 8 * at["decode_flops"].get<double>());
      EXPECT_DOUBLE_EQ(one.decode.total(What::kStateBytes, context), at["decode_state_bytes"].get<double>());
      EXPECT_DOUBLE_EQ(eight.decode.total(What::kStateBytes, context), 8 * at["decode_state_bytes"].get<double>());
      EXPECT_DOUBLE_EQ(a.token.total(What::kFlops, context), at["prefill_flops"].get<double>());
      if (at["chunk_state_bytes"].is_null()) continue;
      EXPECT_DOUBLE_EQ(one.chunk.total(What::kStateBytes, context), at["chunk_state_bytes"].get<double>());
    }
  }
}

// What real passes over real states count, of whatever batch.
TEST(Anatomy, EqualsTheMeterOfRealPasses) {
  for (const char* name : {"llama-plain-gqa", "ministral-layers", "qwen3-bias-window", "gemma3-window",
                           "deepseek3-groups", "gptoss-layers", "mamba-plain", "jamba-plain", "recurrentgemma-bias",
                           "lfm2moe-nobias", "falconh1-normbefore", "nemotronh-latent", "zamba2-adapters"}) {
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
      const double weights = expected.total(What::kWeightBytes, at), read = static_cast<double>(cost.weight_bytes);
      EXPECT_GE(read, weights - expected.total(What::kFewerBytes, at)) << context;
      EXPECT_LE(read, weights + expected.total(What::kMoreBytes, at)) << context;
      EXPECT_EQ(expected.total(What::kStateBytes, at), static_cast<double>(cost.state_bytes)) << context;
    }
    for (SequenceState& state : states) runner.pool().release(state);
  }
}

// Sixteen experts of which four are used, in four layers: the count over many steps of random tokens.
TEST(Anatomy, ExpertsReadAreThoseExpectedOnAverage) {
  const Json config{{"architectures", {"Qwen3MoeForCausalLM"}},
                    {"vocab_size", 512},
                    {"hidden_size", 256},
                    {"intermediate_size", 64},
                    {"moe_intermediate_size", 32},
                    {"num_hidden_layers", 4},
                    {"num_attention_heads", 4},
                    {"num_key_value_heads", 2},
                    {"head_dim", 32},
                    {"num_experts", 16},
                    {"num_experts_per_tok", 4},
                    {"max_position_embeddings", 128}};
  const TempFolder folder;
  OpenOptions how;
  how.random_seed = 7;
  how.random_type = DType::kF32;
  const auto open = opened(folder.write("config.json", config.dump()), how);
  RunnerOptions options = options_for(*open);
  options.sequences = 32;
  options.level = static_cast<int>(cpu_level());  // all count alike
  Runner runner(*open, options);
  const std::vector<int64_t> batches{1, 2, 8, 32};
  const Anatomy a = anatomy_of(*open, options, batches, 128);
  constexpr double kExpertBytes = 3.0 * 256 * 32 * 4;  // gate, up and down
  constexpr int kSteps = 30;
  for (const int64_t batch : batches) {
    SCOPED_TRACE(batch);
    const StepCost& step = a.batches.at(batch).decode;
    const double expected = step.total(What::kWeightBytes, 0), least = expected - step.total(What::kFewerBytes, 0),
                 most = expected + step.total(What::kMoreBytes, 0);
    const auto n = static_cast<double>(batch);
    const double distinct = 16 * (1 - std::pow(0.75, n));
    EXPECT_NEAR(a.expected_experts(batch), distinct, 1e-9);
    EXPECT_NEAR(most - least, 4 * (std::min(16.0, 4 * n) - 4) * kExpertBytes, 0.5);
    EXPECT_NEAR(expected - least, 4 * (distinct - 4) * kExpertBytes, 8);
    Context cx = runner.context();
    double bytes = 0;
    ExpertUse use;
    for (int i = 0; i < kSteps; ++i) {
      std::vector<SequenceState> states(static_cast<size_t>(batch));
      Batch tokens;
      for (int32_t s = 0; s < batch; ++s) {
        SequenceState& state = states[static_cast<size_t>(s)];
        ASSERT_TRUE(runner.pool().reserve(state, 1));
        const uint64_t bits = random_bits(3, static_cast<uint64_t>(i), static_cast<uint64_t>(s));
        tokens.tokens.push_back(static_cast<TokenId>(bits % 512));
        tokens.wanted.push_back(s);
        tokens.rows.push_back({.first = s, .count = 1, .past = 0, .state = &state});
      }
      Meter meter;
      cx.meter = &meter;
      cx.expert_use = &use;
      open->model->forward(cx, tokens, runner.layout(), {});
      const Cost cost = meter.total();
      EXPECT_EQ(static_cast<double>(cost.flops), step.total(What::kFlops, 0));
      EXPECT_GE(static_cast<double>(cost.weight_bytes), least);
      EXPECT_LE(static_cast<double>(cost.weight_bytes), most);
      EXPECT_EQ(cost.fewer_bytes + cost.more_bytes, 0);
      bytes += static_cast<double>(cost.weight_bytes) / kSteps;
      for (SequenceState& state : states) runner.pool().release(state);
    }
    EXPECT_EQ(use.passes, 4 * kSteps);
    EXPECT_EQ(use.tokens, 4 * kSteps * batch);
    EXPECT_NEAR(use.distinct_a_pass(), distinct, 0.04 * distinct);
    EXPECT_NEAR(bytes, expected, 0.03 * expected);
  }
}

}  // namespace
}  // namespace godwit
