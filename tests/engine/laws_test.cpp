// The laws, for every registered architecture: how a sequence is cut into chunks, who is computed beside it, the number
// of threads and the CPU level change no bit of the logits. And that each law would notice a kernel that breaks it.
#include <algorithm>

#include "engine/harness.h"
#include "ops/context.h"

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
    {DType::kQ8_0, DType::kF16, false},  {DType::kQ8_0, DType::kQ8_0, true}, {DType::kF32, DType::kF32, false},
    {DType::kBF16, DType::kF16, false},  {DType::kBF16, DType::kBF16, true}, {DType::kQ4_0, DType::kF32, false},
    {DType::kQ4_1, DType::kQ8_0, false}, {DType::kQ5_0, DType::kF16, true},
};

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

std::unique_ptr<OpenModel> tiny(const Architecture& architecture, DType type) {
  const std::string path = testing::TempDir() + "godwit_laws_" + architecture.name + ".json";
  std::ofstream(path) << architecture.tiny;
  OpenOptions options;
  options.random_seed = 11;
  options.random_type = type;
  auto open = opened(path, options);
  std::filesystem::remove(path);
  return open;
}

RunnerOptions options_of(const Case& c, int64_t chunk = 512) {
  RunnerOptions o = best_level();
  o.cache = {c.cache, c.cache};
  o.exact = c.exact;
  o.chunk = chunk;
  return o;
}

/// Calls check(open, case, what) for every architecture and case.
template <class Check>
void for_all(const Check& check) {
  ASSERT_FALSE(architectures().empty());
  for (const Architecture* a : architectures()) {
    for (const Case& c : kCases) {
      const auto open = tiny(*a, c.weights);
      if (fits(*open, c)) check(*open, c, a->name + ": " + c.text());
    }
  }
}

TEST(Laws, Chunking) {
  for_all([](const OpenModel& open, const Case& c, const std::string& what) {
    const auto ids = random_ids(1, 150, open.model->vocab_size());
    const auto whole = all_logits(open, options_of(c), ids);
    for (int64_t chunk : {1, 7, 64, 100}) {
      const auto got = all_logits(open, options_of(c, chunk), ids);
      EXPECT_TRUE(same_bits(whole, got)) << what << ", chunk " << chunk << ": " << first_difference(whole, got);
    }
  });
}

// Past one segment of keys, where partial results are merged.
TEST(Laws, ChunkingPastOneSegment) {
  for (const Architecture* a : architectures()) {
    const Case c{DType::kQ8_0, DType::kF16, false};
    const auto open = tiny(*a, c.weights);
    const auto ids = random_ids(2, 700, open->model->vocab_size());
    const auto whole = all_logits(*open, options_of(c, 700), ids);
    for (int64_t chunk : {1, 64, 100, 512}) {
      const auto got = all_logits(*open, options_of(c, chunk), ids);
      EXPECT_TRUE(same_bits(whole, got)) << a->name << ", chunk " << chunk << ": " << first_difference(whole, got);
    }
  }
}

TEST(Laws, Threads) {
  for_all([](const OpenModel& open, const Case& c, const std::string& what) {
    const auto ids = random_ids(3, 150, open.model->vocab_size());
    const auto one = all_logits(open, options_of(c, 100), ids);
    for (int threads : {2, 3, 4, 8}) {
      RunnerOptions o = options_of(c, 100);
      o.threads = threads;
      const auto got = all_logits(open, o, ids);
      EXPECT_TRUE(same_bits(one, got)) << what << ", " << threads << " threads: " << first_difference(one, got);
    }
  });
}

TEST(Laws, CpuLevels) {
  for_all([](const OpenModel& open, const Case& c, const std::string& what) {
    const auto ids = random_ids(4, 80, open.model->vocab_size());
    RunnerOptions o = options_of(c, 64);
    o.level = 0;
    const auto scalar = all_logits(open, o, ids);
    for (o.level = 1; o.level <= static_cast<int>(cpu_level()); ++o.level) {
      const auto got = all_logits(open, o, ids);
      EXPECT_TRUE(same_bits(scalar, got)) << what << ", level " << o.level << ": " << first_difference(scalar, got);
    }
  });
}

/// The request's logits when it is fed in random pieces among random neighbours, which come and go. Each of n_steps
/// batches has 1 to 16 rows.
std::vector<float> in_company(Runner& runner, const std::vector<TokenId>& ids, uint64_t seed, int64_t n_steps) {
  const int64_t vocab = runner.model().vocab_size();
  uint64_t draws = 0;
  const auto draw = [&](int64_t most) {
    return static_cast<int64_t>(random_bits(seed, 1, draws++) % static_cast<uint64_t>(most));
  };
  std::vector<SequenceState> neighbours(15);
  SequenceState mine;
  mine.rope_length = static_cast<int64_t>(ids.size());
  std::vector<float> logits;
  for (int64_t step = 0; step < n_steps; ++step) {
    const auto n_neighbours = static_cast<size_t>(draw(16)), place = static_cast<size_t>(draw(16)) % (n_neighbours + 1);
    const auto at = static_cast<size_t>(mine.absorbed);
    const size_t rest = ids.size() - at;
    const size_t count = step + 1 == n_steps ? rest : std::min(rest, static_cast<size_t>(draw(6)));
    std::vector<std::vector<TokenId>> tokens(n_neighbours);
    std::vector<Runner::Feed> feeds;
    for (size_t i = 0; i <= n_neighbours; ++i) {
      if (i == place && count > 0) feeds.push_back({&mine, std::span(ids).subspan(at, count)});
      if (i == n_neighbours) break;
      SequenceState& other = neighbours[i];
      if (other.absorbed > 100 || draw(8) == 0) {
        runner.pool().release(other);
        other = {};
      }
      if (other.absorbed == 0) other.rope_length = 1 + draw(200);
      tokens[i] = random_ids(seed + draws, 1 + draw(12), vocab);
      feeds.push_back({&other, tokens[i]});
    }
    if (feeds.empty()) continue;
    runner.step(feeds, Want::kAll, [&](size_t f, int64_t, Tensor l) {
      if (feeds[f].state == &mine) logits.insert(logits.end(), l.f32(), l.f32() + l.size());
    });
  }
  runner.pool().release(mine);
  for (SequenceState& other : neighbours) runner.pool().release(other);
  return logits;
}

TEST(Laws, BatchCompany) {
  for_all([](const OpenModel& open, const Case& c, const std::string& what) {
    const auto ids = random_ids(5, 120, open.model->vocab_size());
    const auto alone = all_logits(open, options_of(c), ids);
    RunnerOptions o = options_of(c, 320);
    o.sequences = 16;
    o.context = 320;
    o.threads = 2;
    Runner runner(open, o);
    const auto got = in_company(runner, ids, 6, 50);
    EXPECT_TRUE(same_bits(alone, got)) << what << ": " << first_difference(alone, got);
  });
}

}  // namespace
}  // namespace godwit
