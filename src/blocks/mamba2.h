// Mamba-2's mixer: a short convolution over x, B and C, the state-space dual, a gated norm by groups.
#pragma once

#include <array>

#include "blocks/block.h"

namespace godwit {

struct Mamba2Spec {
  int64_t d_model = 0, taps = 4;
  SsdSpec ssd = {};
  bool biased = false, conv_biased = true, out_biased = biased;
  bool normed = true;             // false: gate alone (Falcon-H1)
  bool norm_before_gate = false;  // norm(y) silu(z), else norm(y silu(z))
  float eps = 1e-5f;
  std::array<float, 5> scales = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f};  // of the segments z | x | B | C | dt (Falcon-H1)
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
  Tensor projected(Context& cx, Tensor x) const;
  Tensor gated_norm(Context& cx, Tensor y, Tensor z) const;

  Mamba2Spec spec_;
  LinearWeight in_, out_;
  ConvWeight conv_;
  SsdWeight ssd_;
  Tensor gain_;
};

}  // namespace godwit
