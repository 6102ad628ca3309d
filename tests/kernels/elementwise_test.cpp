// Norms, rotary embedding, sums, caps and softmax: the scalar level against definitions in double, within bounds that
// come from the data; every other level against scalar, bit for bit, on odd sizes and awkward numbers.
#include <algorithm>

#include "kernels/elementwise_harness.h"

namespace godwit {
namespace {

using test::copy_of;
using test::expect_levels_agree;
using test::Fenced;
using test::filled;
using test::kEps;
using test::kFlushed;
using test::mixed;
using test::Random;

// ---------------------------------------------------------------- rms_norm

std::vector<float> rms_norm(const Kernels& kernels, Launch& launch, const std::vector<float>& x,
                            const std::vector<float>& gain, bool plus_one, int64_t gain_rows = 1) {
  const Fenced<float> x_memory(x), gain_memory(gain);
  Fenced<float> y(x.size());
  const int64_t width = static_cast<int64_t>(gain.size()) / gain_rows;
  kernels.rms_norm({.y = y.data(),
                    .x = x_memory.data(),
                    .gain = gain_memory.data(),
                    .rows = static_cast<int64_t>(x.size()) / width,
                    .width = width,
                    .eps = 1e-6f,
                    .gain_plus_one = plus_one,
                    .gain_rows = gain_rows},
                   launch);
  return copy_of(y);
}

TEST(Elementwise, RmsNormMatchesItsDefinition) {
  Random random(1);
  test::Threads one(1);
  for (const int64_t width : {1, 5, 16, 33, 64, 640, 2048}) {
    for (const bool plus_one : {false, true}) {
      const auto n = static_cast<size_t>(width);
      const std::vector<float> x = filled(3 * n, [&] { return 3 * random.normal(); });
      const std::vector<float> gain = filled(n, [&] { return random.normal(); });
      const std::vector<float> y = rms_norm(scalar_kernels(), one.launch(), x, gain, plus_one);
      for (size_t row = 0; row < 3; ++row) {
        double sum = 0;
        for (size_t i = 0; i < n; ++i) sum += std::pow(static_cast<double>(x[row * n + i]), 2);
        const double factor = 1 / std::sqrt(sum / static_cast<double>(width) + static_cast<double>(1e-6f));
        for (size_t i = 0; i < n; ++i) {
          const double truth = x[row * n + i] * factor * (plus_one ? 1.0 + gain[i] : gain[i]);
          const double scale = std::fabs(x[row * n + i] * factor) * ((plus_one ? 1 : 0) + std::fabs(gain[i]));
          ASSERT_NEAR(y[row * n + i], truth, (static_cast<double>(width) / 16 + 12) * kEps * scale);
        }
      }
    }
  }
}

TEST(Elementwise, RmsNormIsTheSameAtEveryLevel) {
  Random random(2);
  for (int64_t width = 1; width <= 70; ++width) {
    for (const int64_t rows : {0, 1, 3}) {
      const std::vector<float> x = mixed(random, rows * width, 200);
      const std::vector<float> gain = mixed(random, width, 40);
      for (const bool plus_one : {false, true}) {
        expect_levels_agree("rms_norm " + std::to_string(width), [&](const Kernels& kernels, Launch& launch) {
          return rms_norm(kernels, launch, x, gain, plus_one);
        });
      }
    }
  }
  const std::vector<float> x = filled(37 * 3001, [&] { return random.normal(); });  // several tasks
  const std::vector<float> gain = filled(3001, [&] { return random.normal(); });
  expect_levels_agree("rms_norm of 37 rows", [&](const Kernels& kernels, Launch& launch) {
    return rms_norm(kernels, launch, x, gain, false);
  });
}

// Rows in turn take rows of gain: each as it would be alone.
TEST(Elementwise, RmsNormOfGroupsIsThatOfEachGroup) {
  Random random(17);
  test::Threads one(1);
  for (const int64_t width : {1, 7, 16, 37, 150, 5000}) {
    for (const int64_t groups : {2, 3, 8}) {
      const int64_t rows = 5 * groups;
      const std::vector<float> x = mixed(random, rows * width, 300), gain = mixed(random, groups * width, 50);
      for (const bool plus_one : {false, true}) {
        std::vector<float> expected;
        for (int64_t row = 0; row < rows; ++row) {
          const auto from = x.begin() + row * width, gain_from = gain.begin() + row % groups * width;
          const std::vector<float> y =
              rms_norm(scalar_kernels(), one.launch(), {from, from + width}, {gain_from, gain_from + width}, plus_one);
          expected.insert(expected.end(), y.begin(), y.end());
        }
        expect_levels_agree("rms_norm of groups", [&](const Kernels& kernels, Launch& launch) {
          const std::vector<float> y = rms_norm(kernels, launch, x, gain, plus_one, groups);
          test::expect_same_bits(expected, y, "rms_norm of groups of " + std::to_string(width));
          return y;
        });
      }
    }
  }
}

// ---------------------------------------------------------------- rotary embedding

std::vector<float> rope_table(const Kernels& kernels, Launch& launch, const std::vector<int64_t>& positions,
                              const std::vector<float>& inv_freq, float scale) {
  Fenced<float> table(positions.size() * inv_freq.size() * 2);
  kernels.rope_table({.table = table.data(),
                      .positions = positions.data(),
                      .inv_freq = inv_freq.data(),
                      .tokens = static_cast<int64_t>(positions.size()),
                      .n_pairs = static_cast<int64_t>(inv_freq.size()),
                      .scale = scale},
                     launch);
  return copy_of(table);
}

std::vector<float> usual_frequencies(int64_t n_pairs, double base) {
  std::vector<float> all;
  for (int64_t i = 0; i < n_pairs; ++i) {
    all.push_back(static_cast<float>(std::pow(base, -static_cast<double>(i) / static_cast<double>(n_pairs))));
  }
  return all;
}

TEST(Elementwise, RopeTableIsTheRoundedSineOfTheRoundedAngle) {
  const std::vector<int64_t> positions = {0, 1, 2, 63, 64, 1000, 4095, 32768, 131071, 1048575, 10000000};
  const std::vector<float> inv_freq = usual_frequencies(33, 1e6);
  test::Threads one(1);
  const std::vector<float> table = rope_table(scalar_kernels(), one.launch(), positions, inv_freq, 1.25f);
  size_t at = 0;
  for (const int64_t position : positions) {
    for (const float frequency : inv_freq) {
      const float angle = static_cast<float>(position) * frequency;
      EXPECT_EQ(table[at++], static_cast<float>(std::cos(static_cast<double>(angle))) * 1.25f);
      EXPECT_EQ(table[at++], static_cast<float>(std::sin(static_cast<double>(angle))) * 1.25f);
    }
  }
  std::vector<int64_t> many(300);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<int64_t>(i * i);
  expect_levels_agree("rope_table", [&](const Kernels& kernels, Launch& launch) {
    return rope_table(kernels, launch, many, inv_freq, 1.0f);
  });
}

struct RopeCase {
  int64_t tokens, heads, head_dim, n_pairs;
  bool interleaved;
};

std::vector<float> rope(const Kernels& kernels, Launch& launch, const RopeCase& c, const std::vector<float>& x,
                        const std::vector<float>& table) {
  const Fenced<float> x_memory(x), table_memory(table);
  Fenced<float> y(x.size());
  kernels.rope({.y = y.data(),
                .x = x_memory.data(),
                .table = table_memory.data(),
                .tokens = c.tokens,
                .heads = c.heads,
                .head_dim = c.head_dim,
                .n_pairs = c.n_pairs,
                .interleaved = c.interleaved},
               launch);
  return copy_of(y);
}

TEST(Elementwise, RopeTurnsPairsAndCopiesTheRest) {
  Random random(3);
  test::Threads one(1);
  for (const bool interleaved : {false, true}) {
    const RopeCase c{.tokens = 3, .heads = 2, .head_dim = 50, .n_pairs = 19, .interleaved = interleaved};
    const std::vector<float> x = filled(3 * 2 * 50, [&] { return random.normal(); });
    const std::vector<float> table = filled(3 * 19 * 2, [&] { return random.uniform(-1, 1); });
    const std::vector<float> y = rope(scalar_kernels(), one.launch(), c, x, table);
    for (size_t token = 0; token < 3; ++token) {
      for (size_t head = 0; head < 2; ++head) {
        const size_t start = (token * 2 + head) * 50;
        for (size_t i = 0; i < 19; ++i) {
          const size_t at0 = start + (interleaved ? 2 * i : i), at1 = start + (interleaved ? 2 * i + 1 : i + 19);
          const double cos = table[(token * 19 + i) * 2], sin = table[(token * 19 + i) * 2 + 1];
          const double bound = 2 * kEps * (std::fabs(x[at0]) + std::fabs(x[at1]));
          ASSERT_NEAR(y[at0], x[at0] * cos - x[at1] * sin, bound);
          ASSERT_NEAR(y[at1], x[at0] * sin + x[at1] * cos, bound);
        }
        for (size_t i = 38; i < 50; ++i) ASSERT_EQ(y[start + i], x[start + i]);
      }
    }
  }
}

TEST(Elementwise, RopeIsTheSameAtEveryLevel) {
  Random random(4);
  for (int64_t n_pairs = 0; n_pairs <= 70; ++n_pairs) {
    for (const bool interleaved : {false, true}) {
      for (const int64_t tokens : {0, 1, 3}) {
        const RopeCase c{.tokens = tokens,
                         .heads = 3,
                         .head_dim = 2 * n_pairs + random.below(20) + 1,
                         .n_pairs = n_pairs,
                         .interleaved = interleaved};
        const std::vector<float> x = mixed(random, tokens * c.heads * c.head_dim, 40);
        const std::vector<float> table = mixed(random, tokens * n_pairs * 2, 100);
        expect_levels_agree("rope " + std::to_string(n_pairs),
                            [&](const Kernels& kernels, Launch& launch) { return rope(kernels, launch, c, x, table); });
      }
    }
  }
}

// ---------------------------------------------------------------- one value at a time

std::vector<float> add(const Kernels& kernels, Launch& launch, const std::vector<float>& a,
                       const std::vector<float>& b) {
  const Fenced<float> b_memory(b);
  Fenced<float> y(a);
  kernels.add({.y = y.data(), .a = y.data(), .b = b_memory.data(), .count = static_cast<int64_t>(a.size())}, launch);
  return copy_of(y);
}

TEST(Elementwise, AddIsTheSumRoundedOnce) {
  Random random(7);
  test::Threads one(1);
  const std::vector<float> a = filled(1000, [&] { return random.wide(-20, 20); });
  const std::vector<float> b = filled(1000, [&] { return random.wide(-20, 20); });
  const std::vector<float> y = add(scalar_kernels(), one.launch(), a, b);
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_EQ(y[i], static_cast<float>(static_cast<double>(a[i]) + static_cast<double>(b[i])));
  }
  for (int64_t n = 0; n <= 70; ++n) {
    const std::vector<float> c = mixed(random, n, 4), d = mixed(random, n, 4);
    expect_levels_agree("add", [&](const Kernels& kernels, Launch& launch) { return add(kernels, launch, c, d); });
  }
}

std::vector<float> softcap(const Kernels& kernels, Launch& launch, const std::vector<float>& x, float cap) {
  const Fenced<float> x_memory(x);
  Fenced<float> y(x.size());
  kernels.softcap({.y = y.data(), .x = x_memory.data(), .count = static_cast<int64_t>(x.size()), .cap = cap}, launch);
  return copy_of(y);
}

TEST(Elementwise, SoftcapMatchesItsDefinition) {
  Random random(8);
  test::Threads one(1);
  const std::vector<float> x = filled(20000, [&] { return random.wide(-20, 9); });
  const std::vector<float> y = softcap(scalar_kernels(), one.launch(), x, 30.0f);
  for (size_t i = 0; i < x.size(); ++i) {
    const double truth = 30 * std::tanh(x[i] / 30.0);
    ASSERT_NEAR(y[i], truth, 8 * kEps * std::fabs(truth)) << x[i];
  }
}

TEST(Elementwise, SoftcapIsTheSameAtEveryLevel) {
  Random random(9);
  for (int64_t n = 0; n <= 70; ++n) {
    const std::vector<float> x = mixed(random, n, 6);
    expect_levels_agree("softcap",
                        [&](const Kernels& kernels, Launch& launch) { return softcap(kernels, launch, x, 5); });
  }
  const std::vector<float> x = filled(100003, [&] { return random.wide(-20, 9); });
  expect_levels_agree("softcap",
                      [&](const Kernels& kernels, Launch& launch) { return softcap(kernels, launch, x, 30); });
}

// ---------------------------------------------------------------- softmax

/// y, then the maxima, then the sums.
std::vector<float> softmax(const Kernels& kernels, Launch& launch, const std::vector<float>& x, int64_t width,
                           bool with_y) {
  const Fenced<float> x_memory(x);
  const int64_t rows = static_cast<int64_t>(x.size()) / width;
  Fenced<float> y(with_y ? x.size() : 0);
  Fenced<float> highest(static_cast<size_t>(rows)), sum(static_cast<size_t>(rows));
  kernels.softmax({.y = with_y ? y.data() : nullptr,
                   .x = x_memory.data(),
                   .max_out = highest.data(),
                   .sum_out = sum.data(),
                   .rows = rows,
                   .width = width},
                  launch);
  std::vector<float> all = copy_of(y);
  all.insert(all.end(), highest.span().begin(), highest.span().end());
  all.insert(all.end(), sum.span().begin(), sum.span().end());
  return all;
}

TEST(Elementwise, SoftmaxMatchesItsDefinition) {
  Random random(10);
  test::Threads one(1);
  for (const int64_t width : {1, 2, 17, 300, 5000}) {
    const std::vector<float> x = filled(static_cast<size_t>(width), [&] { return 6 * random.normal(); });
    const std::vector<float> y = softmax(scalar_kernels(), one.launch(), x, width, true);
    const double highest = *std::max_element(x.begin(), x.end());
    double sum = 0;
    for (const float v : x) sum += std::exp(v - highest);
    for (size_t i = 0; i < x.size(); ++i) {
      const double truth = std::exp(x[i] - highest) / sum;
      // The rounding of x - max is a relative error of |x - max| after exp, in the term and, at most, in the sum.
      const double bound = (static_cast<double>(width) / 16 + 12 + 2 * 80) * kEps;
      ASSERT_NEAR(y[i], truth, bound * truth + kFlushed);
    }
    EXPECT_EQ(y[x.size()], highest);
    EXPECT_NEAR(y[x.size() + 1], sum, (static_cast<double>(width) / 16 + 92) * kEps * sum);
  }
}

TEST(Elementwise, SoftmaxOfUnusualRows) {
  test::Threads one(1);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto run = [&](const std::vector<float>& x) {
    return softmax(scalar_kernels(), one.launch(), x, static_cast<int64_t>(x.size()), true);
  };
  EXPECT_EQ(run({-kInf, 2.0f, -kInf}), (std::vector<float>{0, 1, 0, 2, 1}));
  EXPECT_EQ(run({3e38f, -3e38f}), (std::vector<float>{1, 0, 3e38f, 1}));
  for (const float bad : {kInf, std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<float> y = run({1.0f, bad, 0.0f});
    EXPECT_TRUE(std::isnan(y[1]));
    EXPECT_TRUE(std::isnan(y[4])) << "the sum shows it";
  }
}

TEST(Elementwise, SoftmaxIsTheSameAtEveryLevel) {
  Random random(11);
  for (int64_t width = 1; width <= 70; ++width) {
    for (const int64_t rows : {0, 1, 5}) {
      for (const int64_t one_in : {4, 100, 100000}) {
        const std::vector<float> x = mixed(random, rows * width, one_in);
        for (const bool with_y : {false, true}) {
          expect_levels_agree("softmax " + std::to_string(width), [&](const Kernels& kernels, Launch& launch) {
            return softmax(kernels, launch, x, width, with_y);
          });
        }
      }
    }
  }
  const std::vector<float> x = filled(5 * 20011, [&] { return 5 * random.normal(); });
  expect_levels_agree("softmax",
                      [&](const Kernels& kernels, Launch& launch) { return softmax(kernels, launch, x, 20011, true); });
}

}  // namespace
}  // namespace godwit
