// Griffin's recurrent mixer: a short convolution and a real-gated linear recurrence, times a gelu branch.
#pragma once

#include "blocks/block.h"

namespace godwit {

struct RgLruSpec {
  int64_t d_model = 0, width = 0;
  int64_t heads = 1;  // the gates' matrices are block-diagonal: one block for each
  int64_t taps = 4;
  bool biased = true;  // the three projections
};

/// Source: De et al. 2024 (Griffin), sections 2.3 and 2.4. Parameters rec_x, rec_y, rec_out, ssm_conv1d,
/// rec_input_gate and rec_gate (.weight [heads, n, k], .bias [heads, n]), rec_lambda.
class RgLru final : public Block {
 public:
  RgLru(const Scope& scope, const RgLruSpec& spec);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes&) const override;
  std::string kind() const override { return "rglru"; }

 private:
  RgLruSpec spec_;
  LinearWeight x_, y_, out_;
  ConvWeight conv_;
  Tensor input_gate_, recurrent_gate_;
  RgLruWeight lru_;
};

}  // namespace godwit
