// What mixtures of experts save over the dense models that were audited beside them, by sequences at once. The more
// tokens a step has, the more experts it reads, so the saving shrinks. Definitions: docs/audit.md.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json_fwd.h"

namespace godwit {

/// One model's decoding at one context.
struct DecodingCost {
  std::string name;
  int64_t n_params = 0, n_active_params = 0;
  /// By sequences at once, the cost of a million tokens: of all rounds, then of each resampling (each model as many).
  std::map<int64_t, std::vector<double>> per_million = {};
  bool is_mixture() const { return n_active_params < n_params; }
};

/// Sizes within this share of each other are called equal.
inline constexpr double kEqualSize = 0.25;

/// The dense model (index into `models`) whose parameters are nearest, by ratio, to so many; -1: none is within
/// kEqualSize.
int64_t nearest_dense(const std::vector<DecodingCost>& models, int64_t n_params);

/// Of each mixture: the dense models of equal total and of equal active size, the share of either's cost that it saves
/// at each number of sequences, and at how many sequences the saving over the former is half of that of one sequence:
/// between measured ones by their logarithm, the first such place.
Json savings_of(const std::vector<DecodingCost>& models);

}  // namespace godwit
