#include "blocks/mamba2.h"

#include <algorithm>

namespace godwit {

Mamba2::Mamba2(const Scope& s, const Mamba2Spec& spec) : spec_(spec) {
  const SsdSpec& d = spec.ssd;
  in_ = linear_weight(s, "ssm_in", d.inner() + d.channels() + d.heads, spec.d_model, spec.biased);
  conv_ = conv_weight(s, "ssm_conv1d", d.channels(), spec.taps, spec.conv_biased);
  ssd_.dt_bias = s.get("ssm_dt.bias", {d.heads});
  ssd_.a_log = s.get("ssm_a", {d.heads, 1});
  ssd_.d = s.get("ssm_d", {d.heads, 1});
  if (spec.normed) gain_ = s.get("ssm_norm.weight", {d.groups, d.inner() / d.groups});
  out_ = linear_weight(s, "ssm_out", spec.d_model, d.inner(), spec.out_biased);
}

// z | x | B | C | dt of every token, each times its scale.
Tensor Mamba2::projected(Context& cx, Tensor x) const {
  const Tensor p = linear(cx, x, in_);
  const auto is_one = [](float scale) { return scale == 1.0f; };
  if (std::all_of(spec_.scales.begin(), spec_.scales.end(), is_one)) return p;
  const SsdSpec& d = spec_.ssd;
  const int64_t shared = d.groups * d.d_state;
  const int64_t widths[] = {d.inner(), d.inner(), shared, shared, d.heads};
  Tensor all;
  int64_t first = 0;
  for (size_t i = 0; i < spec_.scales.size(); ++i) {
    const Tensor part = scaled(cx, columns(cx, p, first, widths[i]), spec_.scales[i]);
    all = i == 0 ? part : concat(cx, all, part);
    first += widths[i];
  }
  return all;
}

Tensor Mamba2::gated_norm(Context& cx, Tensor y, Tensor z) const {
  const SsdSpec& d = spec_.ssd;
  const auto normed = [&](Tensor v) {
    return rms_norm(cx, v.view({v.rows(), d.groups, d.inner() / d.groups}), gain_, spec_.eps, false).view(y.shape);
  };
  if (!spec_.normed) return gated(cx, z, y, Activation::kSilu);
  if (spec_.norm_before_gate) return gated(cx, z, normed(y), Activation::kSilu);
  return normed(gated(cx, z, y, Activation::kSilu));
}

Tensor Mamba2::forward(Context& cx, Tensor x, const StepInput& in) const {
  const SsdSpec& d = spec_.ssd;
  const Tensor p = projected(cx, x);
  const Tensor xbc = short_conv(cx, p, d.inner(), conv_, /*silu=*/true, in, 0);
  const Tensor y = ssd(cx, xbc, p, d.inner() + d.channels(), ssd_, d, in, 2);
  return linear(cx, gated_norm(cx, y, columns(cx, p, 0, d.inner())), out_);
}

std::vector<StatePart> Mamba2::state(const CacheTypes&) const {
  return conv_state(spec_.ssd.channels(), spec_.taps, ssd_state(spec_.ssd));
}

}  // namespace godwit
