#include "blocks/attention.h"

#include <cmath>

namespace godwit {

Attention::Attention(const Scope& s, const AttentionSpec& spec) : spec_(spec) {
  const int64_t d = spec.d_model, q = spec.n_heads * spec.head_dim, kv = spec.n_kv_heads * spec.head_dim;
  q_ = linear_weight(s, "attn_q", q, d, spec.biased);
  k_ = linear_weight(s, "attn_k", kv, d, spec.biased);
  v_ = linear_weight(s, "attn_v", kv, d, spec.biased);
  output_ = linear_weight(s, "attn_output", d, q, spec.output_biased);
  if (spec.qk_norm_eps > 0.0f) {
    q_norm_ = norm(s, "attn_q_norm", spec.qk_norm_whole ? q : spec.head_dim, spec.qk_norm_eps, spec.norm_plus_one);
    k_norm_ = norm(s, "attn_k_norm", spec.qk_norm_whole ? kv : spec.head_dim, spec.qk_norm_eps, spec.norm_plus_one);
  }
  if (spec.sinks) sinks_ = s.get("attn_sinks.weight", {spec.n_heads});
  if (spec_.scale == 0.0f) spec_.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.head_dim)));
}

Tensor Attention::forward(Context& cx, Tensor x, const StepInput& in) const {
  const LinearWeight* projections[] = {&q_, &k_, &v_};
  const std::vector<Tensor> qkv = linear(cx, x, projections);
  const int64_t tokens = x.rows();
  Tensor q = normalised(cx, q_norm_, qkv[0], spec_.n_heads);
  Tensor k = normalised(cx, k_norm_, qkv[1], spec_.n_kv_heads);
  Tensor v = qkv[2].view({tokens, spec_.n_kv_heads, spec_.head_dim});
  if (spec_.clip > 0.0f)
    for (Tensor* t : {&q, &k, &v}) *t = clamp(cx, *t, spec_.clip);
  if (spec_.rope.n_pairs > 0) {
    q = godwit::rope(cx, q, spec_.rope, in.step);
    k = godwit::rope(cx, k, spec_.rope, in.step);
  }
  const Tensor y = attention(cx, q, k, v, {.scale = spec_.scale, .softcap = spec_.softcap, .sinks = sinks_}, in);
  return linear(cx, y.view({tokens, spec_.n_heads * spec_.head_dim}), output_);
}

// [tokens, heads, head_dim], normalised where there is a norm.
Tensor Attention::normalised(Context& cx, const std::optional<Norm>& norm, Tensor x, int64_t heads) const {
  const Shape by_head{x.rows(), heads, spec_.head_dim};
  if (!norm) return x.view(by_head);
  return spec_.qk_norm_whole ? (*norm)(cx, x).view(by_head) : (*norm)(cx, x.view(by_head));
}

std::vector<StatePart> Attention::state(const CacheTypes& types) const {
  const Shape row{spec_.n_kv_heads, spec_.head_dim};
  return {{.name = "k", .shape = row, .dtype = types.k, .window = spec_.window},
          {.name = "v", .shape = row, .dtype = types.v, .window = spec_.window}};
}

}  // namespace godwit
