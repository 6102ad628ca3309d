#include "blocks/gated_conv.h"

namespace godwit {

GatedConv::GatedConv(const Scope& s, const GatedConvSpec& spec) : spec_(spec) {
  const int64_t d = spec.d_model;
  in_ = linear_weight(s, "shortconv.in_proj", 3 * d, d, spec.biased);
  conv_ = conv_weight(s, "shortconv.conv", d, spec.taps, spec.biased);
  out_ = linear_weight(s, "shortconv.out_proj", d, d, spec.biased);
}

Tensor GatedConv::forward(Context& cx, Tensor x, const StepInput& in) const {
  const int64_t d = spec_.d_model;
  const Tensor p = linear(cx, x, in_);
  const Tensor bx = gated(cx, columns(cx, p, 0, d), columns(cx, p, 2 * d, d), Activation::kIdentity);
  const Tensor y = short_conv(cx, bx, 0, conv_, /*silu=*/false, in, 0);
  return linear(cx, gated(cx, columns(cx, p, d, d), y, Activation::kIdentity), out_);
}

}  // namespace godwit
