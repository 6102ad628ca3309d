// A conversation that shares its beginning with one before it, on models whose state is a record (and no window): it
// goes on from the last snapshot, and no bit differs from a cold run.
#include "engine/engine_harness.h"
#include "temp_folder.h"

namespace godwit {
namespace {

constexpr int64_t kShared = 2000, kRest = 20, kMostFedAgain = 256;

struct Answer {
  std::vector<float> logits;
  int64_t reused = 0;
};

Answer answer(Engine& engine, std::vector<TokenId> prompt, bool remember) {
  Answer result;
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = 2;
  request.remember = remember;
  request.choose = [&](std::span<const float> logits, int64_t position) {
    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
    return static_cast<TokenId>(position % 50);
  };
  Completion completion = engine.submit(std::move(request));
  while (completion.next()) continue;
  result.reused = completion.outcome().reused_tokens;
  return result;
}

class HybridPrefix : public testing::TestWithParam<const char*> {};

TEST_P(HybridPrefix, FeedsLittleOfWhatIsSharedAndGivesTheBitsOfAColdRun) {
  const TempFolder folder;
  const std::string json = R"({"architectures":["GodwitForCausalLM"],"vocab_size":50,"hidden_size":32,
      "intermediate_size":32,"num_attention_heads":2,"head_dim":16,"mamba2_state_size":16,"layers":")";
  OpenOptions open_options;
  open_options.random_seed = 3;
  const auto open = opened(folder.write("config.json", json + GetParam() + "\"}"), open_options);
  RunnerOptions o = best_level();
  o.context = kShared + kRest + 8;
  o.chunk = 128;
  o.sequences = 3;
  o.state_budget = int64_t{256} << 20;  // room for what all of them leave
  Runner runner(*open, o);
  Engine engine(runner);
  const std::vector<TokenId> first = random_ids(1, kShared, open->model->vocab_size());
  answer(engine, first, true);
  for (uint64_t draw = 0; draw < 50; ++draw) {
    const auto shared = static_cast<int64_t>(random_bits(7, draw, 0) % static_cast<uint64_t>(kShared + 1));
    std::vector<TokenId> prompt(first.begin(), first.begin() + shared);
    const auto rest = random_ids(100 + draw, kRest, open->model->vocab_size());
    prompt.insert(prompt.end(), rest.begin(), rest.end());
    const Answer warm = answer(engine, prompt, true), cold = answer(engine, prompt, false);
    EXPECT_LE(shared - warm.reused, kMostFedAgain) << shared;
    EXPECT_EQ(cold.reused, 0);
    EXPECT_TRUE(same_bits(warm.logits, cold.logits)) << shared << ": " << first_difference(warm.logits, cold.logits);
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, HybridPrefix,
                         testing::Values("2*(mamba2+mlp), attention+mlp", "mamba1, attention+mlp, rglru+mlp"),
                         [](const auto& info) {
                           return std::string(info.index == 0 ? "AttentionLast" : "AttentionBetween");
                         });

}  // namespace
}  // namespace godwit
