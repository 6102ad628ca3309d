// Qwen3-MoE: Qwen3's attention, mixtures in some or all layers. Source: Qwen3 Technical Report (2025), section 2.
#include "blocks/attention.h"
#include "blocks/rope_config.h"
#include "models/mixture.h"

namespace godwit::qwen3moe {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  experts_from_hf(hf, c);
  sparse_step_from_hf(hf, c);
  if (hf.boolean("use_sliding_window", false)) windows_from_hf(hf, c);
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  experts_to_hf(c, hf, "num_experts");
  sparse_step_to_hf(c, hf);
  hf["architectures"] = Json::array({"Qwen3MoeForCausalLM"});
  hf["model_type"] = "qwen3_moe";
  hf["norm_topk_prob"] = c.boolean("expert_weights_norm", true);
  hf["rope_parameters"] = rope_to_hf(c);
  hf["use_sliding_window"] = c.has("attention.sliding_window");
  if (c.has("attention.sliding_window")) hf["sliding_window"] = c.integer("attention.sliding_window");
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  AttentionSpec attention =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false), c.boolean("attention.bias", false));
  attention.qk_norm_eps = d.eps;
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff};
  const int64_t used = c.integer_in("expert_used_count", 1, kMostExperts);
  const MoeSpec moe = moe_from(c, d.d_model, d.d_ff / used, {.normalise = true});
  const std::vector<bool> sparse = expert_layers(c, d.n_layers);
  for (int64_t window : windows(c, d.n_layers, 0)) {
    const size_t i = model.layers().size();
    const Scope s = w.block(static_cast<int64_t>(i));
    attention.window = window;
    model.add(
        pre_norm(s, d.d_model, d.eps, std::make_unique<Attention>(s, attention), feed_forward(s, sparse[i], mlp, moe)));
  }
  return model;
}

const Architecture qwen3moe{
    .name = "qwen3moe",
    .hf_classes = {{"Qwen3MoeForCausalLM", "qwen3_moe", R"({"vocab_size":151936,"hidden_size":2048,
        "intermediate_size":6144,"num_hidden_layers":24,"num_attention_heads":32,"num_key_value_heads":4,
        "max_position_embeddings":32768,"rms_norm_eps":1e-6,"rope_theta":10000.0,"mlp_bias":false,
        "decoder_sparse_step":1,"moe_intermediate_size":768,"default_experts":128,"num_experts_per_tok":8,"norm_topk_prob":false,
        "mlp_only_layers":[]})"}},
    .names = mixture_names(expert_names("mlp", "gate_proj", "up_proj", "down_proj"),
                           {{"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"}}),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Qwen3MoeForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "moe_intermediate_size":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,
        "num_experts":8,"num_experts_per_tok":3,"norm_topk_prob":true,"max_position_embeddings":2048})",
    .build = build};
const Registered registered{qwen3moe};

}  // namespace godwit::qwen3moe
