#include "blocks/latent_attention.h"

#include <cmath>

#include "ops/experts.h"

namespace godwit {

LatentAttention::LatentAttention(const Scope& s, const LatentAttentionSpec& spec) : spec_(spec) {
  const int64_t d = spec.d_model, q = spec.n_heads * (spec.nope_dim + spec.rope_dim), r = spec.kv_rank;
  if (spec.q_rank > 0) {
    q_a_ = linear_weight(s, "attn_q_a", spec.q_rank, d, spec.biased);
    q_norm_ = norm(s, "attn_q_a_norm", spec.q_rank, spec.norm_eps);
    q_b_ = linear_weight(s, "attn_q_b", q, spec.q_rank);
  } else {
    q_a_ = linear_weight(s, "attn_q", q, d);
  }
  kv_a_ = linear_weight(s, "attn_kv_a_mqa", r + spec.rope_dim, d, spec.biased);
  kv_norm_ = norm(s, "attn_kv_a_norm", r, spec.norm_eps);
  k_b_ = s.get("attn_k_b.weight", {spec.n_heads, r, spec.nope_dim});
  v_b_ = s.get("attn_v_b.weight", {spec.n_heads, spec.v_dim, r});
  output_ = linear_weight(s, "attn_output", d, spec.n_heads * spec.v_dim, spec.biased);
  if (spec_.scale == 0.0f)
    spec_.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.nope_dim + spec.rope_dim)));
}

Tensor LatentAttention::forward(Context& cx, Tensor x, const StepInput& in) const {
  const int64_t tokens = x.rows(), n = spec_.nope_dim, p = spec_.rope_dim, r = spec_.kv_rank;
  const LinearWeight* inner[] = {&q_a_, &kv_a_};
  const std::vector<Tensor> made = linear(cx, x, inner);
  const Tensor heads = q_norm_ ? linear(cx, (*q_norm_)(cx, made[0]), q_b_) : made[0];
  const Tensor q = heads.view({tokens, spec_.n_heads, n + p});
  const Tensor c = kv_norm_(cx, columns(cx, made[1], 0, r));
  const Tensor k_pe = godwit::rope(cx, columns(cx, made[1], r, p).view({tokens, 1, p}), spec_.rope, in.step);
  const Tensor q_pe = godwit::rope(cx, columns(cx, q, n, p), spec_.rope, in.step);
  Tensor query = concat(cx, stack_linear(cx, columns(cx, q, 0, n), k_b_), q_pe);
  if (spec_.temperature.beta != 0.0)
    query = scale_rows(cx, query, in.step.query_temperature(cx, spec_.temperature.beta, spec_.temperature.length));
  const Tensor z = latent_attention(cx, query, c, k_pe.view({tokens, p}), spec_.scale, in);
  const Tensor y = stack_linear(cx, z, v_b_);
  return linear(cx, y.view({tokens, spec_.n_heads * spec_.v_dim}), output_);
}

std::vector<StatePart> LatentAttention::state(const CacheTypes& types) const {
  // Eight bits are too few for the rotary part, which is small.
  const DType rope_type = types.k == DType::kQ8_0 ? DType::kF16 : types.k;
  return {{.name = "k_pe", .shape = {1, spec_.rope_dim}, .dtype = rope_type},
          {.name = "latent", .shape = {1, spec_.kv_rank}, .dtype = types.v}};
}

}  // namespace godwit
