#include "models/latent.h"

#include <cmath>

#include "base/error.h"

namespace godwit {
namespace {

// The lengths of heads as an as_expanded model has them.
struct HeadLengths {
  int64_t key, value;
};

HeadLengths head_lengths(const Config& c) {
  const bool absorbed = c.has("attention.key_length_mla");
  return {c.integer_in(absorbed ? "attention.key_length_mla" : "attention.key_length", 1, 1024),
          c.integer_in(absorbed ? "attention.value_length_mla" : "attention.value_length", 1, 1024)};
}

// The configuration of the as_expanded model, with heads of the rotary part's width: what plain attention's code reads.
Config as_expanded(const Config& c) {
  Config plain = c;
  const int64_t p = c.integer_in("rope.dimension_count", 1, 1024);
  plain.set("attention.key_length", p);
  plain.set("attention.value_length", p);
  plain.set("attention.head_count_kv", c.integer("attention.head_count"));
  return plain;
}

// mscale_all_dim without mscale: not in cos and sin, but still in the scale of scores, also of linear ropes.
void scale_from_hf(const HfConfig& hf, Config& c) {
  const std::string type = c.text("rope.scaling.type", "none");
  if (type == "none" || c.has("rope.scaling.yarn_log_multiplier")) return;
  const HfConfig rope(hf.json[hf.has("rope_scaling") ? "rope_scaling" : "rope_parameters"], hf.source);
  if (!rope.has("mscale_all_dim")) return;
  if (type == "yarn" && !c.has("rope.scaling.attention_factor"))
    c.set("rope.scaling.attention_factor", yarn_scale(c.real("rope.scaling.factor"), 1.0));
  c.set("rope.scaling.yarn_log_multiplier", 0.1 * rope.real("mscale_all_dim"));
}

}  // namespace

Dimensions latent_dimensions(const Config& c) { return dimensions(as_expanded(c)); }

LatentAttentionSpec latent_from(const Config& file) {
  Config c = file;
  // llama.cpp writes no mscale: for deepseek2 it was mscale_all_dim, unless that is 1.
  if (c.architecture == "deepseek2" && !c.has("rope.scaling.yarn_mscale") && c.has("rope.scaling.yarn_log_multiplier"))
    c.set("rope.scaling.yarn_mscale", 10.0 * c.real("rope.scaling.yarn_log_multiplier"));
  const Dimensions d = latent_dimensions(c);
  const auto [key, value] = head_lengths(c);
  LatentAttentionSpec spec{.d_model = d.d_model, .n_heads = d.n_heads};
  spec.q_rank = c.integer_in("attention.q_lora_rank", 0, 0, int64_t{1} << 20);
  spec.kv_rank = c.integer_in("attention.kv_lora_rank", 1, 512);
  spec.rope_dim = d.head_dim;
  spec.nope_dim = key - spec.rope_dim;
  if (spec.nope_dim < 1)
    c.refuse("rope.dimension_count", fmt::format("less than the {} channels of a key", key),
             std::to_string(spec.rope_dim));
  spec.v_dim = value;
  spec.rope = rope_from(as_expanded(c), spec.rope_dim, c.boolean("rope.interleaved", true));
  const double all = 10.0 * c.real("rope.scaling.yarn_log_multiplier", 0.0);
  const double grown = yarn_scale(c.real("rope.scaling.factor", 1.0), all);
  spec.scale = static_cast<float>(grown * grown / std::sqrt(static_cast<double>(key)));
  spec.norm_eps = static_cast<float>(c.real("attention.latent_norm_rms_epsilon", static_cast<double>(d.eps)));
  spec.biased = c.boolean("attention.bias", false);
  spec.temperature.beta = c.real("attention.temperature_scale", 0.0);
  if (spec.temperature.beta != 0.0)
    spec.temperature.length = c.integer_in("attention.temperature_length", 1, int64_t{1} << 40);
  return spec;
}

void latent_from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  constexpr int64_t kMost = int64_t{1} << 20;
  const int64_t r = hf.integer("kv_lora_rank"), n = hf.integer("qk_nope_head_dim"), p = hf.integer("qk_rope_head_dim");
  for (int64_t size : {r, n, p})
    if (size < 1 || size > kMost) invalid("{}: kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim: {}", hf.source, size);
  const int64_t heads = hf.integer("num_attention_heads");
  if (hf.has("num_key_value_heads") && hf.integer("num_key_value_heads") != heads)
    invalid("{}: key num_key_value_heads: expected {} (num_attention_heads), got {}", hf.source, heads,
            hf.integer("num_key_value_heads"));
  rope_from_hf(hf, c);
  c.set("rope.dimension_count", p);
  if (!hf.boolean("rope_interleave", true)) c.set("rope.interleaved", false);
  scale_from_hf(hf, c);
  if (hf.has("q_lora_rank")) c.set("attention.q_lora_rank", hf.integer("q_lora_rank"));
  c.set("attention.kv_lora_rank", r);
  c.set("attention.head_count_kv", int64_t{1});
  c.set("attention.key_length", r + p);
  c.set("attention.value_length", r);
  c.set("attention.key_length_mla", n + p);
  c.set("attention.value_length_mla", hf.integer("v_head_dim"));
  // The classes build these norms without the model's epsilon.
  if (hf.real("rms_norm_eps") != 1e-6) c.set("attention.latent_norm_rms_epsilon", 1e-6);
}

void latent_to_hf(const Config& c, Json& hf) {
  const LatentAttentionSpec spec = latent_from(c);
  const Config plain = as_expanded(c);
  usual_to_hf(plain, hf);
  hf["rope_parameters"] = rope_to_hf(plain);
  hf["head_dim"] = spec.rope_dim;
  hf["q_lora_rank"] = spec.q_rank > 0 ? Json(spec.q_rank) : Json();
  hf["kv_lora_rank"] = spec.kv_rank;
  hf["qk_nope_head_dim"] = spec.nope_dim;
  hf["qk_rope_head_dim"] = spec.rope_dim;
  hf["v_head_dim"] = spec.v_dim;
  hf["rope_interleave"] = spec.rope.interleaved;
}

std::vector<TensorName> latent_names() {
  TensorName k{.gguf = "attn_k_b.weight", .hf = ""}, v{.gguf = "attn_v_b.weight", .hf = ""};
  k.hf_forms = {{.name = "self_attn.kv_b_proj.weight", .pick = Pick::kFirst, .transposed = true}};
  v.hf_forms = {{.name = "self_attn.kv_b_proj.weight", .pick = Pick::kLast}};
  k.gguf_forms = {{.name = "attn_kv_b.weight", .pick = Pick::kFirst, .transposed = true}};
  v.gguf_forms = {{.name = "attn_kv_b.weight", .pick = Pick::kLast}};
  return {{"attn_q_a", "self_attn.q_a_proj"},
          {"attn_q_a_norm", "self_attn.q_a_layernorm"},
          {"attn_q_b", "self_attn.q_b_proj"},
          {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
          {"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
          k,
          v};
}

}  // namespace godwit
