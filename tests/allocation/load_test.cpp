// Loading with every allocation failing once, and from every n-th on: std::bad_alloc or an Error that says memory, and
// nothing is left behind (the address sanitizer's build sees memory, this test files).
#include <filesystem>

#include "allocation/failing_new.h"
#include "engine/harness.h"
#include "models/save.h"
#include "temp_folder.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/vocabularies.h"

namespace godwit {
namespace {

namespace fs = std::filesystem;

std::ptrdiff_t open_files() { return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()); }

/// As a command does it: the model, its runner, its weights on two threads, its tokenizer.
void load(const std::string& path) {
  const auto open = open_model(path, {});
  RunnerOptions options;
  options.threads = 2;
  options.context = 64;
  options.chunk = 16;
  Runner runner(*open, options);
  open->weights->load(runner.threads(), {});
  std::string why_not;
  const bool folder = open->stored.container == Container::kHuggingFace;
  make_tokenizer(folder ? vocabulary_from_hf(read_hf_tokenizer(path)) : vocabulary_from(open->config), why_not);
}

class FailingLoad : public ::testing::Test {
 protected:
  FailingLoad() {
    fs::copy(oracle("tiny/llama-plain-gqa"), hf());
    const HfTokenizerFiles files =
        hf_from_vocabulary(testing::byte_level_vocabulary({.merges = {{"a", "b"}, {"ab", "c"}}}));
    std::ofstream(hf() + "/tokenizer.json") << files.tokenizer;
    std::ofstream(hf() + "/tokenizer_config.json") << files.config;
    const auto open = open_model(hf(), {});
    GgufPlan plan = plan_gguf(*open, DType::kQ8_0);
    vocabulary_to(testing::byte_level_vocabulary({.merges = {{"a", "b"}, {"ab", "c"}}}), plan.config);
    write_gguf(gguf(), plan.config, plan.tensors, {});
  }
  std::string hf() const { return folder_.file("hf"); }
  std::string gguf() const { return folder_.file("m.gguf"); }

  /// Loads with the n-th allocation failing, for n = 1, 1 + stride, ... until that is more than there are.
  static void fail_each(const std::string& path, int64_t stride, int64_t how_many) {
    stride *= kSparse;
    load(path);
    const std::ptrdiff_t files = open_files();
    int64_t thrown = 0, n = 1;
    for (bool more = true; more; n += stride) {
      std::string problem = "none";
      fail_allocations(n, how_many);
      try {
        load(path);
      } catch (const std::bad_alloc&) {
        problem = "memory";
      } catch (const Error& error) {
        stop_failing();
        problem = error.kind() == ErrorKind::kMemory ? "memory" : error.what();
      } catch (const std::exception& error) {
        stop_failing();
        problem = error.what();
      }
      const Allocations seen = stop_failing();
      more = seen.counted >= n;
      thrown += problem == "memory" ? 1 : 0;
      ASSERT_TRUE(problem == "memory" || problem == "none") << "allocation " << n << ": " << problem;
      ASSERT_EQ(open_files(), files) << "allocation " << n;
    }
    EXPECT_GT(n, 200);
    EXPECT_GT(thrown, n / stride / 2);
  }

  const TempFolder folder_;
};

TEST_F(FailingLoad, OfAFolder) { fail_each(hf(), 1, 1); }
TEST_F(FailingLoad, OfAGgufFile) { fail_each(gguf(), 1, 1); }
TEST_F(FailingLoad, ForGood) {
  fail_each(hf(), 7, INT32_MAX);
  fail_each(gguf(), 7, INT32_MAX);
}

}  // namespace
}  // namespace godwit
