#include "blocks/mamba2.h"

namespace godwit {

Mamba2::Mamba2(const Scope& s, const Mamba2Spec& spec) : spec_(spec) {
  const SsdSpec& d = spec.ssd;
  in_ = linear_weight(s, "ssm_in", d.inner() + d.channels() + d.heads, spec.d_model, spec.biased);
  conv_.weight = s.get("ssm_conv1d.weight", {d.channels(), spec.taps});
  if (spec.conv_biased) conv_.bias = s.get("ssm_conv1d.bias", {d.channels()});
  ssd_.dt_bias = s.get("ssm_dt.bias", {d.heads});
  ssd_.a_log = s.get("ssm_a", {d.heads, 1});
  ssd_.d = s.get("ssm_d", {d.heads, 1});
  gain_ = s.get("ssm_norm.weight", {d.groups, d.inner() / d.groups});
  out_ = linear_weight(s, "ssm_out", spec.d_model, d.inner(), spec.biased);
}

Tensor Mamba2::forward(Context& cx, Tensor x, const StepInput& in) const {
  const SsdSpec& d = spec_.ssd;
  const int64_t tokens = x.rows();
  const Tensor p = linear(cx, x, in_);
  const Tensor xbc = short_conv(cx, p, d.inner(), conv_, /*silu=*/true, in, 0);
  const Tensor y = ssd(cx, xbc, p, d.inner() + d.channels(), ssd_, d, in, 2);
  const Tensor v = gated(cx, columns(cx, p, 0, d.inner()), y, Activation::kSilu);
  const Tensor n = rms_norm(cx, v.view({tokens, d.groups, d.inner() / d.groups}), gain_, spec_.eps, false);
  return linear(cx, n.view({tokens, d.inner()}), out_);
}

std::vector<StatePart> Mamba2::state(const CacheTypes&) const {
  std::vector<StatePart> parts = conv_state(spec_.ssd.channels(), spec_.taps);
  for (const StatePart& part : ssd_state(spec_.ssd)) parts.push_back(part);
  return parts;
}

}  // namespace godwit
