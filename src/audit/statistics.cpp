#include "audit/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"

namespace godwit {

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

double quantile(std::vector<double> values, double q) {
  CHECK(!values.empty() && q >= 0 && q <= 1, "quantile {} of {} values", q, values.size());
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

double resampled_median(std::span<const double> values, size_t n, uint64_t key, uint64_t draw) {
  std::vector<double> drawn;
  drawn.reserve(n);
  for (size_t i = 0; i < n; ++i)
    drawn.push_back(values[static_cast<size_t>(random_bits(key, draw, i) % values.size())]);
  return median(std::move(drawn));
}

double Curve::operator()(double at) const {
  CHECK(covers(at), "a curve from {} to {} at {}", empty() ? 0 : x.front(), empty() ? 0 : x.back(), at);
  return interpolated(x, y, at);
}

double Curve::integral(double a, double b) const {
  double sum = 0, from = a, from_y = (*this)(a);
  const auto add = [&](double to, double to_y) {
    sum += 0.5 * (from_y + to_y) * (to - from);
    from = to;
    from_y = to_y;
  };
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i] > a && x[i] < b) add(x[i], y[i]);
  add(b, (*this)(b));
  return sum;
}

double growth_exponent(const Curve& curve) {
  CHECK(curve.x.size() >= 2, "an exponent of {} places", curve.x.size());
  const auto n = static_cast<double>(curve.x.size());
  double mean_x = 0, mean_y = 0, xy = 0, xx = 0;
  for (size_t i = 0; i < curve.x.size(); ++i) {
    mean_x += std::log(curve.x[i]) / n;
    mean_y += std::log(curve.y[i]) / n;
  }
  for (size_t i = 0; i < curve.x.size(); ++i) {
    const double dx = std::log(curve.x[i]) - mean_x;
    xy += dx * (std::log(curve.y[i]) - mean_y);
    xx += dx * dx;
  }
  return xy / xx;
}

std::vector<double> crossings(const Curve& a, const Curve& b) {
  std::vector<double> places, found;
  for (const Curve* curve : {&a, &b})
    for (double x : curve->x)
      if (a.covers(x) && b.covers(x)) places.push_back(x);
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  for (size_t i = 1; i < places.size(); ++i) {
    const double from = a(places[i - 1]) - b(places[i - 1]), to = a(places[i]) - b(places[i]);
    if ((from < 0) == (to < 0)) continue;
    const double low = std::log(places[i - 1]), high = std::log(places[i]);
    found.push_back(std::exp(low + from / (from - to) * (high - low)));
  }
  return found;
}

}  // namespace godwit
