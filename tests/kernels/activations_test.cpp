// Activations of feed-forward blocks, and what scales, bounds and moves values: scalar against definitions in double,
// every level against scalar, bit for bit.
#include <algorithm>
#include <array>

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

constexpr float kInf = std::numeric_limits<float>::infinity();

constexpr Activation kAll[] = {Activation::kSilu,  Activation::kGeluTanh, Activation::kSwigluClamped,
                               Activation::kRelu2, Activation::kIdentity, Activation::kGelu};
constexpr float kLimit = 7.0f, kAlpha = 1.702f;  // of swiglu_clamped, as gpt-oss has them

/// Without `up` when that is empty.
std::vector<float> gated(const Kernels& kernels, Launch& launch, const std::vector<float>& gate,
                         const std::vector<float>& up, Activation activation) {
  const Fenced<float> gate_memory(gate), up_memory(up);
  Fenced<float> y(gate.size());
  kernels.gated({.y = y.data(),
                 .gate = gate_memory.data(),
                 .up = up.empty() ? nullptr : up_memory.data(),
                 .count = static_cast<int64_t>(gate.size()),
                 .activation = activation,
                 .limit = kLimit,
                 .alpha = kAlpha},
                launch);
  return copy_of(y);
}

TEST(Elementwise, GatedMatchesItsDefinition) {
  Random random(5);
  test::Threads one(1);
  const std::vector<float> gate = filled(40000, [&] { return random.uniform(-30, 30); });
  const std::vector<float> up = filled(gate.size(), [&] { return random.normal(); });
  const std::vector<float> silu = gated(scalar_kernels(), one.launch(), gate, up, Activation::kSilu);
  const std::vector<float> gelu = gated(scalar_kernels(), one.launch(), gate, up, Activation::kGeluTanh);
  for (size_t i = 0; i < gate.size(); ++i) {
    const double x = gate[i];
    const double true_silu = x / (1 + std::exp(-x)) * up[i];
    ASSERT_NEAR(silu[i], true_silu, 8 * kEps * std::fabs(true_silu)) << x;
    const double z = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    // 1 + tanh(z) as 2 / (1 + exp(-2z)): in double too it would cancel. The error of z is multiplied by 2z in exp.
    const double true_gelu = x / (1 + std::exp(-2 * z)) * up[i];
    ASSERT_NEAR(gelu[i], true_gelu, (10 + 8 * std::fabs(z)) * kEps * std::fabs(true_gelu) + 40 * kFlushed) << x;
    ASSERT_NEAR(gelu[i], 0.5 * x * (1 + std::tanh(z)) * up[i], 1e-5 * std::fabs(up[i]) * (1 + std::fabs(x))) << x;
  }
}

TEST(Elementwise, GeluMatchesItsDefinition) {
  Random random(14);
  test::Threads one(1);
  std::vector<float> x = filled(40000, [&] { return random.uniform(-20, 20); });
  for (int i = 0; i < 20000; ++i) x.push_back(random.wide(-60, 1));
  x.insert(x.end(), {0.0f, -0.0f, 100.0f, -100.0f});
  const std::vector<float> y = gated(scalar_kernels(), one.launch(), x, {}, Activation::kGelu);
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i], truth = 0.5 * v * std::erfc(-v * M_SQRT1_2);
    ASSERT_NEAR(y[i], truth, (10 + v * v) * kEps * std::fabs(truth) + 40 * kFlushed) << v;
  }
  const auto of = [&](float v) { return gated(scalar_kernels(), one.launch(), {v}, {}, Activation::kGelu)[0]; };
  EXPECT_TRUE(std::isnan(of(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_EQ(of(kInf), kInf);
  EXPECT_EQ(of(-kInf), 0.0f);
}

TEST(Elementwise, ClampedSwigluMatchesItsDefinition) {
  Random random(12);
  test::Threads one(1);
  const std::vector<float> gate = filled(20000, [&] { return random.uniform(-30, 15); });
  const std::vector<float> up = filled(gate.size(), [&] { return 5 * random.normal(); });
  const std::vector<float> y = gated(scalar_kernels(), one.launch(), gate, up, Activation::kSwigluClamped);
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = std::min<double>(gate[i], kLimit), u = std::clamp<double>(up[i], -kLimit, kLimit);
    const double alpha = kAlpha, truth = g / (1 + std::exp(-alpha * g)) * (u + 1);
    // The rounding of alpha g is a relative error of |alpha g| after exp.
    ASSERT_NEAR(y[i], truth, (12 + 2 * std::fabs(alpha * g)) * kEps * std::fabs(truth)) << gate[i] << ", " << up[i];
  }
}

TEST(Elementwise, ClampedSwigluOfUnusualNumbers) {
  test::Threads one(1);
  const auto of = [&](float gate, float up) {
    return gated(scalar_kernels(), one.launch(), {gate}, {up}, Activation::kSwigluClamped)[0];
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(of(nan, 1)));
  EXPECT_TRUE(std::isnan(of(1, nan)));
  EXPECT_EQ(of(kInf, kInf), of(kLimit, kLimit));
  EXPECT_EQ(of(100, -100), of(kLimit, -kLimit));
  EXPECT_EQ(of(3, -1), 0.0f);
  EXPECT_TRUE(std::isnan(of(-kInf, 1))) << "-inf * 0, as the formula says";
}

TEST(Elementwise, WithoutGateItIsTheActivationAlone) {
  Random random(13);
  test::Threads one(1);
  std::vector<float> x = filled(3000, [&] { return random.wide(-60, 60); });
  x.insert(x.end(), {0.0f, -0.0f, kInf, -kInf});
  const std::vector<float> relu2 = gated(scalar_kernels(), one.launch(), x, {}, Activation::kRelu2);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(relu2[i], x[i] > 0 ? x[i] * x[i] : 0.0f) << x[i];
  EXPECT_TRUE(std::isnan(gated(scalar_kernels(), one.launch(), {__builtin_nanf("")}, {}, Activation::kRelu2)[0]));
  x.push_back(__builtin_nanf(""));
  test::expect_same_bits(x, gated(scalar_kernels(), one.launch(), x, {}, Activation::kIdentity), "identity");
  const std::vector<float> ones(x.size(), 1.0f), twos(x.size(), 2.0f);
  const std::vector<float> doubled = gated(scalar_kernels(), one.launch(), x, twos, Activation::kIdentity);
  for (size_t i = 0; i + 1 < x.size(); ++i) ASSERT_EQ(doubled[i], 2 * x[i]);
  for (const Activation activation :
       {Activation::kSilu, Activation::kGeluTanh, Activation::kRelu2, Activation::kIdentity, Activation::kGelu}) {
    test::expect_same_bits(gated(scalar_kernels(), one.launch(), x, ones, activation),
                           gated(scalar_kernels(), one.launch(), x, {}, activation), "without a gate");
  }
}

TEST(Elementwise, GatedIsTheSameAtEveryLevel) {
  Random random(6);
  for (int64_t n = 0; n <= 70; ++n) {
    const std::vector<float> gate = mixed(random, n, 6), up = mixed(random, n, 20);
    for (const Activation activation : kAll) {
      expect_levels_agree("gated " + std::to_string(n), [&](const Kernels& kernels, Launch& launch) {
        return gated(kernels, launch, gate, up, activation);
      });
      if (activation == Activation::kSwigluClamped) continue;
      expect_levels_agree("ungated " + std::to_string(n), [&](const Kernels& kernels, Launch& launch) {
        return gated(kernels, launch, gate, {}, activation);
      });
    }
  }
  const std::vector<float> gate = filled(100003, [&] { return random.uniform(-100, 100); });  // all of exp's range
  const std::vector<float> up(gate.size(), 1.0f);
  for (const Activation activation : kAll) {
    expect_levels_agree(
        "gated", [&](const Kernels& kernels, Launch& launch) { return gated(kernels, launch, gate, up, activation); });
  }
}

// ---------------------------------------------------------------- scaled, bounded, moved

std::vector<float> scale_rows(const Kernels& kernels, Launch& launch, const std::vector<float>& x,
                              const std::vector<float>& factors) {
  const Fenced<float> x_memory(x), factors_memory(factors);
  Fenced<float> y(x.size());
  const auto rows = static_cast<int64_t>(factors.size());
  kernels.scale_rows({.y = y.data(),
                      .x = x_memory.data(),
                      .factors = factors_memory.data(),
                      .rows = rows,
                      .width = static_cast<int64_t>(x.size()) / std::max<int64_t>(rows, 1)},
                     launch);
  return copy_of(y);
}

TEST(Elementwise, ScaleRowsIsTheProductRoundedOnce) {
  Random random(14);
  test::Threads one(1);
  const std::vector<float> x = filled(5 * 37, [&] { return random.wide(-20, 20); });
  const std::vector<float> factors = filled(5, [&] { return random.wide(-20, 20); });
  const std::vector<float> y = scale_rows(scalar_kernels(), one.launch(), x, factors);
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(y[i], static_cast<float>(static_cast<double>(x[i]) * static_cast<double>(factors[i / 37])));
  }
  for (int64_t width = 1; width <= 70; ++width) {
    for (const int64_t rows : {0, 1, 3, 300}) {
      const std::vector<float> some = mixed(random, rows * width, 20), by = mixed(random, rows, 8);
      expect_levels_agree(
          "scale_rows", [&](const Kernels& kernels, Launch& launch) { return scale_rows(kernels, launch, some, by); });
    }
  }
}

std::vector<float> clamp(const Kernels& kernels, Launch& launch, const std::vector<float>& x, float limit) {
  const Fenced<float> x_memory(x);
  Fenced<float> y(x.size());
  kernels.clamp({.y = y.data(), .x = x_memory.data(), .count = static_cast<int64_t>(x.size()), .limit = limit}, launch);
  return copy_of(y);
}

TEST(Elementwise, ClampKeepsWhatIsInside) {
  test::Threads one(1);
  const float nan = __builtin_nanf("");
  test::expect_same_bits(
      std::vector<float>{-8, 8, -8, 8, -8, 8, 7.5f, -7.5f, 0.0f, -0.0f, nan},
      clamp(scalar_kernels(), one.launch(), {-kInf, kInf, -9, 9, -8, 8, 7.5f, -7.5f, 0.0f, -0.0f, nan}, 8), "clamp");
  Random random(15);
  for (int64_t n = 0; n <= 70; ++n) {
    const std::vector<float> x = mixed(random, n, 5);
    expect_levels_agree("clamp",
                        [&](const Kernels& kernels, Launch& launch) { return clamp(kernels, launch, x, 0.7f); });
  }
}

TEST(Elementwise, CopyColumnsMovesBitsAndNothingElse) {
  Random random(16);
  const std::vector<float> x = mixed(random, 900 * 41, 5);
  for (const Kernels& kernels : test::levels()) {
    for (const auto& [count, from, to] : {std::array<int64_t, 3>{41, 0, 3}, {1, 40, 0}, {19, 20, 31}}) {
      test::Threads threads(3);
      const Fenced<float> x_memory(x);
      Fenced<float> y(900 * 50);
      std::vector<float> expected = copy_of(y);
      kernels.copy_columns(
          {.y = y.data() + to, .x = x_memory.data() + from, .y_step = 50, .x_step = 41, .rows = 900, .count = count},
          threads.launch());
      for (int64_t row = 0; row < 900; ++row) {
        for (int64_t i = 0; i < count; ++i) {
          expected[static_cast<size_t>(row * 50 + to + i)] = x[static_cast<size_t>(row * 41 + from + i)];
        }
      }
      EXPECT_EQ(0, std::memcmp(expected.data(), y.data(), expected.size() * sizeof(float))) << kernels.level;
    }
  }
}

}  // namespace
}  // namespace godwit
