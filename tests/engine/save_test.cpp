// The law of saving: a model written to either container and opened again gives the same bits.
#include "models/save.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "engine/runner.h"

namespace godwit {
namespace {

namespace fs = std::filesystem;

std::vector<float> logits_of(const std::string& path) {
  const auto open = open_model(path, {});
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

class Save : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("godwit_save_" + GetParam() + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string to_gguf(const std::string& from, const char* name) {
    const auto open = open_model(from, {});
    const GgufPlan plan = plan_gguf(*open, std::nullopt);
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

  fs::path folder_;
};

TEST_P(Save, BothContainersGiveTheSameBits) {
  const std::string model = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/" + GetParam();
  const std::vector<float> logits = logits_of(model);
  const std::string gguf = to_gguf(model, "a.gguf");
  const std::string again = to_hf(gguf, "b");
  const std::string twice = to_gguf(again, "c.gguf");
  for (const std::string& path : {gguf, again, twice}) {
    const std::vector<float> other = logits_of(path);
    ASSERT_EQ(other.size(), logits.size()) << path;
    EXPECT_EQ(std::memcmp(other.data(), logits.data(), 4 * logits.size()), 0) << path;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Save,
                         testing::Values("llama-biases", "llama-yarn-mscale", "llama-llama3", "llama-longrope-long",
                                         "mistral-window", "ministral-layers", "qwen3-bias-window", "qwen3-yarn",
                                         "gemma3-window", "gemma3-softcap", "gemma3-linear", "mixtral-plain",
                                         "qwen2moe-norm", "qwen3moe-norm", "olmoe-clip", "deepseek2-groups",
                                         "deepseek3-groups", "deepseek3-halfsplit", "mistral4-temperature",
                                         "gptoss-clamp", "glm4moe-groups", "granitemoe-bias", "minimaxm2-partial"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace godwit
