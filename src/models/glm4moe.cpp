// GLM-4-MoE (GLM-4.5 and later): partial rotary, optional norms of q and k, DeepSeek-V3's router, a shared expert.
// Source: GLM-4.5 (2025), section 2.1.
#include "blocks/attention.h"
#include "blocks/rope_config.h"
#include "models/mixture.h"

namespace godwit::glm4moe {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  experts_from_hf(hf, c);
  groups_from_hf(hf, c);
  c.set("expert_gating_func", int64_t{2});
  c.set("attention.qk_norm", hf.boolean("use_qk_norm", false));
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  experts_to_hf(c, hf, "n_routed_experts");
  groups_to_hf(c, hf);
  hf["architectures"] = Json::array({"Glm4MoeForCausalLM"});
  hf["model_type"] = "glm4_moe";
  hf["use_qk_norm"] = c.boolean("attention.qk_norm", false);
  hf["rope_parameters"] = rope_to_hf(c);
  hf["num_nextn_predict_layers"] = 0;
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  // GGUF files say it by having the norms.
  const bool normed = c.has("attention.qk_norm") ? c.boolean("attention.qk_norm", false)
                                                 : !w.block(0).find("attn_q_norm.weight", {d.head_dim}).empty();
  AttentionSpec attention =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false), c.boolean("attention.bias", false));
  attention.output_biased = false;
  attention.qk_norm_eps = normed ? d.eps : 0.0f;
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff};
  MoeSpec moe = moe_from(c, d.d_model, d.d_ff, {.score = RouterScore::kSigmoid, .epsilon = 1e-20f});
  moe.selection_bias = true;
  for (bool sparse : expert_layers(c, d.n_layers)) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    model.add(pre_norm(s, d.d_model, d.eps, std::make_unique<Attention>(s, attention),
                       feed_forward(s, sparse, mlp, moe), "post_attention_norm"));
  }
  return model;
}

TensorNames names() {
  std::vector<TensorName> more = shared_names("mlp.shared_experts");
  more.insert(more.end(), {{"attn_q_norm", "self_attn.q_norm"},
                           {"attn_k_norm", "self_attn.k_norm"},
                           {"post_attention_norm", "post_attention_layernorm"},
                           {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"}});
  TensorNames names = mixture_names(expert_names("mlp", "gate_proj", "up_proj", "down_proj"), more);
  names.prediction_layers = true;
  return names;
}

const Architecture glm4moe{
    .name = "glm4moe",
    .hf_classes = {{"Glm4MoeForCausalLM", "glm4_moe", R"({"vocab_size":151552,"hidden_size":4096,
        "intermediate_size":10944,"num_hidden_layers":46,"num_attention_heads":96,"num_key_value_heads":8,
        "max_position_embeddings":131072,"rms_norm_eps":1e-5,"rope_theta":10000.0,"partial_rotary_factor":0.5,
        "mlp_bias":false,"moe_intermediate_size":1408,"num_experts_per_tok":8,"n_shared_experts":1,
        "default_experts":128,"routed_scaling_factor":1.0,"n_group":1,"topk_group":1,"first_k_dense_replace":1,
        "norm_topk_prob":true})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Glm4MoeForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "moe_intermediate_size":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,
        "n_routed_experts":8,"num_experts_per_tok":2,"n_group":2,"topk_group":1,"use_qk_norm":true,
        "max_position_embeddings":2048})",
    .build = build};
const Registered registered{glm4moe};

}  // namespace godwit::glm4moe
