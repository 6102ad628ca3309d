// MiniMax-M2: norms over whole rows of q and k, partial rotary, sigmoid router with a bias for the choice.
// Source: the published model card and configuration (2025).
#include "blocks/attention.h"
#include "blocks/rope_config.h"
#include "models/mixture.h"

namespace godwit::minimax_m2 {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  if (hf.has("rotary_dim")) c.set("rope.dimension_count", hf.integer("rotary_dim"));
  experts_from_hf(hf, c);
  c.set("expert_weights_norm", true);
  c.set("expert_gating_func", int64_t{2});
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  experts_to_hf(c, hf, "num_local_experts");
  hf.erase("attention_bias");
  hf["architectures"] = Json::array({"MiniMaxM2ForCausalLM"});
  hf["model_type"] = "minimax_m2";
  hf["intermediate_size"] = c.integer("expert_feed_forward_length", c.integer("feed_forward_length"));
  hf["rope_parameters"] = rope_to_hf(c);
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  AttentionSpec attention = usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false));
  attention.qk_norm_eps = d.eps;
  attention.qk_norm_whole = true;
  MoeSpec moe = moe_from(c, d.d_model, d.d_ff, {.score = RouterScore::kSigmoid, .normalise = true});
  moe.selection_bias = true;
  for (int64_t i = 0; i < d.n_layers; ++i) {
    const Scope s = w.block(i);
    model.add(pre_norm(s, d.d_model, d.eps, std::make_unique<Attention>(s, attention), std::make_unique<Moe>(s, moe)));
  }
  return model;
}

TensorNames names() {
  TensorName bias{.gguf = "exp_probs_b.bias", .hf = ""};
  bias.hf_forms = {{.name = "block_sparse_moe.e_score_correction_bias"}, {.name = "mlp.e_score_correction_bias"}};
  TensorNames names = mixture_names(expert_names("block_sparse_moe", "w1", "w3", "w2"),
                                    {{"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"}, bias});
  names.prediction_layers = true;
  return names;
}

const Architecture minimax_m2{
    .name = "minimax-m2",
    .hf_classes = {{"MiniMaxM2ForCausalLM", "minimax_m2", R"({"vocab_size":200064,"hidden_size":3072,
        "intermediate_size":1536,"num_hidden_layers":62,"num_attention_heads":48,"num_key_value_heads":8,"head_dim":128,
        "max_position_embeddings":196608,"rms_norm_eps":1e-6,"rope_theta":5e6,"attention_bias":false,"mlp_bias":false,
        "num_experts_per_tok":8,"default_experts":256})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["MiniMaxM2ForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":32,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"rotary_dim":16,
        "num_local_experts":8,"num_experts_per_tok":2,"max_position_embeddings":2048})",
    .build = build};
const Registered registered{minimax_m2};

}  // namespace godwit::minimax_m2
