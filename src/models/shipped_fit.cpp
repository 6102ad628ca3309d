// Finding the sizes with which a shipped pattern has a number of parameters.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "models/shipped_patterns.h"
#include "models/shipped_shape.h"

namespace godwit {
namespace {

constexpr int64_t kMostWidth = 32768;

// Layers of a transformer with so many parameters, as Pythia (Biderman et al. 2023) and Llama's models have them or
// near.
double usual_depth(double params) {
  constexpr std::pair<double, double> kTable[] = {{5e6, 4},  {30e6, 8},  {150e6, 12}, {250e6, 16},
                                                  {1e9, 24}, {10e9, 32}, {40e9, 48},  {1e11, 80}};
  for (const auto& [most, layers] : kTable)
    if (params <= most) return layers;
  return 96;
}

// Widths of the feed-forward networks that a token uses, together, against hidden_size. Source: Touvron et al. 2023.
constexpr double kUsualRatio = 8.0 / 3.0;

// Parameters are a + groups (b + c d_ff): three small models say a, b and c.
class Counts {
 public:
  Counts(const ShippedShape& s, int64_t d_model) {
    const auto count = [&](int64_t groups, int64_t d_ff) {
      return static_cast<double>(active_parameters(shipped_json(s, {groups, d_model, d_ff}, 1)));
    };
    const double one = count(1, kShippedStep);
    const double all = count(2, kShippedStep) - one;
    outside_ = one - all;
    per_channel_ = s.ffs_used == 0 ? 0.0 : (count(1, 2 * kShippedStep) - one) / kShippedStep;
    fixed_ = all - per_channel_ * kShippedStep;
  }
  double operator()(const ShippedSizes& s) const {
    return outside_ + static_cast<double>(s.groups) * (fixed_ + per_channel_ * static_cast<double>(s.d_ff));
  }
  /// The width with which `groups` groups come nearest to the target.
  int64_t best_d_ff(int64_t groups, double target) const {
    if (per_channel_ == 0.0) return 0;
    const double exact = ((target - outside_) / static_cast<double>(groups) - fixed_) / per_channel_;
    return std::max<int64_t>(kShippedStep, kShippedStep * std::llround(exact / static_cast<double>(kShippedStep)));
  }

 private:
  double outside_, fixed_, per_channel_;
};

constexpr double kMostError = 0.015;

// How far from the target and from the usual shape: what is further than kMostError from the target yields to all that
// is nearer.
double cost_of(const ShippedShape& s, const ShippedSizes& sizes, double count, double target, double usual_groups) {
  const double error = std::fabs(count / target - 1.0);
  double cost = 20.0 * error + (error > kMostError ? 10.0 + 1000.0 * error : 0.0);
  cost += std::fabs(std::log(static_cast<double>(sizes.groups) / usual_groups));
  if (std::string_view(s.group).find("attention") != std::string_view::npos) {
    // The memory of keys and values is a fourth of the queries' width, so that patterns are compared fairly.
    const int64_t heads = sizes.d_model / kShippedHeadDim;
    cost += std::fabs(std::log(4.0 * static_cast<double>(shipped_kv_heads(heads)) / static_cast<double>(heads)));
  }
  if (s.ffs_used == 0) return cost;
  const auto used = static_cast<double>(sizes.d_ff * s.ffs_used);
  return cost + std::fabs(std::log(used / (kUsualRatio * static_cast<double>(sizes.d_model))));
}

}  // namespace

Json shipped_config(const std::string& name, double target, int64_t vocab_size) {
  const ShippedShape& s = shipped_shape(name);
  if (!(target >= 1e5 && target <= 1e12))
    fail(ErrorKind::kUsage, "{} active parameters: expected 10^5 to 10^12", target);
  const double usual_groups = std::max(1.0, usual_depth(target) * s.depth / static_cast<double>(s.group_layers));
  // 12 d^2 parameters a layer, or half of that, where the shape is the usual one.
  const double usual_width = std::sqrt(target / (12.0 * usual_groups * static_cast<double>(s.group_layers) / s.depth));
  ShippedSizes best{};
  double least = std::numeric_limits<double>::infinity();
  const auto first = static_cast<int64_t>(0.7 * usual_width) / s.width_step * s.width_step;
  // At least nine widths, however small the model; of large ones as many as fit in the range.
  const double most = std::max(1.4 * usual_width, static_cast<double>(first + 8 * s.width_step));
  const int64_t stride = std::max<int64_t>(1, (static_cast<int64_t>(most) - first) / s.width_step / 24) * s.width_step;
  for (int64_t d = std::max(first, s.width_step); d <= std::min<int64_t>(kMostWidth, static_cast<int64_t>(most));
       d += stride) {
    const Counts counts(s, d);
    const auto fewest = std::max<int64_t>(1, static_cast<int64_t>(0.6 * usual_groups));
    for (int64_t groups = fewest; groups <= static_cast<int64_t>(1.5 * usual_groups) + 1; ++groups) {
      const ShippedSizes sizes{groups, d, counts.best_d_ff(groups, target)};
      const double cost = cost_of(s, sizes, counts(sizes), target, usual_groups);
      if (cost >= least) continue;
      least = cost;
      best = sizes;
    }
  }
  return shipped_json(s, best, vocab_size);
}

}  // namespace godwit
