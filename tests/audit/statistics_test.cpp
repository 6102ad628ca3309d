#include "audit/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace godwit {
namespace {

TEST(Statistics, MedianAndQuantiles) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({5, 1, 3}), 3);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
  EXPECT_EQ(quantile({10, 20, 30, 40, 50}, 0.0), 10);
  EXPECT_EQ(quantile({50, 40, 30, 20, 10}, 1.0), 50);
  EXPECT_EQ(quantile({0, 10}, 0.25), 2.5);
}

TEST(Statistics, ResampledMediansRepeatAndSpreadAsTheBootstrapDoes) {
  const std::vector<double> values{1, 2, 3, 4, 5};
  EXPECT_EQ(resampled_median(values, 5, 7, 3), resampled_median(values, 5, 7, 3));
  // Of five draws from five values the median is 1 when at least three are 1: 58 of 1000.
  int ones = 0, threes = 0;
  constexpr int kDraws = 20000;
  for (uint64_t draw = 0; draw < kDraws; ++draw) {
    const double m = resampled_median(values, 5, 1, draw);
    ones += m == 1;
    threes += m == 3;
  }
  EXPECT_NEAR(ones / static_cast<double>(kDraws), 0.05792, 0.006);
  EXPECT_NEAR(threes / static_cast<double>(kDraws), 0.36512, 0.012);  // P(X<=3)-P(X<=2), binomial(5, 3/5 and 2/5)
}

TEST(Statistics, CurvesAreLinearBetweenTheirPlacesOnly) {
  const Curve curve{{1, 3, 7}, {10, 20, 0}};
  EXPECT_EQ(curve(1), 10);
  EXPECT_EQ(curve(2), 15);
  EXPECT_EQ(curve(7), 0);
  EXPECT_EQ(curve(5), 10);
  EXPECT_FALSE(curve.covers(0.5));
  EXPECT_FALSE(curve.covers(7.5));
  EXPECT_FALSE(Curve{}.covers(1));
  EXPECT_DOUBLE_EQ(curve.integral(1, 7), 30 + 40);
  EXPECT_DOUBLE_EQ(curve.integral(2, 5), (15 + 20) / 2.0 + 15 * 2);
}

TEST(Statistics, GrowthExponents) {
  Curve curve;
  for (double x : {100.0, 250.0, 900.0, 4000.0}) {
    curve.x.push_back(x);
    curve.y.push_back(0.03 * std::pow(x, 1.37));
  }
  EXPECT_NEAR(growth_exponent(curve), 1.37, 1e-12);
}

TEST(Statistics, CrossingsByLogarithm) {
  const Curve flat{{100, 200, 400, 800}, {4, 4, 4, 4}}, rising{{100, 200, 400, 800}, {1, 2, 6, 9}};
  const auto found = crossings(flat, rising);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NEAR(found[0], 200 * std::sqrt(2.0), 1e-9);  // half way by log
  EXPECT_TRUE(crossings(flat, Curve{{100, 800}, {1, 2}}).empty());
  EXPECT_TRUE(crossings(flat, Curve{{1000, 8000}, {1, 200}}).empty());  // nothing in common
  EXPECT_TRUE(crossings(flat, Curve{}).empty());
  EXPECT_EQ(crossings(flat, Curve{{100, 200, 400, 800}, {5, 3, 5, 3}}).size(), 3U);
}

}  // namespace
}  // namespace godwit
