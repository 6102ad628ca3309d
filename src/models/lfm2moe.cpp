// LFM2-MoE: LFM2's mixers, mixtures of experts after the first layers. Source: LFM2 Technical Report (2025), section 2.
#include "models/lfm.h"
#include "models/mixture.h"

namespace godwit::lfm2moe {

void from_hf(const HfConfig& hf, Config& c) {
  lfm_from_hf(hf, c);
  experts_from_hf(hf, c);
  c.set("expert_gating_func", int64_t{2});
  c.set("expert_weights_norm", hf.boolean("norm_topk_prob", true));
  c.set("expert_weights_scale", hf.real("routed_scaling_factor"));
  c.set("expert_selection_bias", hf.boolean("use_expert_bias", true));
  c.set("leading_dense_block_count", hf.integer("num_dense_layers"));
}

void to_hf(const Config& c, Json& hf) {
  lfm_to_hf(c, hf);
  experts_to_hf(c, hf, "num_experts");
  hf["architectures"] = Json::array({"Lfm2MoeForCausalLM"});
  hf["model_type"] = "lfm2_moe";
  hf["moe_intermediate_size"] = c.integer("expert_feed_forward_length");
  hf["norm_topk_prob"] = c.boolean("expert_weights_norm", true);
  hf["routed_scaling_factor"] = c.real("expert_weights_scale", 1.0);
  hf["use_expert_bias"] = c.boolean("expert_selection_bias", true);
  hf["num_dense_layers"] = c.integer("leading_dense_block_count", 0);
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = lfm_dimensions(c);
  Model model = lfm_model(c, w);
  const LfmMixers mixers(c);
  MoeSpec moe = moe_from(c, d.d_model, d.d_ff, {.score = RouterScore::kSigmoid, .normalise = true, .epsilon = 1e-6f});
  moe.selection_bias = c.boolean("expert_selection_bias", true);
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff};
  const std::vector<bool> sparse = expert_layers(c, d.n_layers);
  for (int64_t i = 0; i < d.n_layers; ++i) {
    const Scope s = w.block(i);
    model.add(
        pre_norm(s, d.d_model, d.eps, mixers.make(s, i), feed_forward(s, sparse[static_cast<size_t>(i)], mlp, moe)));
  }
  return model;
}

TensorNames names() {
  std::vector<TensorName> experts = expert_names("feed_forward", "w1", "w3", "w2");
  experts[0].hf_forms[1].name = experts[1].hf_forms[1].name = "feed_forward.experts.gate_up_proj";
  experts[2].hf_forms[1].name = "feed_forward.experts.down_proj";
  experts.push_back({.gguf = "exp_probs_b.bias", .hf = "feed_forward.expert_bias"});
  return lfm_names(experts);
}

const Architecture lfm2moe{
    .name = "lfm2moe",
    .hf_classes = {{"Lfm2MoeForCausalLM", "lfm2_moe", R"({"vocab_size":65536,"hidden_size":2048,
        "intermediate_size":7168,"moe_intermediate_size":1792,"num_hidden_layers":32,"num_attention_heads":32,
        "num_key_value_heads":8,"max_position_embeddings":128000,"norm_eps":1e-5,"tie_word_embeddings":true,
        "rope_theta":1e6,"conv_L_cache":3,"num_dense_layers":2,"num_experts":32,"num_experts_per_tok":4,
        "routed_scaling_factor":1.0})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Lfm2MoeForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "moe_intermediate_size":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,
        "num_experts":8,"num_experts_per_tok":2,"num_dense_layers":1,"layer_types":["conv","full_attention"],
        "max_position_embeddings":2048})",
    .build = build};
const Registered registered{lfm2moe};

}  // namespace godwit::lfm2moe
