// Routing: which experts a token goes to and with what weights against a plain definition in double, and the sort by
// expert against a plain one. No level has code of its own for it; every level's table is tried.
#include <algorithm>
#include <numeric>

#include "kernels/harness.h"

namespace godwit {
namespace {

using test::Fenced;
using test::filled;
using test::Random;

constexpr double kEps = 0x1p-24;
constexpr float kInfinite = std::numeric_limits<float>::infinity();

/// The choices that a router has.
struct Rule {
  int64_t n_experts = 8, top_k = 2;
  RouterScore score = RouterScore::kSoftmax;
  int64_t n_groups = 1, groups_used = 1;
  GroupScore group_score = GroupScore::kBest;
  bool normalise = false;
  float epsilon = 0, scale = 1;

  std::string text() const {
    return "experts " + std::to_string(top_k) + " of " + std::to_string(n_experts) + ", score " +
           std::to_string(static_cast<int>(score)) + ", groups " + std::to_string(groups_used) + " of " +
           std::to_string(n_groups) + (group_score == GroupScore::kBest ? " by best" : " by two best") +
           (normalise ? ", normalised" : "");
  }
};

struct Routed {
  std::vector<int32_t> experts;
  std::vector<float> weights;
  int64_t invalid = 0;
};

Routed route(const Kernels& kernels, const Rule& rule, const std::vector<float>& z, const std::vector<float>& bias,
             int n_threads = 1) {
  const auto tokens = static_cast<int64_t>(z.size()) / rule.n_experts;
  const auto slots = static_cast<size_t>(tokens * rule.top_k);
  const Fenced<float> z_memory(z), bias_memory(bias);
  Fenced<int32_t> experts(slots);
  Fenced<float> weights(slots);
  test::Threads threads(n_threads);
  int64_t invalid = 77;
  kernels.route({.experts = experts.data(),
                 .weights = weights.data(),
                 .invalid = &invalid,
                 .z = z_memory.data(),
                 .bias = bias.empty() ? nullptr : bias_memory.data(),
                 .tokens = tokens,
                 .n_experts = rule.n_experts,
                 .top_k = rule.top_k,
                 .score = rule.score,
                 .n_groups = rule.n_groups,
                 .groups_used = rule.groups_used,
                 .group_score = rule.group_score,
                 .normalise = rule.normalise,
                 .epsilon = rule.epsilon,
                 .scale = rule.scale},
                threads.launch());
  return {{experts.data(), experts.data() + slots}, {weights.data(), weights.data() + slots}, invalid};
}

// ---------------------------------------------------------------- the definition

/// The `count` largest, ties to the lowest number, and how far the last of them is from the first that is not chosen
/// (infinite where these tie exactly: then the order of numbers decides, not rounding).
std::vector<int> largest(const std::vector<double>& values, int64_t count, double& margin) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return values[a] > values[b]; });
  if (count < static_cast<int64_t>(order.size())) {
    const double gap = values[order[count - 1]] - values[order[count]];
    if (gap > 0) margin = std::min(margin, gap);
  }
  order.resize(count);
  return order;
}

std::vector<double> softmax(const std::vector<double>& z) {
  const double highest = *std::max_element(z.begin(), z.end());
  std::vector<double> p;
  for (const double v : z) p.push_back(std::exp(v - highest));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& v : p) v /= sum;
  return p;
}

std::vector<double> scores_of(RouterScore score, std::vector<double> z) {
  if (score == RouterScore::kSoftmax) return softmax(z);
  if (score == RouterScore::kSigmoid)
    for (double& v : z) v = 1 / (1 + std::exp(-v));
  return z;
}

/// Minus infinity for the experts of all but the best groups.
void close_groups(const Rule& rule, std::vector<double>& values, double& margin) {
  const int64_t size = rule.n_experts / rule.n_groups;
  std::vector<double> worth;
  for (int64_t g = 0; g < rule.n_groups; ++g) {
    std::vector<double> members(values.begin() + g * size, values.begin() + (g + 1) * size);
    std::sort(members.rbegin(), members.rend());
    worth.push_back(rule.group_score == GroupScore::kBest ? members[0] : members[0] + members[1]);
  }
  const std::vector<int> used = largest(worth, rule.groups_used, margin);
  for (int64_t i = 0; i < rule.n_experts; ++i)
    if (std::find(used.begin(), used.end(), i / size) == used.end()) values[i] = -kInfinite;
}

struct Definition {
  std::vector<int> experts;  // ascending
  std::vector<double> weights;
  double margin = kInfinite;  // how near another choice was
};

Definition define(const Rule& rule, const float* z, const std::vector<float>& bias) {
  Definition d;
  const std::vector<double> scores = scores_of(rule.score, {z, z + rule.n_experts});
  std::vector<double> values = scores;
  for (size_t i = 0; i < bias.size(); ++i) values[i] += bias[i];
  if (rule.n_groups > 1) close_groups(rule, values, d.margin);
  d.experts = largest(values, rule.top_k, d.margin);
  std::sort(d.experts.begin(), d.experts.end());
  for (const int e : d.experts) d.weights.push_back(scores[e]);
  if (rule.score == RouterScore::kNone) d.weights = softmax(d.weights);
  const double sum = std::accumulate(d.weights.begin(), d.weights.end(), 0.0) + rule.epsilon;
  for (double& w : d.weights) w = (rule.normalise ? w / sum : w) * rule.scale;
  return d;
}

/// Compares all tokens; returns how many were too near to another choice for rounding to leave them apart.
int64_t compare(const Rule& rule, const std::vector<float>& z, const std::vector<float>& bias, const Routed& got) {
  const auto tokens = static_cast<int64_t>(z.size()) / rule.n_experts;
  double size = 1;  // the largest logit or bias
  for (const float v : z) size = std::max(size, std::fabs(static_cast<double>(v)));
  for (const float v : bias) size = std::max(size, std::fabs(static_cast<double>(v)));
  // Of a weight: the argument of exp is rounded, sums have n_experts terms; then a sum of top_k, a quotient, a product.
  const double relative = (2 * static_cast<double>(rule.n_experts) + 4 * size + 32) * kEps;
  int64_t close = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    const Definition d = define(rule, z.data() + t * rule.n_experts, bias);
    if (d.margin < 4 * relative * size) {
      ++close;
      continue;
    }
    for (int64_t j = 0; j < rule.top_k; ++j) {
      const int64_t at = t * rule.top_k + j;
      EXPECT_EQ(got.experts[at], d.experts[j]) << rule.text() << ", token " << t << ", choice " << j;
      EXPECT_NEAR(got.weights[at], d.weights[j], relative * std::fabs(d.weights[j]) + 1e-37)
          << rule.text() << ", token " << t << ", choice " << j;
      if (::testing::Test::HasFailure()) return close;
    }
  }
  EXPECT_EQ(got.invalid, -1);
  return close;
}

Rule random_rule(Random& random) {
  Rule rule;
  const int64_t n_groups = random.below(2) == 0 ? 1 : 1 + random.below(8);
  rule.n_experts = n_groups * (1 + random.below(random.below(4) == 0 ? 300 / n_groups : 16));
  const int64_t size = rule.n_experts / n_groups;
  rule.n_groups = n_groups;
  rule.groups_used = 1 + random.below(n_groups);
  rule.group_score = size > 1 && random.below(2) == 0 ? GroupScore::kTwoBest : GroupScore::kBest;
  const int64_t most = rule.groups_used * size;
  rule.top_k = random.below(4) == 0 ? 1 + random.below(most) : std::min<int64_t>(most, 1 + random.below(8));
  rule.score = static_cast<RouterScore>(random.below(3));
  rule.normalise = random.below(2) == 0;
  rule.epsilon = random.below(2) == 0 ? 0.0f : random.below(2) == 0 ? 1e-20f : 0.01f;
  rule.scale = random.below(2) == 0 ? 1.0f : random.uniform(0.1f, 4.0f);
  return rule;
}

// ---------------------------------------------------------------- the tests

TEST(Route, MatchesItsDefinition) {
  Random random(31);
  int64_t close = 0, tokens = 0;
  for (int round = 0; round < 400; ++round) {
    const Rule rule = random_rule(random);
    const int64_t n = 1 + random.below(40);
    const float spread = random.below(3) == 0 ? 0.1f : random.below(3) == 0 ? 8.0f : 1.0f;
    const auto z = filled(n * rule.n_experts, [&] { return spread * random.normal(); });
    std::vector<float> bias;
    if (random.below(2) == 0) bias = filled(rule.n_experts, [&] { return 0.3f * random.normal(); });
    const Routed got = route(scalar_kernels(), rule, z, bias);
    close += compare(rule, z, bias, got);
    tokens += n;
    for (const Kernels& kernels : test::levels()) {
      for (const int threads : {1, 2 + round % 7}) {
        const Routed again = route(kernels, rule, z, bias, threads);
        EXPECT_EQ(again.experts, got.experts) << kernels.level;
        test::expect_same_bits(got.weights, again.weights, kernels.level);
      }
    }
    ASSERT_FALSE(HasFailure()) << rule.text();
  }
  EXPECT_LT(close, tokens / 10);
}

TEST(Route, TiesGoToTheLowestNumber) {
  Random random(32);
  for (int round = 0; round < 300; ++round) {
    const Rule rule = random_rule(random);
    // Few different values: most choices tie.
    const auto z = filled(20 * rule.n_experts, [&] { return static_cast<float>(random.below(3)); });
    std::vector<float> bias;
    if (random.below(2) == 0)
      bias = filled(rule.n_experts, [&] { return 0.75f * static_cast<float>(random.below(2)); });
    EXPECT_EQ(compare(rule, z, bias, route(scalar_kernels(), rule, z, bias)), 0);
    ASSERT_FALSE(HasFailure()) << rule.text();
  }
}

TEST(Route, TheBiasSelectsAndDoesNotWeigh) {
  const Rule rule{.n_experts = 4, .top_k = 2, .score = RouterScore::kSigmoid};
  const Routed got = route(scalar_kernels(), rule, {0.0f, 3.0f, 2.0f, -1.0f}, {0.0f, -5.0f, 0.0f, 5.0f});
  EXPECT_EQ(got.experts, (std::vector<int32_t>{2, 3}));
  EXPECT_NEAR(got.weights[0], 1 / (1 + std::exp(-2.0)), 1e-6);
  EXPECT_NEAR(got.weights[1], 1 / (1 + std::exp(1.0)), 1e-6);
}

// A group's worth by its best or by its two best: 9 against 8 and 7.
TEST(Route, GroupsByBestAndByTwoBest) {
  const std::vector<float> z = {9, 0, 1, 8, 7, 2};
  Rule rule{.n_experts = 6, .top_k = 1, .score = RouterScore::kNone, .n_groups = 2, .groups_used = 1};
  EXPECT_EQ(route(scalar_kernels(), rule, z, {}).experts, std::vector<int32_t>{0});
  rule.group_score = GroupScore::kTwoBest;
  EXPECT_EQ(route(scalar_kernels(), rule, z, {}).experts, std::vector<int32_t>{3});
}

TEST(Route, WhatIsNotFiniteIsNamedAndLeavesUsableNumbers) {
  Random random(33);
  for (int round = 0; round < 200; ++round) {
    const Rule rule = random_rule(random);
    constexpr int64_t kTokens = 37;
    auto z = filled(kTokens * rule.n_experts, [&] { return random.normal(); });
    const std::vector<float> sound = z;
    int64_t first = kTokens;
    std::vector<bool> broken(kTokens);
    for (int64_t i = 0; i < 1 + random.below(3); ++i) {
      const int64_t t = random.below(kTokens);
      const float bad[] = {kInfinite, -kInfinite, std::numeric_limits<float>::quiet_NaN()};
      z[t * rule.n_experts + random.below(rule.n_experts)] = bad[random.below(3)];
      first = std::min(first, t);
      broken[t] = true;
    }
    const Routed expected = route(scalar_kernels(), rule, sound, {});
    for (const Kernels& kernels : test::levels()) {
      const Routed got = route(kernels, rule, z, {}, 1 + static_cast<int>(random.below(3)));
      EXPECT_EQ(got.invalid, first) << rule.text();
      for (int64_t at = 0; at < kTokens * rule.top_k; ++at) {
        const bool bad = broken[at / rule.top_k];
        EXPECT_EQ(got.experts[at], bad ? at % rule.top_k : expected.experts[at]) << rule.text();
        EXPECT_TRUE(test::same_bits(got.weights[at], bad ? 0.0f : expected.weights[at])) << rule.text();
      }
      ASSERT_FALSE(HasFailure());
    }
  }
}

// Biases that are not finite, and scores that reach the ends of float: experts stay apart and in range.
TEST(Route, ExtremesGiveExpertsInRange) {
  Random random(34);
  for (int round = 0; round < 200; ++round) {
    const Rule rule = random_rule(random);
    const auto z = filled(11 * rule.n_experts, [&] {
      const float v = random.awkward();
      return std::isfinite(v) ? v : 0.0f;
    });
    const auto bias = filled(rule.n_experts, [&] { return random.awkward(); });
    const Routed got = route(scalar_kernels(), rule, z, bias);
    // Scores that all vanish leave nothing to normalise by.
    if (got.invalid >= 0) {
      EXPECT_TRUE(rule.normalise);
      for (int64_t j = 0; j < rule.top_k; ++j) EXPECT_EQ(got.weights[got.invalid * rule.top_k + j], 0.0f);
    }
    for (size_t at = 0; at < got.experts.size(); ++at) {
      EXPECT_LT(got.experts[at], rule.n_experts);
      const int32_t before = at % rule.top_k == 0 ? -1 : got.experts[at - 1];
      EXPECT_GT(got.experts[at], before) << rule.text();
    }
    ASSERT_FALSE(HasFailure()) << rule.text();
  }
}

TEST(Route, GroupIsAStableSortByExpert) {
  Random random(35);
  for (int round = 0; round < 100; ++round) {
    const int64_t n_experts = 1 + random.below(round % 4 == 0 ? kMostExperts : 20), tokens = random.below(60);
    const int64_t top_k = 1 + random.below(std::min<int64_t>(n_experts, 9));
    std::vector<int32_t> experts;
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<int32_t> all(n_experts);
      std::iota(all.begin(), all.end(), 0);
      for (int64_t j = 0; j < top_k; ++j) std::swap(all[j], all[j + random.below(n_experts - j)]);
      std::sort(all.begin(), all.begin() + top_k);
      experts.insert(experts.end(), all.begin(), all.begin() + top_k);
    }
    const auto weights = filled(experts.size(), [&] { return random.normal(); });
    std::vector<int> order(experts.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return experts[a] < experts[b]; });

    Fenced<int64_t> first(n_experts + 1);
    Fenced<int32_t> slot_token(experts.size());
    Fenced<float> slot_weight(experts.size());
    test::Threads one(1);
    scalar_kernels().group({.first = first.data(),
                            .slot_token = slot_token.data(),
                            .slot_weight = slot_weight.data(),
                            .experts = experts.data(),
                            .weights = weights.data(),
                            .tokens = tokens,
                            .n_experts = n_experts,
                            .top_k = top_k},
                           one.launch());
    for (int64_t e = 0; e <= n_experts; ++e)
      EXPECT_EQ(first[e], std::count_if(experts.begin(), experts.end(), [&](int32_t x) { return x < e; })) << e;
    for (size_t slot = 0; slot < order.size(); ++slot) {
      EXPECT_EQ(slot_token[slot], order[slot] / top_k) << slot;
      EXPECT_EQ(slot_weight[slot], weights[order[slot]]) << slot;
    }
  }
}

TEST(Route, SigmoidMatchesItsDefinition) {
  Random random(36);
  auto x = filled(20001, [&] { return random.uniform(-100, 100); });
  for (int i = 0; i < 500; ++i) x[random.below(20001)] = random.awkward();
  for (const Kernels& kernels : test::levels()) {
    const Fenced<float> x_memory(x);
    Fenced<float> y(x.size());
    test::Threads one(1);
    kernels.sigmoid({.y = y.data(), .x = x_memory.data(), .count = static_cast<int64_t>(x.size())}, one.launch());
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        ASSERT_TRUE(std::isnan(y[i]));
        continue;
      }
      const double expected = 1 / (1 + std::exp(-static_cast<double>(x[i])));
      ASSERT_NEAR(y[i], expected, 8 * kEps * expected + 0x1p-125) << x[i];
    }
  }
}

}  // namespace
}  // namespace godwit
