// Mamba-1's mixer: a short convolution over x, a selective scan whose dt, B and C come from what it gives, a gate.
#pragma once

#include "blocks/block.h"

namespace godwit {

/// What dt, B and C are divided by before they are used: nothing, their RMS (Falcon-Mamba), or that with gains (Jamba).
enum class ScanNorm : uint8_t { kNone, kPlain, kGains };

struct Mamba1Spec {
  int64_t d_model = 0, inner = 0, dt_rank = 0, d_state = 0, taps = 4;
  bool biased = false, conv_biased = true;
  ScanNorm norm = ScanNorm::kNone;
  float norm_eps = 1e-6f;
};

/// Source: Gu and Dao 2023, section 3. Parameters ssm_in (rows x | z), ssm_conv1d, ssm_x (rows dt | B | C), ssm_dt,
/// ssm_a (as A_log), ssm_d, ssm_out; with gains also ssm_dt_norm, ssm_b_norm, ssm_c_norm.
class Mamba1 final : public Block {
 public:
  Mamba1(const Scope& scope, const Mamba1Spec& spec);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes&) const override;
  std::string kind() const override { return "mamba1"; }

 private:
  /// Columns [first, first + count) of dt | B | C, normed.
  Tensor part(Context& cx, Tensor p, int64_t first, int64_t count, Tensor gain) const;

  Mamba1Spec spec_;
  LinearWeight in_, x_, dt_, out_;
  ConvWeight conv_;
  ScanWeight scan_;
  Tensor dt_gain_, b_gain_, c_gain_;
};

}  // namespace godwit
