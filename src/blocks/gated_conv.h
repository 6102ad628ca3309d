// LFM2's mixer: a short convolution between two gates.
#pragma once

#include "blocks/block.h"

namespace godwit {

struct GatedConvSpec {
  int64_t d_model = 0, taps = 3;
  bool biased = false;  // both projections and the convolution must have biases
};

/// out(C * conv(B * x)). Source: LFM2 Technical Report (2025), section 2. Parameters shortconv.in_proj (rows B | C |
/// x), shortconv.conv, shortconv.out_proj.
class GatedConv final : public Block {
 public:
  GatedConv(const Scope& scope, const GatedConvSpec& spec);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes&) const override { return conv_state(spec_.d_model, spec_.taps); }
  std::string kind() const override { return "gated convolution"; }

 private:
  GatedConvSpec spec_;
  LinearWeight in_, out_;
  ConvWeight conv_;
};

}  // namespace godwit
