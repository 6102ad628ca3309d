// Granite-MoE: Llama's attention with four multipliers, a mixture in every layer.
// Source: Granite 3.0 Language Models (2024), section 3.
#include "blocks/attention.h"
#include "blocks/rope_config.h"
#include "models/granite.h"

namespace godwit::granitemoe {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  experts_from_hf(hf, c);
  granite_scales_from_hf(hf, c);
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  experts_to_hf(c, hf, "num_local_experts");
  hf["architectures"] = Json::array({"GraniteMoeForCausalLM"});
  hf["model_type"] = "granitemoe";
  hf["intermediate_size"] = c.integer("expert_feed_forward_length", c.integer("feed_forward_length"));
  granite_scales_to_hf(c, dimensions(c).head_dim, hf);
  hf["rope_parameters"] = rope_to_hf(c);
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  Model model(c, w, granite_head(c, d.eps));
  AttentionSpec attention =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/true), c.boolean("attention.bias", false));
  attention.scale = static_cast<float>(c.real("attention.scale", 0.0));
  const MoeSpec moe = moe_from(c, d.d_model, d.d_ff, {.score = RouterScore::kNone});
  const float residual = positive_float(c, "residual_scale", 1.0);
  for (int64_t i = 0; i < d.n_layers; ++i) {
    const Scope s = w.block(i);
    model.add(pre_norm(s, d.d_model, d.eps, std::make_unique<Attention>(s, attention), std::make_unique<Moe>(s, moe),
                       "ffn_norm", residual));
  }
  return model;
}

TensorNames names() {
  return mixture_names(granite_expert_names(),
                       {{"attn_q", "self_attn.q_proj", Transform::kRopePairs, "attention.head_count"},
                        {"attn_k", "self_attn.k_proj", Transform::kRopePairs, "attention.head_count_kv"}});
}

const Architecture granitemoe{
    .name = "granitemoe",
    .hf_classes = {{"GraniteMoeForCausalLM", "granitemoe", R"({"vocab_size":32000,"hidden_size":4096,
        "intermediate_size":11008,"num_hidden_layers":32,"num_attention_heads":32,"max_position_embeddings":2048,
        "rms_norm_eps":1e-6,"rope_theta":10000.0,"mlp_bias":false,"default_experts":8,"num_experts_per_tok":2,
        "embedding_multiplier":1.0,"logits_scaling":1.0,"residual_multiplier":1.0,"attention_multiplier":1.0})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["GraniteMoeForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":32,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"num_local_experts":8,
        "num_experts_per_tok":2,"attention_multiplier":0.2,"residual_multiplier":0.5,"embedding_multiplier":3.0,
        "logits_scaling":2.0,"max_position_embeddings":2048})",
    .build = build};
const Registered registered{granitemoe};

}  // namespace godwit::granitemoe
