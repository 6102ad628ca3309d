// What a model costs by its plan alone, without running it: parameters, and by op the operations and bytes of a step,
// at every context. Nothing here knows an architecture: dry passes are counted (ops/context.h, Meter).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/runner.h"

namespace godwit {

/// What one op costs in a step, all layers together, at each knot. Flops are empty where they are not linear between
/// knots.
struct OpCost {
  int64_t calls = 0;
  std::vector<int64_t> flops, weight_bytes, state_bytes;
  // Where it depends on the tokens which weights are read: the least and the most are so much below and above
  // weight_bytes, the mean over uniform choices. Else empty.
  std::vector<int64_t> fewer_bytes = {}, more_bytes = {};
};

/// The costs of one kind of step at contexts `knots` (tokens that each sequence has absorbed before the step,
/// ascending), linear between them.
struct StepCost {
  int64_t tokens = 0, rows = 0, wanted = 0;  // in the step; logits of so many
  std::vector<int64_t> knots;
  std::map<std::string, OpCost> ops;

  enum class What { kFlops, kWeightBytes, kStateBytes, kFewerBytes, kMoreBytes };
  /// Of one op at a context up to the last knot.
  double at(const OpCost& op, What what, double context) const;
  /// Of all ops.
  double total(What what, double context) const;
  /// Of weights and state.
  double bytes(const OpCost& op, double context) const {
    return at(op, What::kWeightBytes, context) + at(op, What::kStateBytes, context);
  }
  double total_bytes(double context) const {
    return total(What::kWeightBytes, context) + total(What::kStateBytes, context);
  }
};

/// So many layers have mixtures of `all` experts, of which a token meets `used`.
struct ExpertLayers {
  int64_t layers = 0, all = 0, used = 0;
};

struct Anatomy {
  std::string architecture;
  int64_t n_params = 0, n_active_params = 0, n_embedding_params = 0;
  int64_t weights_bytes = 0;             // as laid out
  int64_t context_length = 0;            // what the model was trained for
  int64_t state_per_token_bytes = 0;     // before any window closes
  int64_t state_per_sequence_bytes = 0;  // fixed records
  bool quantized = false;                // int8_products
  std::vector<ExpertLayers> experts = {};
  StepCost token;  // one prompt token alone, no logits: its flops are a prompt's, token by token
  struct Batch {
    StepCost decode;  // one token of every sequence, with logits
    StepCost chunk;   // a full chunk of prompt tokens, shared evenly, no logits: bytes only
  };
  std::map<int64_t, Batch> batches;  // by number of sequences

  /// A token does not meet all parameters.
  bool is_mixture() const { return n_active_params < n_params; }
  /// Distinct experts that a step of so many tokens reads, of a layer that has some, when choices are uniform and
  /// independent: the mean over these layers. 0 without experts.
  double expected_experts(int64_t tokens) const;
};

/// Whether products are in 8-bit integers: some weights are quantized, and activations are rounded.
bool int8_products(const Weights& weights, bool exact);

/// Counts for these numbers of sequences, contexts up to `most` (at most the model's).
Anatomy anatomy_of(const OpenModel& open, const RunnerOptions& options, const std::vector<int64_t>& batches,
                   int64_t most);

}  // namespace godwit
