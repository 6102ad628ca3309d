// Mixtures and latent attention that are wrong as they are easily written wrong: a law's comparison or a golden file
// must see each.
#include <algorithm>
#include <cmath>

#include "engine/laws.h"
#include "kernels/math.h"

namespace godwit {
namespace {

constexpr float kGolden = 1e-5f;  // what golden_test.cpp allows

const Kernels& real_kernels() {
  static const Kernels kernels = kernels_at(static_cast<int>(cpu_level()));
  return kernels;
}

std::unique_ptr<OpenModel> tiny_of(const std::string& name) {
  for (const Architecture* a : architectures())
    if (a->name == name) return tiny(*a, DType::kF32);
  throw std::runtime_error(name);
}

// ---------------------------------------------------------------- order of experts

/// One token's experts one by one, added in the order of their slots or against it.
void experts_of_one_token(ExpertsArgs a, Launch& launch, bool descending) {
  const int64_t n = a.first[a.n_experts];
  const std::vector<int64_t> first(a.first, a.first + a.n_experts + 1);
  std::vector<float> y(static_cast<size_t>(a.d_model)), out(y.size());
  float* const result = a.y;
  const float* weights = a.slot_weight;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t slot = descending ? n - 1 - i : i;
    std::vector<int64_t> alone;
    for (const int64_t f : first) alone.push_back(f > slot ? 1 : 0);
    const int32_t token = 0;
    const float one = 1.0f;
    a.first = alone.data();
    a.slot_token = &token;
    a.slot_weight = &one;
    a.y = out.data();
    real_kernels().experts(a, launch, real_kernels());
    for (size_t d = 0; d < y.size(); ++d) y[d] = std::fma(out[d], weights[slot], y[d]);
  }
  std::copy(y.begin(), y.end(), result);
}

template <bool descending>
void experts_in_order(const ExpertsArgs& a, Launch& launch, const Kernels&) {
  if (a.x.rows > 1) return real_kernels().experts(a, launch, real_kernels());
  experts_of_one_token(a, launch, descending);
}

TEST(MixtureMutants, ExpertsOfOneTokenAddedInDescendingOrder) {
  const auto open = tiny_of("qwen3moe");
  const auto ids = random_ids(1, 60, open->model->vocab_size());
  RunnerOptions options = exact_options();
  Kernels kernels = real_kernels();
  kernels.experts = experts_in_order<false>;
  EXPECT_EQ(broken_by_chunks(*open, options, ids, {1}, kernels), "");
  kernels.experts = experts_in_order<true>;
  EXPECT_NE(broken_by_chunks(*open, options, ids, {1}, kernels), "");
  EXPECT_NE(broken_by_company(*open, options, ids, 20, 1, kernels), "");
  options.chunk = 1;
  EXPECT_NE(broken_by_levels(*open, options, ids, {real_kernels(), kernels}), "");
}

// As where tokens are handed to experts in the order in which they come.
void route_unsorted(const RouteArgs& a, Launch& launch) {
  real_kernels().route(a, launch);
  for (int64_t t = 0; a.tokens > 1 && t < a.tokens; ++t) {
    std::reverse(a.experts + t * a.top_k, a.experts + (t + 1) * a.top_k);
    std::reverse(a.weights + t * a.top_k, a.weights + (t + 1) * a.top_k);
  }
}

// The sort by expert makes the order ascending whatever the router's was.
TEST(MixtureMutants, TheOrderInWhichARouterNamesExpertsIsOfNoMatter) {
  const auto open = tiny_of("qwen3moe");
  Kernels kernels = real_kernels();
  kernels.route = route_unsorted;
  EXPECT_EQ(broken_by_chunks(*open, exact_options(), random_ids(1, 60, open->model->vocab_size()), {1, 7}, kernels),
            "");
}

// ---------------------------------------------------------------- weights of experts

/// Scores with the bias that is for the choice only.
void route_by_biased_scores(const RouteArgs& a, Launch& launch) {
  real_kernels().route(a, launch);
  if (a.bias == nullptr) return;
  for (int64_t t = 0; t < a.tokens; ++t) {
    float* weights = a.weights + t * a.top_k;
    float sum = a.epsilon;
    for (int64_t j = 0; j < a.top_k; ++j) {
      const int32_t e = a.experts[t * a.top_k + j];
      weights[j] = 1.0f / (1.0f + scalar::exp(-a.z[t * a.n_experts + e])) + a.bias[e];
      sum += weights[j];
    }
    for (int64_t j = 0; j < a.top_k; ++j) weights[j] = (a.normalise ? weights[j] / sum : weights[j]) * a.scale;
  }
}

TEST(MixtureMutants, BiasedScoresUsedAsWeights) {
  Kernels kernels = real_kernels();
  kernels.route = route_by_biased_scores;
  for (const char* name : {"deepseek3-groups", "glm4moe-groups", "minimaxm2-full"}) {
    EXPECT_LE(apart_from_golden(name), kGolden) << name;
    EXPECT_GT(apart_from_golden(name, kernels), 10 * kGolden) << name;
  }
}

void route_without_groups(const RouteArgs& a, Launch& launch) {
  RouteArgs all = a;
  all.n_groups = all.groups_used = 1;
  real_kernels().route(all, launch);
}

TEST(MixtureMutants, GroupsLeftOut) {
  Kernels kernels = real_kernels();
  kernels.route = route_without_groups;
  for (const char* name : {"deepseek2-groups", "deepseek3-groups", "glm4moe-groups"})
    EXPECT_GT(apart_from_golden(name, kernels), 10 * kGolden) << name;
}

// ---------------------------------------------------------------- latent attention

/// Scores scaled by the width of the absorbed key, as plain attention would, and without YaRN's factor.
void attention_scaled_by_own_width(const AttentionArgs& a, Launch& launch) {
  AttentionArgs wrong = a;
  wrong.scale = 1.0f / std::sqrt(static_cast<float>(a.layout.k_dim));
  real_kernels().attention(wrong, launch);
}

TEST(MixtureMutants, ScaleOfTheAbsorbedKey) {
  Kernels kernels = real_kernels();
  kernels.attention = attention_scaled_by_own_width;
  for (const char* name : {"deepseek2-groups", "deepseek2-plain", "deepseek3-groups", "mistral4-temperature"}) {
    EXPECT_LE(apart_from_golden(name), kGolden) << name;
    EXPECT_GT(apart_from_golden(name, kernels), 10 * kGolden) << name;
  }
}

}  // namespace
}  // namespace godwit
