#include "blocks/rope_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

struct Yarn {
  double factor, original;
};

void apply_yarn(const Config& c, RopeSpec& spec, std::vector<double>& inv, double base, Yarn y) {
  const double n = 2.0 * static_cast<double>(spec.n_pairs);
  const auto channel = [&](double rotations) {
    return n * std::log(y.original / (2.0 * std::numbers::pi * rotations)) / (2.0 * std::log(base));
  };
  double low = channel(c.real("rope.scaling.yarn_beta_fast", 32.0));
  double high = channel(c.real("rope.scaling.yarn_beta_slow", 1.0));
  if (c.boolean("rope.scaling.yarn_truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, n - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < inv.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    inv[i] = inv[i] / y.factor * ramp + inv[i] * (1.0 - ramp);
  }
  double scale = yarn_scale(y.factor, 1.0);
  if (c.has("rope.scaling.attention_factor")) {
    scale = c.real("rope.scaling.attention_factor");
  } else if (c.has("rope.scaling.yarn_log_multiplier")) {
    // GGUF's form of mscale_all_dim: 0.1 times it.
    const double all = 10.0 * c.real("rope.scaling.yarn_log_multiplier");
    const double one = c.real("rope.scaling.yarn_mscale", 1.0);
    if (all != 0.0 && one != 0.0) scale = yarn_scale(y.factor, one) / yarn_scale(y.factor, all);
  }
  spec.scale = static_cast<float>(scale);
}

std::vector<double> factor_list(const Config& c, const std::string& key, int64_t n) {
  const auto list = c.reals(key);
  if (!list) return {};
  if (static_cast<int64_t>(list->size()) != n)
    invalid("{}: key {}: expected {} factors, got {}", c.source, c.full_key(key), n, list->size());
  for (double f : *list)
    if (!(std::isfinite(f) && f > 0.0)) invalid("{}: key {}: factor {} is not positive", c.source, c.full_key(key), f);
  return *list;
}

std::vector<float> rounded(const std::vector<double>& inv, const std::vector<double>& factors) {
  std::vector<float> out;
  for (size_t i = 0; i < inv.size(); ++i)
    out.push_back(static_cast<float>(inv[i] / (factors.empty() ? 1.0 : factors[i])));
  return out;
}

}  // namespace

double yarn_scale(double factor, double mscale) { return factor > 1.0 ? 0.1 * mscale * std::log(factor) + 1.0 : 1.0; }

RopeSpec rope_from(const Config& c, int64_t head_dim, bool interleaved, const RopeKeys& keys) {
  RopeSpec spec;
  const int64_t n = c.integer(keys.dimension_count, head_dim);
  if (n < 2 || n > head_dim || n % 2 != 0)
    invalid("{}: key {}: expected an even number from 2 to {}, got {}", c.source, c.full_key(keys.dimension_count),
            head_dim, n);
  const double base = c.real(keys.base, 10000.0);
  if (!(base > 0.0)) invalid("{}: key {}: expected a positive number, got {}", c.source, c.full_key(keys.base), base);
  spec.n_pairs = n / 2;
  spec.interleaved = interleaved;
  spec.base = base;
  std::vector<double> inv;
  for (int64_t i = 0; i < spec.n_pairs; ++i)
    inv.push_back(std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(n)));

  // A factor without a type is a linear one.
  const std::string untyped = c.has("rope.scaling.factor") ? "linear" : "none";
  const std::string type = keys.scaled ? c.text("rope.scaling.type", untyped) : "none";
  const double factor = c.real("rope.scaling.factor", 1.0);
  if (!(factor > 0.0))
    invalid("{}: key {}: expected a positive number, got {}", c.source, c.full_key("rope.scaling.factor"), factor);
  const int64_t context = c.integer("context_length", 0);
  const int64_t original = c.integer("rope.scaling.original_context_length", context);
  if (type == "linear") {
    for (double& f : inv) f /= factor;
  } else if (type == "yarn") {
    if (original < 1)
      invalid("{}: key {}: expected a length, got {}", c.source, c.full_key("rope.scaling.original_context_length"),
              original);
    apply_yarn(c, spec, inv, base, {factor, static_cast<double>(original)});
  } else if (type != "none" && type != "longrope") {
    invalid("{}: key {}: {} is not known, expected none, linear or yarn", c.source, c.full_key("rope.scaling.type"),
            quoted(type));
  }
  std::vector<double> factors, long_factors;
  if (keys.scaled) {
    if (c.has("rope.scaling.dynamic_factor")) {
      spec.dynamic_after = context;
      spec.factor = c.real("rope.scaling.dynamic_factor");
    }
    factors = factor_list(c, "rope.scaling.factors", spec.n_pairs);
    long_factors = factor_list(c, "rope.scaling.factors_long", spec.n_pairs);
    const auto short_factors = factor_list(c, "rope.scaling.factors_short", spec.n_pairs);
    if (!short_factors.empty()) {
      factors = short_factors;
      spec.scale = static_cast<float>(c.real("rope.scaling.attn_factor", 1.0));
    }
  }
  spec.inv_freq = rounded(inv, factors);
  if (!long_factors.empty()) {
    spec.long_after = original;
    spec.long_inv_freq = rounded(inv, long_factors);
  }
  return spec;
}

}  // namespace godwit
