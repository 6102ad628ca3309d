// Kernels that break a law on purpose: the comparison of the laws must see each of them. Each is right for one
// sequence computed in one step, and depends on what the laws say nothing may depend on.
#include <algorithm>

#include "engine/harness.h"
#include "ops/context.h"

namespace godwit {
namespace {

const Kernels& real() {
  static const Kernels kernels = kernels_at(static_cast<int>(cpu_level()));
  return kernels;
}

// Merges what was stored before this step with what the step brought as two parts, so that one more rounding lies where
// the chunk begins.
void attention_of_chunks(const AttentionArgs& a, Launch& launch) {
  real().attention(a, launch);
  for (int64_t r = 0; r < a.n_rows; ++r) {
    const KvRow& row = a.rows[r];
    const int64_t width = a.n_heads * a.layout.v_dim;
    for (int64_t i = row.first * width; row.past > 0 && i < (row.first + row.count) * width; ++i) {
      const auto share = static_cast<float>(row.past) / static_cast<float>(row.past + row.count);
      a.y[i] = a.y[i] * share + a.y[i] * (1.0f - share);
    }
  }
}

// As a product that takes another order of sums for a single row, as fast paths for decoding do.
void product_of_few(const ProductArgs& a, Launch& launch, const Kernels& kernels) {
  real().product(a, launch, kernels);
  if (a.x.rows >= 8) return;
  for (int32_t m = 0; m < a.n_matrices; ++m) {
    const ProductMatrix& matrix = a.matrix[m];
    for (int64_t i = 0; i < a.x.rows * matrix.n; ++i) {
      const float third = matrix.y[i] / 3.0f;
      matrix.y[i] = third + third + third;
    }
  }
}

// As a sum that is cut where the threads' shares meet.
void norm_of_threads(const RmsNormArgs& a, Launch& launch) {
  real().rms_norm(a, launch);
  const auto n = static_cast<float>(launch.n_threads);
  for (int64_t i = 0; i < a.rows * a.width; ++i) a.y[i] = a.y[i] / n * n + (n > 1.0f ? a.y[i] * 0x1p-23f : 0.0f);
}

std::vector<float> logits_of(const OpenModel& open, const Kernels& kernels, const std::vector<TokenId>& ids,
                             int64_t chunk, int threads = 1) {
  RunnerOptions o = best_level();
  o.cache = {DType::kF32, DType::kF32};
  o.chunk = chunk;
  o.threads = threads;
  o.context = static_cast<int64_t>(ids.size());
  Runner runner(open, o, kernels);
  SequenceState state;
  state.rope_length = o.context;
  std::vector<float> logits;
  runner.feed(state, ids, Want::kAll,
              [&](size_t, int64_t, Tensor l) { logits.insert(logits.end(), l.f32(), l.f32() + l.size()); });
  runner.pool().release(state);
  return logits;
}

class Mutants : public testing::Test {
 protected:
  std::unique_ptr<OpenModel> open_ = opened(oracle("tiny/llama-plain-gqa"));
  std::vector<TokenId> ids_ = random_ids(1, 40, open_->model->vocab_size());
  Kernels mutant_ = real();
};

TEST_F(Mutants, NoneIsSeenInTheRealKernels) {
  const auto whole = logits_of(*open_, real(), ids_, 40);
  EXPECT_TRUE(same_bits(whole, logits_of(*open_, real(), ids_, 7)));
  EXPECT_TRUE(same_bits(whole, logits_of(*open_, real(), ids_, 40, 3)));
}

TEST_F(Mutants, AttentionThatDependsOnTheChunk) {
  mutant_.attention = attention_of_chunks;
  EXPECT_FALSE(same_bits(logits_of(*open_, mutant_, ids_, 40), logits_of(*open_, mutant_, ids_, 7)));
}

TEST_F(Mutants, ProductThatDependsOnTheNumberOfRows) {
  mutant_.product = product_of_few;
  EXPECT_FALSE(same_bits(logits_of(*open_, mutant_, ids_, 40), logits_of(*open_, mutant_, ids_, 7)));
}

TEST_F(Mutants, NormThatDependsOnThreads) {
  mutant_.rms_norm = norm_of_threads;
  EXPECT_FALSE(same_bits(logits_of(*open_, mutant_, ids_, 40), logits_of(*open_, mutant_, ids_, 40, 3)));
}

// As a level whose rounding differs from the others'.
TEST_F(Mutants, AdditionThatDependsOnTheLevel) {
  mutant_.add = [](const AddArgs& a, Launch&) {
    for (int64_t i = 0; i < a.count; ++i) a.y[i] = (a.a[i] * 3.0f + a.b[i] * 3.0f) / 3.0f;
  };
  EXPECT_FALSE(same_bits(logits_of(*open_, real(), ids_, 40), logits_of(*open_, mutant_, ids_, 40)));
}

}  // namespace
}  // namespace godwit
