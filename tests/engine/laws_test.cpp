// The laws, for every registered architecture: how a sequence is cut into chunks, who is computed beside it, the number
// of threads and the CPU level change no bit of the logits.
#include "engine/laws.h"

namespace godwit {
namespace {

struct Case {
  DType weights;
  DType cache;
  bool exact;
  std::string text() const {
    return fmt::format("{} weights, {} cache, {} activations", name(weights), name(cache), exact ? "f32" : "q8");
  }
};
constexpr Case kCases[] = {
    {DType::kQ8_0, DType::kF16, false},  {DType::kF32, DType::kF32, true},   {DType::kQ8_0, DType::kQ8_0, true},
    {DType::kBF16, DType::kF16, false},  {DType::kBF16, DType::kBF16, true}, {DType::kQ4_0, DType::kF32, false},
    {DType::kQ4_1, DType::kQ8_0, false}, {DType::kQ5_0, DType::kF16, true},
};

// What models are mostly run with, and what hides no rounding: all that those in short run.
constexpr size_t kCasesInShort = 2;

// Every channel of the tiny models fills blocks of 32 but for Llama's heads of 16.
bool fits(const OpenModel& open, const Case& c) {
  if (c.cache != DType::kQ8_0) return true;
  try {
    open.model->state_layout({c.cache, c.cache});
    return true;
  } catch (const Error&) {
    return false;
  }
}

RunnerOptions options_of(const Case& c, int64_t chunk = 512) {
  RunnerOptions o = best_level();
  o.cache = {c.cache, c.cache};
  o.exact = c.exact;
  o.chunk = chunk;
  return o;
}

/// Calls check(open, case, what) for every architecture and its cases.
template <class Check>
void for_all(const Check& check) {
  ASSERT_FALSE(architectures().empty());
  for (const Architecture* a : architectures()) {
    for (const Case& c : std::span(kCases).first(in_short(*a) ? kCasesInShort : std::size(kCases))) {
      const auto open = tiny(*a, c.weights);
      if (fits(*open, c)) check(*a, *open, c, a->hf_classes[0].name + ": " + c.text());
    }
  }
}

TEST(Laws, Chunking) {
  for_all([](const Architecture&, const OpenModel& open, const Case& c, const std::string& what) {
    const auto ids = random_ids(1, 150, open.model->vocab_size());
    EXPECT_EQ(broken_by_chunks(open, options_of(c), ids, {1, 7, 64, 100}), "") << what;
  });
}

// Past one segment of keys, where partial results are merged.
TEST(Laws, ChunkingPastOneSegment) {
  for (const Architecture* a : architectures()) {
    const Case c{DType::kQ8_0, DType::kF16, false};
    const auto open = tiny(*a, c.weights);
    const auto ids = random_ids(2, 700, open->model->vocab_size());
    const std::vector<int64_t> chunks =
        in_short(*a) ? std::vector<int64_t>{100} : std::vector<int64_t>{1, 64, 100, 512};
    EXPECT_EQ(broken_by_chunks(*open, options_of(c), ids, chunks), "") << a->hf_classes[0].name;
  }
}

TEST(Laws, Threads) {
  for_all([](const Architecture&, const OpenModel& open, const Case& c, const std::string& what) {
    const auto ids = random_ids(3, 150, open.model->vocab_size());
    EXPECT_EQ(broken_by_threads(open, options_of(c, 100), ids, {2, 3, 4, 8}), "") << what;
  });
}

TEST(Laws, CpuLevels) {
  std::vector<Kernels> levels;
  for (int level = 0; level <= static_cast<int>(cpu_level()); ++level) levels.push_back(kernels_at(level));
  for_all([&](const Architecture&, const OpenModel& open, const Case& c, const std::string& what) {
    const auto ids = random_ids(4, 80, open.model->vocab_size());
    EXPECT_EQ(broken_by_levels(open, options_of(c, 64), ids, levels), "") << what;
  });
}

// 200 batches of 1 to 64 sequences in the cases used most, and fewer in the others and for architectures in short. The
// tokens reach into a second segment of keys.
TEST(Laws, BatchCompany) {
  for_all([](const Architecture& a, const OpenModel& open, const Case& c, const std::string& what) {
    const auto ids = random_ids(5, 560, open.model->vocab_size());
    RunnerOptions o = options_of(c);
    o.threads = 2;
    const auto number = static_cast<uint64_t>(&c - kCases);
    EXPECT_EQ(broken_by_company(open, o, ids, in_short(a) ? 30 : number < 2 ? 200 : 50, number), "") << what;
  });
}

// A token's experts compute others' tokens with it: in another order, wherever the sequences lie elsewhere.
TEST(Laws, OrderInTheBatch) {
  for_all([](const Architecture& a, const OpenModel& open, const Case& c, const std::string& what) {
    RunnerOptions o = options_of(c);
    o.threads = 2;
    EXPECT_EQ(broken_by_order(open, o, 13, in_short(a) ? 2 : 6, static_cast<uint64_t>(&c - kCases)), "") << what;
  });
}

}  // namespace
}  // namespace godwit
