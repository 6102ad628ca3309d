// OLMoE: norms over whole rows of q and k, optional clamping of q, k and v, a mixture in every layer.
// Source: Muennighoff et al. 2024, section 2.
#include "blocks/attention.h"
#include "blocks/rope_config.h"
#include "models/mixture.h"

namespace godwit::olmoe {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  experts_from_hf(hf, c);
  if (hf.has("clip_qkv")) c.set("attention.clamp_kqv", hf.real("clip_qkv"));
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  experts_to_hf(c, hf, "num_experts");
  hf["architectures"] = Json::array({"OlmoeForCausalLM"});
  hf["model_type"] = "olmoe";
  hf["intermediate_size"] = c.integer("expert_feed_forward_length", c.integer("feed_forward_length"));
  hf["norm_topk_prob"] = c.boolean("expert_weights_norm", false);
  hf["clip_qkv"] = c.has("attention.clamp_kqv") ? Json(c.real("attention.clamp_kqv")) : Json();
  hf["rope_parameters"] = rope_to_hf(c);
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  AttentionSpec attention =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false), c.boolean("attention.bias", false));
  attention.qk_norm_eps = d.eps;
  attention.qk_norm_whole = true;
  attention.clip = static_cast<float>(c.real("attention.clamp_kqv", 0.0));
  const MoeSpec moe = moe_from(c, d.d_model, d.d_ff, {});
  for (int64_t i = 0; i < d.n_layers; ++i) {
    const Scope s = w.block(i);
    model.add(pre_norm(s, d.d_model, d.eps, std::make_unique<Attention>(s, attention), std::make_unique<Moe>(s, moe)));
  }
  return model;
}

const Architecture olmoe{
    .name = "olmoe",
    .hf_classes = {{"OlmoeForCausalLM", "olmoe", R"({"vocab_size":50304,"hidden_size":2048,"intermediate_size":2048,
        "num_hidden_layers":16,"num_attention_heads":16,"max_position_embeddings":4096,"rms_norm_eps":1e-5,
        "rope_theta":10000.0,"mlp_bias":false,"num_experts_per_tok":8,"default_experts":64,"norm_topk_prob":false})"}},
    .names = mixture_names(expert_names("mlp", "gate_proj", "up_proj", "down_proj"),
                           {{"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"}}),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["OlmoeForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":32,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":4,"num_experts":8,"num_experts_per_tok":2,
        "max_position_embeddings":2048})",
    .build = build};
const Registered registered{olmoe};

}  // namespace godwit::olmoe
