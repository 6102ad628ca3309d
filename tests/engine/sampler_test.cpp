// Samplers against their definitions, written here once more and plainly: frequencies by chi-square, the rest by hand.
#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace godwit {
namespace {

using ::testing::HasSubstr;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kDraws = 100000;

std::vector<float> random_logits(uint64_t seed, size_t n, double spread = 2) {
  std::vector<float> logits;
  for (size_t i = 0; i < n; ++i)
    logits.push_back(static_cast<float>(spread * (random_unit(seed, 0, i) + random_unit(seed, 1, i) - 1)));
  return logits;
}

/// The definition: the probability of every id.
std::vector<double> defined(const std::vector<float>& logits, const SamplingOptions& o,
                            const std::vector<TokenId>& history = {}) {
  std::vector<double> z(logits.begin(), logits.end());
  for (const auto& [id, bias] : o.logit_bias) z[static_cast<size_t>(id)] += bias;
  for (size_t id = 0; id < z.size(); ++id) {
    const auto n = std::count(history.begin(), history.end(), static_cast<TokenId>(id));
    const size_t recent =
        o.repeat_last_n < 0 ? history.size() : std::min<size_t>(history.size(), static_cast<size_t>(o.repeat_last_n));
    if (std::count(history.end() - static_cast<std::ptrdiff_t>(recent), history.end(), static_cast<TokenId>(id)) > 0)
      z[id] = z[id] > 0 ? z[id] / o.repeat_penalty : z[id] * o.repeat_penalty;
    if (n > 0) z[id] -= o.presence_penalty + static_cast<double>(n) * o.frequency_penalty;
  }
  std::vector<size_t> order(z.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return z[a] > z[b]; });
  if (o.top_k > 0 && static_cast<size_t>(o.top_k) < order.size()) order.resize(static_cast<size_t>(o.top_k));
  const auto softmax = [&](std::vector<double>& p) {
    double sum = 0;
    p.assign(z.size(), 0);
    for (size_t id : order) sum += std::exp((z[id] - z[order[0]]) / o.temp);
    for (size_t id : order) p[id] = std::exp((z[id] - z[order[0]]) / o.temp) / sum;
  };
  std::vector<double> p;
  softmax(p);
  double reached = 0;
  for (size_t i = 0; i < order.size() && o.top_p < 1; ++i) {
    reached += p[order[i]];
    if (reached >= o.top_p) order.resize(i + 1);
  }
  softmax(p);
  std::erase_if(order, [&, most = p[order[0]]](size_t id) { return p[id] < o.min_p * most; });
  softmax(p);
  return p;
}

/// The probability of a chi-square at least so large (Wilson and Hilferty 1931).
double p_value(double chi_square, double degrees) {
  const double v = 2 / (9 * degrees);
  return 0.5 * std::erfc((std::cbrt(chi_square / degrees) - (1 - v)) / std::sqrt(2 * v));
}

/// Whether the counts may come from the probabilities; those expected less than five times count together.
bool distributed(const std::vector<double>& p, const std::vector<int64_t>& counts) {
  const auto n = static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  double chi_square = 0, degrees = -1, rare = 0, rare_count = 0;
  for (size_t id = 0; id < p.size(); ++id) {
    if (p[id] == 0 && counts[id] > 0) return false;
    if (n * p[id] < 5) {
      rare += n * p[id];
      rare_count += static_cast<double>(counts[id]);
      continue;
    }
    chi_square += std::pow(static_cast<double>(counts[id]) - n * p[id], 2) / (n * p[id]);
    ++degrees;
  }
  if (rare > 5) {
    chi_square += std::pow(rare_count - rare, 2) / rare;
    ++degrees;
  }
  return degrees < 1 || p_value(chi_square, degrees) > 1e-6;
}

std::vector<int64_t> counted(const std::vector<float>& logits, const SamplingOptions& o,
                             const std::vector<TokenId>& history = {}, int64_t draws = kDraws) {
  std::vector<int64_t> counts(logits.size());
  for (int64_t i = 0; i < draws; ++i) ++counts[static_cast<size_t>(sample(logits, o, history, i))];
  return counts;
}

void expect_as_defined(const std::vector<float>& logits, const SamplingOptions& o,
                       const std::vector<TokenId>& history = {}) {
  EXPECT_TRUE(distributed(defined(logits, o, history), counted(logits, o, history)));
}

TEST(Sampler, TheTestOfDistributionsTellsDifferencesApart) {
  // 95 % points of chi-square with 1, 10 and 100 degrees of freedom, from tables.
  EXPECT_NEAR(p_value(3.841, 1), 0.05, 0.005);
  EXPECT_NEAR(p_value(18.307, 10), 0.05, 0.001);
  EXPECT_NEAR(p_value(124.342, 100), 0.05, 0.001);
  const auto logits = random_logits(1, 20);
  EXPECT_FALSE(distributed(defined(logits, {.temp = 1.1}), counted(logits, {})));
  EXPECT_FALSE(distributed(defined(logits, {.top_k = 19}), counted(logits, {})));
}

TEST(Sampler, Temperature) {
  for (double temp : {1.0, 0.5, 1.7, 30.0}) expect_as_defined(random_logits(1, 50), {.temp = temp, .seed = 11});
}

TEST(Sampler, TopK) {
  for (int64_t k : {1, 2, 10, 49, 50, 1000}) expect_as_defined(random_logits(2, 50), {.top_k = k, .seed = 12});
}

TEST(Sampler, TopP) {
  for (double p : {1e-9, 0.1, 0.5, 0.9, 0.999, 1.0}) expect_as_defined(random_logits(3, 50), {.top_p = p, .seed = 13});
}

TEST(Sampler, MinP) {
  for (double p : {0.0, 0.05, 0.5, 0.9, 1.0}) expect_as_defined(random_logits(4, 50), {.min_p = p, .seed = 14});
}

TEST(Sampler, Penalties) {
  const std::vector<TokenId> history = {3, 3, 3, 7, 9, 3, 7, 11};
  const auto logits = random_logits(5, 20);
  expect_as_defined(logits, {.repeat_penalty = 1.8, .seed = 15}, history);
  expect_as_defined(logits, {.repeat_penalty = 1.8, .repeat_last_n = 2, .seed = 15}, history);
  expect_as_defined(logits, {.repeat_penalty = 1.8, .repeat_last_n = 0, .seed = 15}, history);
  expect_as_defined(logits, {.presence_penalty = 0.9, .seed = 16}, history);
  expect_as_defined(logits, {.frequency_penalty = 0.4, .seed = 17}, history);
  expect_as_defined(logits, {.logit_bias = {{4, 1.5f}, {5, -kInf}, {4, 0.5f}}, .seed = 18}, history);
}

TEST(Sampler, AllTogether) {
  const std::vector<TokenId> history = {3, 3, 17, 40, 3, 8};
  for (uint64_t seed = 0; seed < 5; ++seed) {
    expect_as_defined(random_logits(seed, 60, 3),
                      {.temp = 0.8,
                       .top_k = 30,
                       .top_p = 0.9,
                       .min_p = 0.04,
                       .repeat_penalty = 1.2,
                       .presence_penalty = 0.3,
                       .frequency_penalty = 0.2,
                       .logit_bias = {{2, 1.0f}},
                       .seed = seed},
                      history);
  }
}

TEST(Sampler, WideVocabularies) {
  // More than are ranked at once, within one distance of the highest and over several.
  for (double spread : {0.5, 6.0}) {
    const auto logits = random_logits(6, 2500, spread);
    EXPECT_TRUE(distributed(defined(logits, {}), counted(logits, {}, {}, 15000)));
    const SamplingOptions some{.top_k = 1500, .top_p = 0.95, .seed = 5};
    EXPECT_TRUE(distributed(defined(logits, some), counted(logits, some, {}, 15000)));
  }
  std::vector<float> deep = random_logits(7, 2500, 200);
  EXPECT_TRUE(distributed(defined(deep, {.temp = 60}), counted(deep, {.temp = 60}, {}, 15000)));
}

TEST(Sampler, EqualLogitsKeepTheLowestIds) {
  const std::vector<float> logits(3000, 1.25f);
  const auto counts = counted(logits, {.top_k = 100}, {}, 20000);
  std::vector<double> p(3000, 0.0);
  std::fill(p.begin(), p.begin() + 100, 0.01);
  EXPECT_TRUE(distributed(p, counts));
  // The smallest set that reaches a half of 4 equal ones has two.
  const std::vector<float> four(4, -3.0f);
  EXPECT_TRUE(distributed({0.5, 0.5, 0, 0}, counted(four, {.top_p = 0.5})));
  EXPECT_TRUE(distributed({0.25, 0.25, 0.25, 0.25}, counted(four, {.min_p = 1})));
  EXPECT_EQ(sample(four, {.greedy = true}, {}, 0), 0);
}

TEST(Sampler, GreedyIsTheHighestAndOfEqualsTheFirst) {
  const std::vector<float> logits = {-1, 3, 0.5f, 3, -kInf};
  EXPECT_EQ(sample(logits, {.greedy = true}, {}, 0), 1);
  EXPECT_EQ(sample(logits, {.temp = 0}, {}, 9), 1);
  EXPECT_EQ(sample(logits, {.logit_bias = {{2, 3.0f}}, .greedy = true}, {}, 0), 2);
  EXPECT_EQ(sample(logits, {.logit_bias = {{1, -kInf}}, .greedy = true}, {}, 0), 3);
}

TEST(Sampler, PenaltiesByHand) {
  // Greedy shows which logit is the highest after the penalties.
  const auto first = [](std::vector<float> logits, SamplingOptions o, std::vector<TokenId> history) {
    o.greedy = true;
    return sample(logits, o, history, 0);
  };
  // 4 / 2 = 2 is under 2.5; -1 * 2 = -2 is under -1.5. Once for each token, however often it occurred.
  EXPECT_EQ(first({4, 2.5f}, {.repeat_penalty = 2}, {0}), 1);
  EXPECT_EQ(first({-1, -1.5f}, {.repeat_penalty = 2}, {0}), 1);
  EXPECT_EQ(first({4, 1.5f}, {.repeat_penalty = 2}, {0, 0, 0}), 0);
  // Only the last 64 count by default.
  std::vector<TokenId> history(64, 1);
  EXPECT_EQ(first({4, -9, 2.5f}, {.repeat_penalty = 2}, history), 0);
  history.insert(history.begin(), 0);
  EXPECT_EQ(first({4, -9, 2.5f}, {.repeat_penalty = 2}, history), 0);
  EXPECT_EQ(first({4, -9, 2.5f}, {.repeat_penalty = 2, .repeat_last_n = -1}, history), 2);
  // Presence: 4 - 1 = 3 whether it occurred once or thrice. Frequency: 4 - 3 * 0.5 = 2.5.
  EXPECT_EQ(first({4, 2.9f}, {.presence_penalty = 1}, {0, 0, 0}), 0);
  EXPECT_EQ(first({4, 3.1f}, {.presence_penalty = 1}, {0, 0, 0}), 1);
  EXPECT_EQ(first({4, 2.4f}, {.frequency_penalty = 0.5}, {0, 0, 0}), 0);
  EXPECT_EQ(first({4, 2.6f}, {.frequency_penalty = 0.5}, {0, 0, 0}), 1);
  // Bias comes before the repeat penalty: (3 + 1) / 2 = 2, not 3 / 2 + 1 = 2.5.
  EXPECT_EQ(first({3, 2.25f}, {.repeat_penalty = 2, .logit_bias = {{0, 1.0f}}}, {0}), 1);
  // Ids that the logits do not have are passed over.
  EXPECT_EQ(first({1, 2}, {.repeat_penalty = 2, .presence_penalty = 1, .logit_bias = {{7, 9.0f}}}, {5, -1}), 1);
}

TEST(Sampler, ATokenDependsOnSeedChoiceAndPositionAlone) {
  const auto logits = random_logits(8, 1000);
  const SamplingOptions a{.seed = 1}, b{.seed = 2};
  int differs_by_seed = 0, differs_by_choice = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    const TokenId id = sample(logits, a, {}, i);
    ASSERT_EQ(sample(logits, a, {}, i), id);
    ASSERT_EQ(sample(logits, {.top_k = 1000, .seed = 1}, {}, i), id);  // keeps all, so nothing changes
    differs_by_seed += sample(logits, b, {}, i) != id ? 1 : 0;
    differs_by_choice += sample(logits, a, {}, i, 1) != id ? 1 : 0;
  }
  EXPECT_GT(differs_by_seed, 900);
  EXPECT_GT(differs_by_choice, 900);
}

TEST(Sampler, NeighbouringDrawsAreIndependent) {
  const std::vector<float> logits = {0, 0, 0, 0};
  const std::vector<double> sixteenth(16, 1.0 / 16);
  std::vector<int64_t> positions(16), seeds(16), choices(16);
  for (int64_t i = 0; i < kDraws; ++i) {
    const auto u = static_cast<uint64_t>(i);
    const auto pair = [](TokenId x, TokenId y) { return static_cast<size_t>(4 * x + y); };
    ++positions[pair(sample(logits, {.seed = 3}, {}, 2 * i), sample(logits, {.seed = 3}, {}, 2 * i + 1))];
    ++seeds[pair(sample(logits, {.seed = 2 * u}, {}, 5), sample(logits, {.seed = 2 * u + 1}, {}, 5))];
    ++choices[pair(sample(logits, {.seed = 3}, {}, i, 0), sample(logits, {.seed = 3}, {}, i, 1))];
  }
  EXPECT_TRUE(distributed(sixteenth, positions));
  EXPECT_TRUE(distributed(sixteenth, seeds));
  EXPECT_TRUE(distributed(sixteenth, choices));
}

TEST(Sampler, ImpossibleTokensAreNeverChosen) {
  std::vector<float> logits(100, -kInf);
  logits[17] = -2;
  logits[80] = -3;
  expect_as_defined(logits, {});
  expect_as_defined(logits, {.temp = 100, .top_p = 0.9999999});
  expect_as_defined(logits, {.top_k = 50});
  logits[80] = -1e30f;
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(sample(logits, {}, {}, i), 17);
  const std::vector<float> enormous = {3e38f, -3e38f, 1};
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(sample(enormous, {.logit_bias = {{0, 3e38f}}}, {}, i), 0);
}

std::string message_of(const std::function<void()>& f, ErrorKind kind) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind);
    return e.what();
  }
  return "nothing was thrown";
}

TEST(Sampler, LogitsThatAreNotFiniteFail) {
  for (float bad : {std::nanf(""), kInf}) {
    std::vector<float> logits(40, 1.0f);
    logits[33] = bad;
    for (const SamplingOptions& o : {SamplingOptions{}, SamplingOptions{.greedy = true}, SamplingOptions{.top_k = 1}})
      EXPECT_THAT(message_of([&] { sample(logits, o, {}, 123); }, ErrorKind::kFailed),
                  HasSubstr("logits are not finite at position 123"));
  }
  const std::vector<float> none(4, -kInf);
  EXPECT_THAT(message_of([&] { sample(none, {}, {}, 6); }, ErrorKind::kFailed), HasSubstr("position 6"));
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  const double nan = std::nan("");
  const std::vector<std::pair<SamplingOptions, std::string>> bad = {
      {{.temp = -0.1}, "temp: expected 0 to 100, got -0.1"},
      {{.temp = nan}, "temp: "},
      {{.temp = 101}, "temp: "},
      {{.top_k = -1}, "top_k: "},
      {{.top_p = 0}, "top_p: "},
      {{.top_p = 1.5}, "top_p: "},
      {{.top_p = nan}, "top_p: "},
      {{.min_p = -0.5}, "min_p: "},
      {{.min_p = 2}, "min_p: "},
      {{.repeat_penalty = 0}, "repeat_penalty: "},
      {{.repeat_penalty = kInf}, "repeat_penalty: "},
      {{.repeat_last_n = -2}, "repeat_last_n: "},
      {{.presence_penalty = nan}, "presence_penalty: "},
      {{.frequency_penalty = kInf}, "frequency_penalty: "},
      {{.logit_bias = {{-1, 0.0f}}}, "logit_bias: "},
      {{.logit_bias = {{1, kInf}}}, "logit_bias of token 1: "},
  };
  for (const auto& [options, message] : bad)
    EXPECT_THAT(message_of([&o = options] { check(o); }, ErrorKind::kUsage), HasSubstr(message));
  EXPECT_NO_THROW(check({}));
  EXPECT_NO_THROW(check({.temp = 0, .top_p = 1e-9, .min_p = 1, .logit_bias = {{5, -kInf}}}));
}

}  // namespace
}  // namespace godwit
