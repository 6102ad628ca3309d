// Mixture of experts: a router sends each token to a few of many feed-forward networks; a shared one may see them all.
#pragma once

#include <optional>

#include "blocks/gated_mlp.h"
#include "ops/experts.h"

namespace godwit {

struct MoeSpec {
  int64_t d_model = 0, d_ff = 0;  // of one expert
  RouterSpec router = {};
  bool selection_bias = false;  // exp_probs_b.bias is added to scores, for the choice only
  bool router_biased = false;   // the router's logits have a bias
  ExpertActivation activation = {};
  bool gated = true;           // false: down(act(up x)), also in the shared expert
  int64_t latent = 0;          // the width in which experts work, between projections that all share; 0: d_model
  bool latent_biased = false;  // those projections have biases
  bool biased = false;         // the experts have biases
  int64_t shared_d_ff = 0;     // of the expert that sees all tokens; 0: none
  bool shared_biased = false;
  bool shared_gated = false;  // its output is multiplied with sigmoid(ffn_gate_inp_shexp . x)
};

/// Source: Shazeer et al. 2017 (sparsely gated); Dai et al. 2024 (shared experts).
class Moe final : public Block {
 public:
  Moe(const Scope& scope, const MoeSpec& spec);
  /// Throws Error (kFailed) naming the router when a logit or a weight is not finite.
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::string kind() const override;
  int64_t idle_parameters() const override;
  ExpertCount experts() const override { return {spec_.router.n_experts, spec_.router.top_k}; }

 private:
  Tensor with_shared(Context& cx, Tensor x, Tensor y, const StepInput& in) const;

  MoeSpec spec_;
  std::string router_name_;
  LinearWeight router_;
  Tensor selection_bias_;
  ExpertWeights experts_;
  LinearWeight latent_down_, latent_up_;
  std::optional<GatedMlp> shared_;
  LinearWeight shared_gate_;
};

}  // namespace godwit
