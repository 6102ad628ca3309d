// Whole models against transformers: the tiny models of tests/oracle/tiny, and two real ones when they are here.
#include <cmath>
#include <cstdlib>

#include "engine/engine.h"
#include "engine/harness.h"
#include "ops/ops.h"

namespace godwit {
namespace {

namespace fs = std::filesystem;

std::vector<TokenId> greedy(const OpenModel& open, RunnerOptions options, const std::vector<TokenId>& prompt,
                            size_t n_new) {
  options.context = static_cast<int64_t>(prompt.size() + n_new);
  options.chunk = std::min<int64_t>(options.chunk, options.context);
  Runner runner(open, options);
  Engine engine(runner);
  Request request;
  request.prompt = prompt;
  request.sampling.greedy = true;
  request.max_tokens = static_cast<int64_t>(n_new);
  Completion completion = engine.submit(std::move(request));
  std::vector<TokenId> ids;
  while (const auto id = completion.next()) ids.push_back(*id);
  return ids;
}

std::vector<std::string> tiny_models() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(oracle("tiny"))) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Golden, AllTinyModelsArePresent) { EXPECT_GE(tiny_models().size(), 22u); }

TEST(Golden, TinyLogits) {
  for (const std::string& name : tiny_models()) EXPECT_LE(apart_from_golden(name), 1e-5f) << name;
}

TEST(Golden, TinyGreedy) {
  for (const std::string& name : tiny_models()) {
    const GoldenFile golden(oracle("tiny/" + name + "/golden.safetensors"));
    const auto expected = golden.get<TokenId>("greedy");
    ASSERT_EQ(expected.size(), 32u) << name;
    const auto open = opened(oracle("tiny/" + name));
    EXPECT_EQ(greedy(*open, exact_options(), golden.get<TokenId>("ids"), expected.size()), expected) << name;
  }
}

/// The real model's file, or empty with a message.
std::string real_model(const std::string& file) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string folder = cache != nullptr && *cache != '\0' ? cache : std::string(home ? home : "") + "/.cache";
  const std::string path = folder + "/godwit/models/" + file;
  if (fs::exists(path)) return path;
  fmt::print(stderr, "\n**** {}: absent, so this model is NOT tested; scripts/fetch-models gets it ****\n\n", path);
  return "";
}

// log p of each next token of ids.
std::vector<double> next_log_probabilities(const OpenModel& open, RunnerOptions options,
                                           const std::vector<TokenId>& ids) {
  const auto n = static_cast<int64_t>(ids.size()), vocab = open.model->vocab_size();
  std::vector<float> logits = all_logits(open, options, ids);
  options.context = options.chunk = n;
  Runner runner(open, options);
  Context cx = runner.context();
  const Tensor all{reinterpret_cast<std::byte*>(logits.data()), DType::kF32, {n - 1, vocab}};
  return log_probabilities(cx, all, std::span(ids).subspan(1));
}

void check_real(const std::string& file, const std::string& golden_name) {
  const std::string path = real_model(file);
  if (path.empty()) return;
  const GoldenFile golden(oracle("real/" + golden_name + ".safetensors"));
  const auto open = opened(path);
  const auto expected = golden.get<float>("next");
  const auto got = next_log_probabilities(*open, exact_options(), golden.get<TokenId>("ids"));
  ASSERT_EQ(got.size(), expected.size());
  double sum = 0.0, most = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double apart = std::abs(got[i] - static_cast<double>(expected[i]));
    sum += apart;
    most = std::max(most, apart);
  }
  EXPECT_LE(sum / static_cast<double>(got.size()), 3e-5);
  EXPECT_LE(most, 5e-4);
  // The lead of the best token in greedy.0 is so wide that 8-bit activations must find it too.
  EXPECT_EQ(greedy(*open, best_level(), golden.get<TokenId>("prompt.0"), 24), golden.get<TokenId>("greedy.0"));
  for (const char* n : {"0", "1"})
    EXPECT_EQ(greedy(*open, exact_options(), golden.get<TokenId>(std::string("prompt.") + n), 24),
              golden.get<TokenId>(std::string("greedy.") + n))
        << n;
}

TEST(Golden, SmolLm2) { check_real("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2"); }
TEST(Golden, Gemma3) { check_real("gemma-3-270m.Q4_K_M.gguf", "gemma3"); }

}  // namespace
}  // namespace godwit
