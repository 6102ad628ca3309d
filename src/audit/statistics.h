// What is said of samples: medians, intervals by resampling, exponents of growth, crossings of two curves.
#pragma once

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
