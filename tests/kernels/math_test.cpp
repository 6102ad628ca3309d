// exp, log, tanh, softplus, sine and cosine against the C library in double. The vector forms run the same template;
// the tests of the kernels that use them compare their bits.
#include "kernels/math.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/harness.h"
#include "kernels/trig.h"

namespace godwit {
namespace {

using test::Random;

/// How far `got` is from `truth`, in units of the last place of a float of truth's size.
double ulps(float got, double truth) {
  int exponent;
  std::frexp(truth, &exponent);
  return std::fabs(got - truth) / std::ldexp(1.0, exponent - 24);
}

/// The worst error over a sweep of float patterns inside [low, high], both ends included.
template <class F, class G>
double worst_ulps(F ours, G truth, float low, float high) {
  double worst = std::max(ulps(ours(low), truth(low)), ulps(ours(high), truth(high)));
  for (uint64_t pattern = 0; pattern < (uint64_t{1} << 32); pattern += 1009) {
    const float x = scalar::from_bits(static_cast<uint32_t>(pattern));
    if (!(x >= low && x <= high) || std::fabs(x) < 0x1p-126f) continue;
    const double t = truth(static_cast<double>(x));
    if (std::fabs(t) < 0x1p-126) continue;
    worst = std::max(worst, ulps(ours(x), t));
  }
  return worst;
}

float exp_of(float x) { return scalar::exp(x); }
float log_of(float x) { return scalar::log(x); }
float tanh_of(float x) { return scalar::tanh(x); }
double true_exp(double x) { return std::exp(x); }
double true_log(double x) { return std::log(x); }
double true_tanh(double x) { return std::tanh(x); }

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Math, ExpIsWithinTwoUlps) { EXPECT_LE(worst_ulps(exp_of, true_exp, -87.33654f, 88.72283f), 2.0); }

TEST(Math, ExpAtItsEdges) {
  EXPECT_EQ(exp_of(0.0f), 1.0f);
  EXPECT_EQ(exp_of(-0.0f), 1.0f);
  EXPECT_EQ(exp_of(1e-40f), 1.0f);
  EXPECT_EQ(exp_of(-kInfinity), 0.0f);
  EXPECT_EQ(exp_of(kInfinity), kInfinity);
  EXPECT_EQ(exp_of(88.72284f), kInfinity);
  EXPECT_EQ(exp_of(3e38f), kInfinity);
  EXPECT_EQ(exp_of(-87.33655f), 0.0f);
  EXPECT_EQ(exp_of(-3e38f), 0.0f);
  EXPECT_TRUE(std::isnan(exp_of(kNan)));
  // A payload in the low bits of a NaN must not reach the exponent.
  for (uint32_t payload = 1; payload < 0x400000; payload += 4099) {
    ASSERT_TRUE(std::isnan(exp_of(scalar::from_bits(0x7fc00000 | payload))));
    ASSERT_TRUE(std::isnan(exp_of(scalar::from_bits(0xff800000 | payload))));
  }
}

TEST(Math, LogIsWithinTwoUlps) {
  EXPECT_LE(worst_ulps(log_of, true_log, 0x1p-126f, 3.4028235e38f), 2.0);
  float x = 0.99f;  // around the zero, where relative error is hardest
  for (; x < 1.01f; x = std::nextafter(x, 2.0f)) {
    if (x != 1.0f) {
      ASSERT_LE(ulps(log_of(x), true_log(x)), 2.0) << x;
    }
  }
}

TEST(Math, LogAtItsEdges) {
  EXPECT_EQ(log_of(1.0f), 0.0f);
  EXPECT_EQ(log_of(0.0f), -kInfinity);
  EXPECT_EQ(log_of(-0.0f), -kInfinity);
  EXPECT_EQ(log_of(1e-40f), -kInfinity);
  EXPECT_EQ(log_of(-1e-40f), -kInfinity);
  EXPECT_EQ(log_of(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(log_of(-1.0f)));
  EXPECT_TRUE(std::isnan(log_of(-0x1p-126f)));
  EXPECT_TRUE(std::isnan(log_of(-kInfinity)));
  EXPECT_TRUE(std::isnan(log_of(kNan)));
}

TEST(Math, TanhIsWithinTwoUlps) { EXPECT_LE(worst_ulps(tanh_of, true_tanh, -100.0f, 100.0f), 2.0); }

TEST(Math, TanhAtItsEdges) {
  EXPECT_EQ(tanh_of(kInfinity), 1.0f);
  EXPECT_EQ(tanh_of(-kInfinity), -1.0f);
  EXPECT_EQ(tanh_of(-3e38f), -1.0f);
  EXPECT_TRUE(std::isnan(tanh_of(kNan)));
  EXPECT_TRUE(test::same_bits(tanh_of(0.0f), 0.0f));
  EXPECT_TRUE(test::same_bits(tanh_of(-0.0f), -0.0f));
}

float softplus_of(float x) { return scalar::softplus(x); }
double true_softplus(double x) { return std::log1p(std::exp(x)); }

TEST(Math, SoftplusIsWithinFourUlps) { EXPECT_LE(worst_ulps(softplus_of, true_softplus, -80.0f, 80.0f), 4.0); }

TEST(Math, SoftplusAtItsEdges) {
  EXPECT_EQ(softplus_of(kInfinity), kInfinity);
  EXPECT_EQ(softplus_of(3e38f), 3e38f);
  EXPECT_EQ(softplus_of(-kInfinity), 0.0f);
  EXPECT_EQ(softplus_of(-3e38f), 0.0f);
  EXPECT_EQ(softplus_of(20.5f), 20.5f);
  EXPECT_TRUE(std::isnan(softplus_of(kNan)));
}

TEST(Math, SineAndCosineRoundToTheRightFloat) {
  Random random(1);
  for (int i = 0; i < 400000; ++i) {
    const float x = random.wide(-126, 26);
    const SinCos got = sin_cos(x);
    const double s = std::sin(static_cast<double>(x));
    const double c = std::cos(static_cast<double>(x));
    ASSERT_LE(std::fabs(got.sin - s), 1e-15 * std::fabs(s)) << x;
    ASSERT_LE(std::fabs(got.cos - c), 1e-15 * std::fabs(c)) << x;
    ASSERT_EQ(static_cast<float>(got.sin), static_cast<float>(s)) << x;
    ASSERT_EQ(static_cast<float>(got.cos), static_cast<float>(c)) << x;
  }
}

TEST(Math, SineAndCosineNearMultiplesOfHalfPi) {
  for (int64_t n = 1; n < 80000000; n = n * 5 / 4 + 1) {
    float x = static_cast<float>(static_cast<double>(n) * 1.5707963267948966);
    for (int step = -2; step <= 2; ++step) {
      const float at = scalar::from_bits(scalar::to_bits(x) + static_cast<uint32_t>(step));
      const SinCos got = sin_cos(at);
      ASSERT_NEAR(got.sin, std::sin(static_cast<double>(at)), 1e-15 * std::fabs(std::sin(static_cast<double>(at))));
      ASSERT_NEAR(got.cos, std::cos(static_cast<double>(at)), 1e-15 * std::fabs(std::cos(static_cast<double>(at))));
    }
  }
}

TEST(Math, SineAndCosineOutsideTheirRange) {
  for (const float x : {kNan, kInfinity, -kInfinity, 0x1.000002p27f}) {
    EXPECT_TRUE(std::isnan(sin_cos(x).sin)) << x;
    EXPECT_TRUE(std::isnan(sin_cos(x).cos)) << x;
  }
  EXPECT_EQ(sin_cos(0.0f).sin, 0.0);
  EXPECT_EQ(sin_cos(0.0f).cos, 1.0);
}

}  // namespace
}  // namespace godwit
