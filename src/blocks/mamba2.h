// Mamba-2's mixer: a short convolution over x, B and C, the state-space dual, a gated norm by groups.
#pragma once

#include "blocks/block.h"
#include "ops/recurrence.h"

namespace godwit {

struct Mamba2Spec {
  int64_t d_model = 0, taps = 4;
  SsdSpec ssd = {};
  bool biased = false, conv_biased = true;
  float eps = 1e-5f;
};

/// Source: Dao and Gu 2024, section 7. Parameters ssm_in (rows z | x | B | C | dt), ssm_conv1d, ssm_dt.bias, ssm_a
/// (as A_log), ssm_d, ssm_norm, ssm_out.
class Mamba2 final : public Block {
 public:
  Mamba2(const Scope& scope, const Mamba2Spec& spec);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes&) const override;
  std::string kind() const override { return "mamba2"; }

 private:
  Mamba2Spec spec_;
  LinearWeight in_, out_;
  ConvWeight conv_;
  SsdWeight ssd_;
  Tensor gain_;
};

}  // namespace godwit
