// Mixtral: Llama's attention, a mixture in every layer. GGUF files call it llama, as they do the dense models.
// Source: Jiang et al. 2024, section 2.
#include "blocks/attention.h"
#include "blocks/rope_config.h"
#include "models/mixture.h"

namespace godwit::mixtral {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  windows_from_hf(hf, c);
  experts_from_hf(hf, c);
  c.set("expert_weights_norm", true);
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  experts_to_hf(c, hf, "num_local_experts");
  hf["architectures"] = Json::array({"MixtralForCausalLM"});
  hf["model_type"] = "mixtral";
  hf["rope_parameters"] = rope_to_hf(c);
  const int64_t window = c.integer("attention.sliding_window", 0);
  hf["sliding_window"] = window > 0 ? Json(window) : Json();
  hf.erase("attention_bias");
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  AttentionSpec attention = usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/true));
  const MoeSpec moe = moe_from(c, d.d_model, d.d_ff, {.normalise = true});
  for (int64_t window : windows(c, d.n_layers, 0)) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    attention.window = window;
    model.add(pre_norm(s, d.d_model, d.eps, std::make_unique<Attention>(s, attention), std::make_unique<Moe>(s, moe)));
  }
  return model;
}

const Architecture mixtral{
    .name = "llama",
    .hf_classes = {{"MixtralForCausalLM", "mixtral", R"({"vocab_size":32000,"hidden_size":4096,
        "intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,
        "max_position_embeddings":131072,"rms_norm_eps":1e-5,"rope_theta":1e6,"sliding_window":null,
        "num_experts_per_tok":2,"default_experts":8,"attention_bias":false,"mlp_bias":false})"}},
    .names = mixture_names(expert_names("block_sparse_moe", "w1", "w3", "w2"),
                           {{"attn_q", "self_attn.q_proj", Transform::kRopePairs, "attention.head_count"},
                            {"attn_k", "self_attn.k_proj", Transform::kRopePairs, "attention.head_count_kv"}}),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["MixtralForCausalLM"],"vocab_size":101,"hidden_size":64,"intermediate_size":96,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":2048})",
    .build = build,
    .claims = [](const Config& c) { return c.integer("expert_count", 0) > 0; }};
const Registered registered{mixtral};

}  // namespace godwit::mixtral
