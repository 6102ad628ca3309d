// Kernels that break a law on purpose, as faster ones are tempted to: each computes the right thing in an order of sums
// that depends on what nothing may depend on. Computed in one way it has the real kernel's bits; the law's own
// comparison (laws.h) must see the other.
#include <algorithm>
#include <cmath>

#include "engine/laws.h"
#include "kernels/attention_layout.h"
#include "kernels/math.h"

namespace godwit {
namespace {

const Kernels& real() {
  static const Kernels kernels = kernels_at(static_cast<int>(cpu_level()));
  return kernels;
}

// ---------------------------------------------------------------- products

// The float product; a step of fewer than 8 tokens takes a path of its own, where k descends.
void product_of_few(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count) {
  if (x.rows >= 8) return real().product_tile[static_cast<int>(DType::kF32)](matrix, x, first, count);
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t o = first; o < first + count; ++o) {
      const float* w = reinterpret_cast<const float*>(matrix.w) + o * x.k;
      float lanes[16] = {};
      for (int64_t k = x.k; k-- > 0;) lanes[k % 16] = std::fma(w[k], x.f32[row * x.k + k], lanes[k % 16]);
      const float sum = scalar::tree_sum(lanes);
      matrix.y[row * matrix.n + o] = matrix.bias != nullptr ? sum + matrix.bias[o] : sum;
    }
  }
}

// ---------------------------------------------------------------- attention

/// Whether a segment of keys begins at position j, for a row whose state has absorbed `past` tokens.
using Begins = bool (*)(int64_t j, int64_t past);

bool at_absolute_positions(int64_t j, int64_t) { return j % kSegmentTokens == 0; }
bool where_the_chunk_begins(int64_t j, int64_t past) { return at_absolute_positions(j, past) || j == past; }
bool counted_from_the_chunk(int64_t j, int64_t past) { return (j - past) % kSegmentTokens == 0; }

struct Segment {
  float m, l;
  std::vector<float> acc;
};

/// A query head of a token over a cache of F32.
struct Query {
  const KvLayout& layout;
  const KvRow& row;
  const float* q;
  int64_t kv_head;
  float scale;

  float score(int64_t j) const {
    const auto* keys = reinterpret_cast<const float*>(page_keys(layout, row, j, kv_head)) + j % kPageTokens;
    float sum = 0;
    for (int64_t d = 0; d < layout.shared_dim; ++d) sum = std::fma(q[d], value(j)[d], sum);
    for (int64_t d = 0; d < layout.own_k_dim(); ++d)
      sum = std::fma(q[layout.shared_dim + d], keys[d * kPageTokens], sum);
    return sum * scale;
  }
  const float* value(int64_t j) const {
    return reinterpret_cast<const float*>(page_values(layout, row, j, kv_head)) + j % kPageTokens * layout.v_dim;
  }
};

Segment segment_of(const Query& query, KeyRange keys) {
  std::vector<float> score;
  for (int64_t j = keys.first; j < keys.last; ++j) score.push_back(query.score(j));
  Segment s{*std::max_element(score.begin(), score.end()), 0, std::vector<float>(query.layout.v_dim)};
  float lanes[16] = {};
  for (int64_t j = keys.first; j < keys.last; ++j) {
    const float p = scalar::exp(score[static_cast<size_t>(j - keys.first)] - s.m);
    lanes[j % 16] += p;
    for (size_t d = 0; d < s.acc.size(); ++d) s.acc[d] = std::fma(p, query.value(j)[d], s.acc[d]);
  }
  s.l = scalar::tree_sum(lanes);
  return s;
}

void merge(Segment& a, const Segment& b) {
  const float m = std::max(a.m, b.m);
  const float scale_a = scalar::exp(a.m - m), scale_b = scalar::exp(b.m - m);
  a.m = m;
  a.l = std::fma(b.l, scale_b, a.l * scale_a);
  for (size_t d = 0; d < a.acc.size(); ++d) a.acc[d] = std::fma(b.acc[d], scale_b, a.acc[d] * scale_a);
}

/// Attention in the order of docs/numerics.md, whose segments begin where they are told to.
template <Begins begins>
void attention_by(const AttentionArgs& a, Launch& launch) {
  const KvLayout& layout = a.layout;
  for (int64_t r = 0; r < a.n_rows; ++r) {
    const KvRow& row = a.rows[r];
    launch.parallel(row.count * a.n_heads, [&](int64_t task) {
      const int64_t token = task / a.n_heads, head = task % a.n_heads;
      const int64_t at = (row.first + token) * a.n_heads + head;
      const Query query{layout, row, a.q + at * layout.k_dim, head / (a.n_heads / layout.n_kv_heads), a.scale};
      const KeyRange visible = visible_keys(row.past + token, a.window);
      Segment all;
      for (int64_t j = visible.first; j < visible.last;) {
        const int64_t from = j++;
        while (j < visible.last && !begins(j, row.past)) ++j;
        const Segment next = segment_of(query, {from, j});
        if (from == visible.first) {
          all = next;
        } else {
          merge(all, next);
        }
      }
      for (int64_t d = 0; d < layout.v_dim; ++d) a.y[at * layout.v_dim + d] = all.acc[static_cast<size_t>(d)] / all.l;
    });
  }
}

// ---------------------------------------------------------------- norms

/// The norm with its sum of squares in `parts` parts, each of 16 lanes, of which n_lanes are used, and the tree.
void norm_in(const RmsNormArgs& a, int64_t parts, int64_t n_lanes) {
  for (int64_t row = 0; row < a.rows; ++row) {
    const float* x = a.x + row * a.width;
    float sum = 0;
    for (int64_t part = 0; part < parts; ++part) {
      float lanes[16] = {};
      for (int64_t i = part * a.width / parts; i < (part + 1) * a.width / parts; ++i)
        lanes[i % n_lanes] = std::fma(x[i], x[i], lanes[i % n_lanes]);
      sum += scalar::tree_sum(lanes);
    }
    const float factor = 1.0f / std::sqrt(sum / static_cast<float>(a.width) + a.eps);
    for (int64_t i = 0; i < a.width; ++i)
      a.y[row * a.width + i] = x[i] * factor * (a.gain_plus_one ? 1.0f + a.gain[i] : a.gain[i]);
  }
}
void norm_of_threads(const RmsNormArgs& a, Launch& launch) { norm_in(a, launch.n_threads, 16); }
void norm_of_16_lanes(const RmsNormArgs& a, Launch&) { norm_in(a, 1, 16); }
void norm_of_8_lanes(const RmsNormArgs& a, Launch&) { norm_in(a, 1, 8); }

// ---------------------------------------------------------------- the tests

/// Calls check(open, ids, architecture) for every dense transformer with float weights and 560 ids: two segments of
/// keys. Which rows experts see together is not the chunks' to say alone, and a router turns small differences into
/// large ones.
template <class Check>
void for_all_models(const Check& check) {
  ASSERT_FALSE(architectures().empty());
  for (const Architecture* a : architectures()) {
    if (has_experts(*a)) continue;
    const auto open = tiny(*a, DType::kF32);
    if (open->model->state_layout({}).record_bytes > 0) continue;
    check(*open, random_ids(1, 560, open->model->vocab_size()), a->name);
  }
}

RunnerOptions in_chunks(int64_t chunk, int threads = 1) {
  RunnerOptions o = best_level();
  o.cache = {DType::kF32, DType::kF32};
  o.chunk = chunk;
  o.threads = threads;
  return o;
}

/// Expects the mutant to be right where all tokens are fed in one step on one thread, and not to be grossly wrong in
/// `options`.
void expect_plausible(const OpenModel& open, const std::vector<TokenId>& ids, const Kernels& mutant,
                      const RunnerOptions& options, const std::string& what) {
  const auto expected = all_logits(open, in_chunks(560), ids, real());
  const auto once = all_logits(open, in_chunks(560), ids, mutant);
  EXPECT_TRUE(same_bits(expected, once)) << what << ": " << first_difference(expected, once);
  const auto got = all_logits(open, options, ids, mutant);
  float worst = 0;
  for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::fabs(got[i] - expected[i]));
  EXPECT_LT(worst, 1e-3f) << what;
}

TEST(Mutants, AttentionWrittenOutHasTheRealBits) {
  Kernels kernels = real();
  kernels.attention = attention_by<at_absolute_positions>;
  for_all_models([&](const OpenModel& open, const std::vector<TokenId>& ids, const std::string& what) {
    EXPECT_TRUE(same_bits(all_logits(open, in_chunks(560), ids), all_logits(open, in_chunks(560), ids, kernels)))
        << what;
    EXPECT_EQ(broken_by_chunks(open, in_chunks(560), ids, {150}, kernels), "") << what;
  });
}

TEST(Mutants, AttentionWithCachedKeysApart) {
  Kernels mutant = real();
  mutant.attention = attention_by<where_the_chunk_begins>;
  for_all_models([&](const OpenModel& open, const std::vector<TokenId>& ids, const std::string& what) {
    expect_plausible(open, ids, mutant, in_chunks(150), what);
    EXPECT_NE(broken_by_chunks(open, in_chunks(560), ids, {150}, mutant), "") << what;
  });
}

TEST(Mutants, AttentionWithSegmentsCountedFromTheChunk) {
  Kernels mutant = real();
  mutant.attention = attention_by<counted_from_the_chunk>;
  for_all_models([&](const OpenModel& open, const std::vector<TokenId>& ids, const std::string& what) {
    expect_plausible(open, ids, mutant, in_chunks(150), what);
    EXPECT_NE(broken_by_chunks(open, in_chunks(560), ids, {150}, mutant), "") << what;
  });
}

TEST(Mutants, LatentAttentionWithSegmentsCountedFromTheChunk) {
  for (const Architecture* a : architectures()) {
    if (a->name != "deepseek2") continue;
    const auto open = tiny(*a, DType::kF32);
    const auto ids = random_ids(1, 560, open->model->vocab_size());
    Kernels kernels = real();
    kernels.attention = attention_by<at_absolute_positions>;
    EXPECT_TRUE(same_bits(all_logits(*open, in_chunks(560), ids), all_logits(*open, in_chunks(560), ids, kernels)));
    kernels.attention = attention_by<counted_from_the_chunk>;
    EXPECT_NE(broken_by_chunks(*open, in_chunks(560), ids, {150}, kernels), "");
  }
}

TEST(Mutants, ProductWithTheSumOfFewRowsReordered) {
  Kernels mutant = real();
  mutant.product_tile[static_cast<int>(DType::kF32)] = product_of_few;
  for_all_models([&](const OpenModel& open, const std::vector<TokenId>& ids, const std::string& what) {
    expect_plausible(open, ids, mutant, in_chunks(7), what);
    EXPECT_EQ(broken_by_chunks(open, in_chunks(560), ids, {8, 80, 280}, mutant), "") << what << ": never few rows";
    EXPECT_NE(broken_by_chunks(open, in_chunks(560), ids, {7}, mutant), "") << what;
    EXPECT_NE(broken_by_company(open, in_chunks(560), ids, 20, 1, mutant), "") << what;
  });
}

TEST(Mutants, NormCutWhereThreadsMeet) {
  Kernels mutant = real();
  mutant.rms_norm = norm_of_threads;
  for_all_models([&](const OpenModel& open, const std::vector<TokenId>& ids, const std::string& what) {
    expect_plausible(open, ids, mutant, in_chunks(560, 3), what);
    EXPECT_NE(broken_by_threads(open, in_chunks(560), ids, {3}, mutant), "") << what;
  });
}

// As a level whose registers are half as wide.
TEST(Mutants, NormWithTheLanesOfTheLevel) {
  Kernels first = real(), second = real();
  first.rms_norm = norm_of_16_lanes;
  second.rms_norm = norm_of_8_lanes;
  for_all_models([&](const OpenModel& open, const std::vector<TokenId>& ids, const std::string& what) {
    EXPECT_EQ(broken_by_levels(open, in_chunks(560), ids, {real(), first}), "") << what;
    EXPECT_NE(broken_by_levels(open, in_chunks(560), ids, {first, second}), "") << what;
  });
}

}  // namespace
}  // namespace godwit
