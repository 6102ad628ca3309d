// The gated feed-forward network: down(act(gate x) * up x).
#pragma once

#include "blocks/block.h"

namespace godwit {

struct MlpSpec {
  int64_t d_model = 0, d_ff = 0;
  Activation activation = Activation::kSilu;
  bool biased = false;      // all three must have biases
  std::string suffix = "";  // of the parameters' names: "_shexp"
};

/// Source: Shazeer 2020.
class GatedMlp final : public Block {
 public:
  GatedMlp(const Scope& s, const MlpSpec& spec)
      : activation_(spec.activation),
        gate_(linear_weight(s, "ffn_gate" + spec.suffix, spec.d_ff, spec.d_model, spec.biased)),
        up_(linear_weight(s, "ffn_up" + spec.suffix, spec.d_ff, spec.d_model, spec.biased)),
        down_(linear_weight(s, "ffn_down" + spec.suffix, spec.d_model, spec.d_ff, spec.biased)) {}

  Tensor forward(Context& cx, Tensor x, const StepInput&) const override {
    const LinearWeight* inner[] = {&gate_, &up_};
    const std::vector<Tensor> h = linear(cx, x, inner);
    return linear(cx, gated(cx, h[0], h[1], activation_), down_);
  }
  std::string kind() const override { return "mlp"; }

 private:
  Activation activation_;
  LinearWeight gate_, up_, down_;
};

}  // namespace godwit
