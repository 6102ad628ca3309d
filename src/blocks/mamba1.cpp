#include "blocks/mamba1.h"

namespace godwit {

Mamba1::Mamba1(const Scope& s, const Mamba1Spec& spec) : spec_(spec) {
  in_ = linear_weight(s, "ssm_in", 2 * spec.inner, spec.d_model, spec.biased);
  conv_ = conv_weight(s, "ssm_conv1d", spec.inner, spec.taps, spec.conv_biased);
  x_.weight = s.get("ssm_x.weight", {spec.dt_rank + 2 * spec.d_state, spec.inner});
  dt_.weight = s.get("ssm_dt.weight", {spec.inner, spec.dt_rank});
  scan_.dt_bias = s.get("ssm_dt.bias", {spec.inner});  // added by the scan
  scan_.a_log = s.get("ssm_a", {spec.inner, spec.d_state});
  scan_.d = s.get("ssm_d", {spec.inner});
  if (spec.norm == ScanNorm::kGains) {
    dt_gain_ = s.get("ssm_dt_norm.weight", {spec.dt_rank});
    b_gain_ = s.get("ssm_b_norm.weight", {spec.d_state});
    c_gain_ = s.get("ssm_c_norm.weight", {spec.d_state});
  }
  out_ = linear_weight(s, "ssm_out", spec.d_model, spec.inner, spec.biased);
}

Tensor Mamba1::part(Context& cx, Tensor p, int64_t first, int64_t count, Tensor gain) const {
  const Tensor y = columns(cx, p, first, count);
  return spec_.norm == ScanNorm::kNone ? y : rms_norm(cx, y, gain, spec_.norm_eps, false);
}

Tensor Mamba1::forward(Context& cx, Tensor x, const StepInput& in) const {
  const int64_t inner = spec_.inner, rank = spec_.dt_rank, n = spec_.d_state;
  const Tensor xz = linear(cx, x, in_);
  const Tensor u = short_conv(cx, xz, 0, conv_, /*silu=*/true, in, 0);
  const Tensor p = linear(cx, u, x_);
  const Tensor dt = linear(cx, part(cx, p, 0, rank, dt_gain_), dt_);
  const Tensor y =
      selective_scan(cx, u, dt, part(cx, p, rank, n, b_gain_), part(cx, p, rank + n, n, c_gain_), scan_, in, 2);
  return linear(cx, gated(cx, columns(cx, xz, inner, inner), y, Activation::kSilu), out_);
}

std::vector<StatePart> Mamba1::state(const CacheTypes&) const {
  return conv_state(spec_.inner, spec_.taps, scan_state(spec_.inner, spec_.d_state));
}

}  // namespace godwit
