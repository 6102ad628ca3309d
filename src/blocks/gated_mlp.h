// The feed-forward network: down(act(gate x) * up x), or down(act(up x)) without a gate.
#pragma once

#include "blocks/block.h"

namespace godwit {

struct MlpSpec {
  int64_t d_model = 0, d_ff = 0;
  Activation activation = Activation::kSilu;
  bool biased = false;  // all must have biases
  bool gated = true;
  float gate_scale = 1.0f;  // of what the activation is given (Falcon-H1)
  std::string suffix = "";  // of the parameters' names: "_shexp"
};

/// Source: Shazeer 2020.
class GatedMlp final : public Block {
 public:
  GatedMlp(const Scope& s, const MlpSpec& spec)
      : activation_(spec.activation),
        gate_scale_(spec.gate_scale),
        gate_(spec.gated ? linear_weight(s, "ffn_gate" + spec.suffix, spec.d_ff, spec.d_model, spec.biased)
                         : LinearWeight{}),
        up_(linear_weight(s, "ffn_up" + spec.suffix, spec.d_ff, spec.d_model, spec.biased)),
        down_(linear_weight(s, "ffn_down" + spec.suffix, spec.d_model, spec.d_ff, spec.biased)) {}

  Tensor forward(Context& cx, Tensor x, const StepInput&) const override {
    if (gate_.weight.empty()) return linear(cx, gated(cx, linear(cx, x, up_), {}, activation_), down_);
    const LinearWeight* inner[] = {&gate_, &up_};
    const std::vector<Tensor> h = linear(cx, x, inner);
    const Tensor gate = gate_scale_ == 1.0f ? h[0] : scaled(cx, h[0], gate_scale_);
    return linear(cx, gated(cx, gate, h[1], activation_), down_);
  }
  std::string kind() const override { return "mlp"; }

 private:
  Activation activation_;
  float gate_scale_;
  LinearWeight gate_, up_, down_;
};

}  // namespace godwit
