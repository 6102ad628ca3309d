#include "blocks/rg_lru.h"

#include "ops/experts.h"

namespace godwit {

RgLru::RgLru(const Scope& s, const RgLruSpec& spec) : spec_(spec) {
  const int64_t block = spec.width / spec.heads;
  CHECK(block * spec.heads == spec.width, "{} heads of {} channels", spec.heads, spec.width);
  x_ = linear_weight(s, "rec_x", spec.width, spec.d_model, spec.biased);
  y_ = linear_weight(s, "rec_y", spec.width, spec.d_model, spec.biased);
  conv_ = conv_weight(s, "ssm_conv1d", spec.width, spec.taps, /*biased=*/true);
  input_gate_ = s.get("rec_input_gate.weight", {spec.heads, block, block});
  recurrent_gate_ = s.get("rec_gate.weight", {spec.heads, block, block});
  lru_.input_bias = s.get("rec_input_gate.bias", {spec.heads, block});
  lru_.recurrent_bias = s.get("rec_gate.bias", {spec.heads, block});
  lru_.lambda = s.get("rec_lambda", {spec.width});
  out_ = linear_weight(s, "rec_out", spec.d_model, spec.width, spec.biased);
}

Tensor RgLru::forward(Context& cx, Tensor x, const StepInput& in) const {
  const LinearWeight* inner[] = {&x_, &y_};
  const std::vector<Tensor> h = linear(cx, x, inner);
  const Tensor u = short_conv(cx, h[0], 0, conv_, /*silu=*/false, in, 0);
  const Tensor blocks = u.view({x.rows(), spec_.heads, spec_.width / spec_.heads});
  const Tensor y =
      rg_lru(cx, u, stack_linear(cx, blocks, input_gate_), stack_linear(cx, blocks, recurrent_gate_), lru_, in, 2);
  return linear(cx, gated(cx, h[1], y, Activation::kGeluTanh), out_);
}

std::vector<StatePart> RgLru::state(const CacheTypes&) const {
  return conv_state(spec_.width, spec_.taps, rg_lru_state(spec_.width));
}

}  // namespace godwit
