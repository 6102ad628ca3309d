// What is said of samples: medians, intervals by resampling, exponents of growth, crossings of two curves.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace godwit {

/// The middle value, or the mean of the two middle ones. At least one value.
double median(std::vector<double> values);

/// The value below which the share q (0 to 1) of the values lies, linear between neighbours. At least one value.
double quantile(std::vector<double> values, double q);

/// The median of n of the values drawn with replacement: draw number `draw` of set number `key`, so that it can be
/// repeated. Source: Efron 1979, the bootstrap.
double resampled_median(std::span<const double> values, size_t n, uint64_t key, uint64_t draw);

/// The value at `at` of what has the values y at the ascending places x and is linear between them; x.front() <= at <=
/// x.back().
template <class T>
double interpolated(const std::vector<T>& x, const std::vector<T>& y, double at) {
  const auto found = std::lower_bound(x.begin(), x.end(), at,
                                      [](T place, double value) { return static_cast<double>(place) < value; });
  const auto above = static_cast<size_t>(found - x.begin());
  const auto to_x = static_cast<double>(x[above]), to = static_cast<double>(y[above]);
  if (to_x == at) return to;
  const auto from_x = static_cast<double>(x[above - 1]), from = static_cast<double>(y[above - 1]);
  return from + (at - from_x) / (to_x - from_x) * (to - from);
}

/// A curve given at some places, linear between them and nowhere else.
struct Curve {
  std::vector<double> x, y;  // x ascends

  bool empty() const { return x.empty(); }
  /// Whether x lies between the first and the last place.
  bool covers(double at) const { return !empty() && at >= x.front() && at <= x.back(); }
  /// The curve's value there; the curve covers it.
  double operator()(double at) const;
  /// The area under it from a to b; the curve covers both.
  double integral(double a, double b) const;
};

/// The exponent e of y ~ x^e: the slope of log y against log x by least squares. At least two places, all positive.
double growth_exponent(const Curve& curve);

/// Where two curves cross in what both cover: each place where their difference changes its sign, by log x.
std::vector<double> crossings(const Curve& a, const Curve& b);

}  // namespace godwit
