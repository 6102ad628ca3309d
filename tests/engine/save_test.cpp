// The law of saving: a model written to either container and opened again gives the same bits.
#include "models/save.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/runner.h"

namespace godwit {
namespace {

namespace fs = std::filesystem;

std::vector<float> logits_of(const std::string& path, const OpenOptions& options = {}) {
  const auto open = open_model(path, options);
  Runner runner(*open, {.cache = {DType::kF32, DType::kF32}, .context = 32});
  open->weights->load(runner.threads(), {});
  const std::vector<TokenId> ids{1, 2, 3, 50, 4, 5, 6, 7, 8, 9, 60, 10, 11, 12};
  std::vector<float> logits;
  SequenceState state;
  state.rope_length = static_cast<int64_t>(ids.size());
  runner.feed(state, ids, Want::kAll, [&](size_t, int64_t, Tensor slice) {
    logits.insert(logits.end(), slice.f32(), slice.f32() + slice.size());
  });
  runner.pool().release(state);
  return logits;
}

class SaveAs : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const char* name = testing::UnitTest::GetInstance()->current_test_info()->name();
    std::string folder = fmt::format("godwit_save_{}_{}", name, getpid());
    std::replace(folder.begin(), folder.end(), '/', '_');
    folder_ = fs::temp_directory_path() / folder;
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string to_gguf(const std::string& from, const char* name, const OpenOptions& options = {},
                      std::optional<DType> type = {}) {
    const auto open = open_model(from, options);
    const GgufPlan plan = plan_gguf(*open, type);
    const std::string path = (folder_ / name).string();
    write_gguf(path, plan.config, plan.tensors, {});
    return path;
  }
  std::string to_hf(const std::string& from, const char* name) {
    const auto open = open_model(from, {});
    const std::string path = (folder_ / name).string();
    write_hf_folder(path, plan_hf(*open, std::nullopt), {});
    return path;
  }

  void expect_same(const std::vector<float>& logits, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      const std::vector<float> other = logits_of(path);
      ASSERT_EQ(other.size(), logits.size()) << path;
      EXPECT_EQ(std::memcmp(other.data(), logits.data(), 4 * logits.size()), 0) << path;
    }
  }

  fs::path folder_;
};

class Save : public SaveAs {};

TEST_P(Save, BothContainersGiveTheSameBits) {
  const std::string model = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/" + GetParam();
  const std::vector<float> logits = logits_of(model);
  const std::string gguf = to_gguf(model, "a.gguf");
  const std::string again = to_hf(gguf, "b");
  const std::string twice = to_gguf(again, "c.gguf");
  expect_same(logits, {gguf, again, twice});
}

INSTANTIATE_TEST_SUITE_P(Tiny, Save,
                         testing::Values("llama-biases", "llama-yarn-mscale", "llama-llama3", "llama-longrope-long",
                                         "mistral-window", "ministral-layers", "qwen3-bias-window", "qwen3-yarn",
                                         "gemma3-window", "gemma3-softcap", "gemma3-linear", "mixtral-plain",
                                         "qwen2moe-norm", "qwen3moe-norm", "olmoe-clip", "deepseek2-groups",
                                         "deepseek3-groups", "deepseek3-halfsplit", "mistral4-temperature",
                                         "gptoss-clamp", "glm4moe-groups", "granitemoe-bias", "minimaxm2-partial",
                                         "lfm2-bias", "lfm2moe-nobias", "granitemoehybrid-experts",
                                         "granitemoehybrid-dense", "bamba-bias", "nemotronh-plain", "nemotronh-latent",
                                         "zamba2-plain", "zamba2-adapters"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

TEST_F(SaveAs, AFileWithoutAHeadIsAFolderWithTiedEmbeddings) {
  const std::string model = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/llama-biases";
  const auto open = open_model(model, {});
  GgufPlan plan = plan_gguf(*open, {});
  ASSERT_EQ(plan.config.values.erase(plan.config.full_key("tie_embeddings")), 1u);
  const std::string gguf = (folder_ / "a.gguf").string();
  write_gguf(gguf, plan.config, plan.tensors, {});
  expect_same(logits_of(model), {gguf, to_hf(gguf, "b")});
}

// GGUF has Falcon-H1's multipliers in the weights: they are rounded once more there, and the same from then on.
class SaveFalcon : public SaveAs {};

TEST_P(SaveFalcon, MultipliersGoIntoTheWeightsOfGguf) {
  const std::string model = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/falconh1-" + GetParam();
  const std::vector<float> logits = logits_of(model);
  const std::string gguf = to_gguf(model, "a.gguf"), again = to_hf(gguf, "b");
  const std::vector<float> baked = logits_of(gguf);
  expect_same(baked, {again, to_gguf(again, "c.gguf")});
  ASSERT_EQ(baked.size(), logits.size());
  float most = 0;
  for (const float x : logits) most = std::max(most, std::abs(x));
  for (size_t i = 0; i < logits.size(); ++i) ASSERT_NEAR(baked[i], logits[i], 1e-5f * most) << i;
}

INSTANTIATE_TEST_SUITE_P(Tiny, SaveFalcon, testing::Values("plain", "normbefore", "oldstyle"),
                         [](const auto& param) { return param.param; });

// Patterns of Godwit's own architecture, with random weights.
class SavePattern : public SaveAs {};

TEST_P(SavePattern, BothContainersGiveTheSameBitsAndQuantizedOnesRun) {
  const std::string json = (folder_ / "config.json").string();
  std::ofstream(json) << GetParam();
  OpenOptions random;
  random.random_seed = 3;
  random.random_type = DType::kF32;
  const std::vector<float> logits = logits_of(json, random);
  const std::string gguf = to_gguf(json, "a.gguf", random);
  const std::string again = to_hf(gguf, "b");
  expect_same(logits, {gguf, again, to_gguf(again, "c.gguf")});
  const std::string quantized = to_gguf(again, "q.gguf", {}, DType::kQ8_0);
  EXPECT_LT(fs::file_size(quantized), fs::file_size(gguf) / 2);
  double apart = 0, size = 0;
  const std::vector<float> near = logits_of(quantized);
  ASSERT_EQ(near.size(), logits.size());
  for (size_t i = 0; i < near.size(); ++i) {
    apart += (near[i] - logits[i]) * (near[i] - logits[i]);
    size += logits[i] * logits[i];
  }
  EXPECT_LT(apart, 0.02 * size);
  EXPECT_GT(apart, 0.0);
}

INSTANTIATE_TEST_SUITE_P(
    Godwit, SavePattern,
    testing::Values(
        R"({"model_type":"godwit","layers":"attention, mlp, window+moe, mla+mlp, moe","vocab_size":103,
            "hidden_size":64,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"sliding_window":5,
            "kv_lora_rank":64,"q_lora_rank":32,"qk_rope_head_dim":16,"num_experts":8,"num_experts_per_tok":2,
            "shared_expert_intermediate_size":64,"tie_word_embeddings":false,"norm_topk_prob":false,
            "rms_norm_eps":1e-6,"rope_theta":5e5,"max_position_embeddings":2048})",
        R"({"model_type":"godwit","layers":"2*(window, mlp), mla, attention+mlp, none+moe","vocab_size":103,
            "hidden_size":64,"head_dim":16,"sliding_window":6,"num_experts":4,"num_experts_per_tok":1,
            "moe_intermediate_size":32,"partial_rotary_factor":0.5,"rope_parameters":{"rope_type":"linear",
            "rope_theta":1e4,"factor":4.0}})",
        R"({"model_type":"godwit","layers":"mamba2, mamba1+mlp, rglru, conv","vocab_size":103,"hidden_size":64,
            "mamba2_num_heads":4,"mamba2_n_groups":2,"mamba2_state_size":12,"mamba2_conv_kernel":3})"));

}  // namespace
}  // namespace godwit
