// The laws of state, for every registered architecture and for the toy stack of recurrences and attention.
#include <algorithm>

#include "engine/state_laws.h"
#include "engine/toy_mixers.h"
#include "temp_folder.h"

namespace godwit {
namespace {

RunnerOptions state_options(DType cache, bool exact) {
  RunnerOptions o = best_level();
  o.cache = {cache, cache};
  o.exact = exact;
  o.chunk = 100;
  return o;
}

/// The models under the laws, by the file that registers them. Weights of a type that hides no rounding, and of the
/// usual one.
class StateLawsOf : public testing::TestWithParam<std::string> {
 protected:
  static const Architecture& architecture() {
    const auto& files = architecture_files();
    const auto at = std::find(files.begin(), files.end(), GetParam()) - files.begin();
    return *architectures()[static_cast<size_t>(at)];
  }
  static std::unique_ptr<OpenModel> model(DType type) {
    return GetParam() == "toy" ? toy_stack(type) : tiny(architecture(), type);
  }
  /// More than two pages and four edges, or one page.
  static int64_t n_tokens() { return GetParam() != "toy" && in_short(architecture()) ? 70 : 140; }
  static std::vector<TokenId> ids(const OpenModel& open) { return random_ids(7, n_tokens(), open.model->vocab_size()); }

  std::unique_ptr<OpenModel> exact_ = model(DType::kF32), usual_ = model(DType::kQ8_0);
  StateLaws exact_laws_{*exact_, state_options(DType::kF32, true), ids(*exact_)};
  StateLaws usual_laws_{*usual_, state_options(DType::kF16, false), ids(*usual_)};
};

std::vector<std::string> models() {
  std::vector<std::string> names{"toy"};
  names.insert(names.end(), architecture_files().begin(), architecture_files().end());
  return names;
}
INSTANTIATE_TEST_SUITE_P(State, StateLawsOf, testing::ValuesIn(models()), [](const auto& info) { return info.param; });

TEST_P(StateLawsOf, Chunks) {
  EXPECT_EQ(broken_by_chunks(*exact_, state_options(DType::kF32, true), ids(*exact_), {1, 7, 31, 32, 33, 64, 100}), "");
}

TEST_P(StateLawsOf, RewindToEveryPosition) {
  EXPECT_EQ(exact_laws_.broken_by_rewind({1, 5, 40}), "");
  EXPECT_EQ(usual_laws_.broken_by_rewind({4}), "");
}

TEST_P(StateLawsOf, ForkAtEveryPosition) {
  EXPECT_EQ(exact_laws_.broken_by_fork(), "");
  EXPECT_EQ(usual_laws_.broken_by_fork(), "");
}

TEST_P(StateLawsOf, ResumeFromEveryLength) {
  EXPECT_EQ(exact_laws_.broken_by_resume(1, true), "");
  EXPECT_EQ(usual_laws_.broken_by_resume(1, true), "");
  EXPECT_GT(exact_laws_.resumed(), n_tokens() * n_tokens() / 3);
  // A record goes back to its last edge alone.
  EXPECT_EQ(exact_laws_.broken_by_resume(50, exact_->model->state_layout({}).record_bytes == 0), "");
}

TEST_P(StateLawsOf, PreemptAtEveryStep) {
  EXPECT_EQ(exact_laws_.broken_by_preemption(), "");
  EXPECT_EQ(usual_laws_.broken_by_preemption(), "");
  EXPECT_GT(exact_laws_.resumed(), n_tokens() * n_tokens() / 3);
}

// The laws of laws_test.cpp for the toy stack, which is not registered.
TEST(StateLaws, RecurrencesInCompanyAndOnThreads) {
  const auto open = toy_stack(DType::kF32);
  RunnerOptions o = state_options(DType::kF32, true);
  EXPECT_EQ(broken_by_threads(*open, o, random_ids(4, 150, 61), {2, 3}), "");
  o.threads = 2;
  EXPECT_EQ(broken_by_company(*open, o, random_ids(5, 200, 61), 40, 9), "");
}

// Long enough that pages were let go behind the windows.
TEST(StateLaws, ResumeBehindAWindow) {
  std::vector<std::unique_ptr<OpenModel>> windowed;
  windowed.push_back(toy_stack(DType::kQ8_0));
  for (const Architecture* a : architectures()) {
    auto open = tiny(*a, DType::kQ8_0);
    const StateLayout layout = open->model->state_layout({});
    if (layout.groups.empty()) continue;
    if (layout.groups.size() > 1 || layout.groups[0].window > 0) windowed.push_back(std::move(open));
  }
  ASSERT_GE(windowed.size(), 2U);  // Gemma 3 at least
  for (const auto& open : windowed) {
    StateLaws laws(*open, state_options(DType::kF16, false), random_ids(8, 450, open->model->vocab_size()));
    EXPECT_EQ(laws.broken_by_resume(64, false, 7), "");
    EXPECT_GT(laws.resumed(), 450);
  }
}

// What bytes_for says is enough, and pages in use stop growing.
TEST(StateBudget, AWindowedModelHoldsItsBoundOver100000Tokens) {
  const TempFolder folder;
  const std::string path =
      folder.write("config.json", R"({"architectures":["MistralForCausalLM"],"vocab_size":40,"hidden_size":32,
      "intermediate_size":32,"num_hidden_layers":1,"num_attention_heads":1,"num_key_value_heads":1,
      "sliding_window":100,"max_position_embeddings":200000})");
  OpenOptions open_options;
  open_options.random_seed = 3;
  const auto open = opened(path, open_options);
  for (int64_t chunk : {500, 64}) {
    RunnerOptions o = best_level();
    o.chunk = chunk;
    o.context = 100000;
    Runner runner(*open, o);
    EXPECT_EQ(runner.layout().groups.size(), 1U);
    const int64_t bound = 100 + std::max<int64_t>(chunk, 256) + 2 * kPageTokens;
    EXPECT_LE(runner.pool().total_bytes(),
              bound / kPageTokens * PageStore::rounded(runner.layout().groups[0].page_bytes));
    SequenceState state;
    const auto ids = random_ids(1, chunk, 40);
    int64_t most = 0, last_growth = 0;
    while (state.absorbed + chunk <= 100000) {
      runner.feed(state, ids, Want::kNone, {});
      int64_t pages = 0;
      for (const std::byte* page : state.pages[0]) pages += page != nullptr ? 1 : 0;
      if (pages > most) last_growth = state.absorbed;
      most = std::max(most, pages);
    }
    EXPECT_LE(most * kPageTokens, bound);
    EXPECT_LE(last_growth, bound + 16 * chunk);  // when steps begin at every place in a page that they ever will
    runner.pool().release(state);
  }
}

}  // namespace
}  // namespace godwit
