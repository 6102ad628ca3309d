// Mixtures of experts in use: what is not finite fails by name and alone.
#include <cmath>
#include <limits>

#include "engine/engine_harness.h"

namespace godwit {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Tensor parameter(const OpenModel& open, const std::string& name) {
  for (const Parameter& p : open.weights->parameters())
    if (p.name == name) return p.tensor;
  throw std::runtime_error(name);
}

RunnerOptions small_steps() {
  RunnerOptions options = best_level();
  options.context = 128;
  options.chunk = 64;
  options.sequences = 8;
  options.threads = 2;
  return options;
}

Request plain_request(std::vector<TokenId> prompt) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = 6;
  request.sampling.greedy = true;
  return request;
}

/// The answer's ids, or the error's text.
std::string answer(Completion& completion) {
  std::string ids;
  try {
    while (const auto id = completion.next()) ids += std::to_string(*id) + " ";
    return ids;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kFailed) << e.what();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    EXPECT_EQ(completion.outcome().finish, Finish::kFailed);
    return std::string("error: ") + e.what();
  }
}

TEST(Mixture, ARouterThatIsNotFiniteFailsByName) {
  for (const auto& [name, layer] : {std::pair{"qwen3moe-norm", 3}, {"deepseek3-groups", 1}, {"gptoss-clamp", 0}}) {
    for (const float bad : {kNan, std::numeric_limits<float>::infinity()}) {
      const auto open = opened(oracle(std::string("tiny/") + name));
      const std::string router = fmt::format("blk.{}.ffn_gate_inp.weight", layer);
      const Tensor weight = parameter(*open, router);
      for (int64_t i = 0; i < weight.width(); ++i) weight.f32()[i] = bad;
      Runner runner(*open, small_steps());
      Engine engine(runner);
      for (int round = 0; round < 2; ++round) {  // the engine survives it
        Completion one = engine.submit(plain_request({1, 2, 3})), other = engine.submit(plain_request({4, 5}));
        for (Completion* completion : {&one, &other}) {
          const std::string text = answer(*completion);
          EXPECT_EQ(text.find("error: "), 0U) << text;
          EXPECT_NE(text.find(router), std::string::npos) << text;
        }
      }
      EXPECT_EQ(runner.pool().used_bytes(), 0);
    }
  }
}

// One token's embedding is not finite: only who uses it fails, and the others get what they get alone.
TEST(Mixture, WhatIsNotFiniteFailsAlone) {
  constexpr TokenId kBad = 7;
  for (const char* name : {"qwen3moe-norm", "deepseek3-groups"}) {
    const auto open = opened(oracle(std::string("tiny/") + name));
    const Tensor table = parameter(*open, "token_embd.weight");
    ASSERT_EQ(table.dtype, DType::kF32);
    for (int64_t i = 0; i < table.width(); ++i) table.f32()[kBad * table.width() + i] = kNan;
    std::vector<Request> requests;
    for (int i = 0; i < 6; ++i) {
      std::vector<TokenId> prompt;
      for (const TokenId id : random_ids(static_cast<uint64_t>(i), 9 + 5 * i, open->model->vocab_size()))
        prompt.push_back(id == kBad ? 8 : id);
      if (i == 3) prompt[4] = kBad;
      requests.push_back(plain_request(prompt));
      requests.back().n_tokens = kBad;  // only ids below it are chosen
    }
    std::vector<std::string> alone;
    for (const Request& request : requests) {
      Runner runner(*open, small_steps());
      Engine engine(runner);
      Completion completion = engine.submit(request);
      alone.push_back(answer(completion));
    }
    Runner runner(*open, small_steps());
    Engine engine(runner);
    std::vector<Completion> together;
    for (const Request& request : requests) together.push_back(engine.submit(request));
    for (size_t i = 0; i < together.size(); ++i) {
      const std::string text = answer(together[i]);
      EXPECT_EQ(text.find("error: ") == 0, i == 3) << name << " " << i << ": " << text;
      if (i == 3) continue;
      EXPECT_EQ(text, alone[i]) << name << " " << i;
    }
    EXPECT_NE(alone[3].find("ffn_gate_inp.weight"), std::string::npos) << alone[3];
  }
}

}  // namespace
}  // namespace godwit
