// Llama, and Mistral with it: dense, grouped queries, rotary in pairs, optional biases and windows.
// Sources: Touvron et al. 2023; Dubey et al. 2024 (rotary scaling); Jiang et al. 2023 (windows).
#include "blocks/attention.h"
#include "blocks/gated_mlp.h"
#include "blocks/rope_config.h"
#include "models/usual.h"

namespace godwit::llama {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  windows_from_hf(hf, c);
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  hf["rope_parameters"] = rope_to_hf(c);
  hf["hidden_act"] = "silu";
  hf["mlp_bias"] = c.boolean("feed_forward.bias", false);
  // Only Mistral's classes have windows: one for all layers, or (Ministral) for some.
  const std::vector<int64_t> window = windows(c, c.integer("block_count"), 0);
  bool some = false, all = true;
  for (int64_t w : window) {
    some = some || w > 0;
    all = all && w > 0;
  }
  const bool mistral = some && !c.boolean("attention.bias", false);
  hf["architectures"] = Json::array({!mistral ? "LlamaForCausalLM"
                                     : all    ? "MistralForCausalLM"
                                              : "MinistralForCausalLM"});
  hf["model_type"] = !mistral ? "llama" : all ? "mistral" : "ministral";
  if (mistral) hf["sliding_window"] = c.integer("attention.sliding_window");
  if (mistral && !all) hf["layer_types"] = layer_types(window);
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  AttentionSpec attention =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/true), c.boolean("attention.bias", false));
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff, .biased = c.boolean("feed_forward.bias", false)};
  for (int64_t window : windows(c, d.n_layers, 0)) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    attention.window = window;
    model.add(
        pre_norm(s, d.d_model, d.eps, std::make_unique<Attention>(s, attention), std::make_unique<GatedMlp>(s, mlp)));
  }
  return model;
}

const Architecture llama{
    .name = "llama",
    .hf_classes = {{"LlamaForCausalLM", "llama", R"({"vocab_size":32000,"hidden_size":4096,"intermediate_size":11008,
          "num_hidden_layers":32,"num_attention_heads":32,"max_position_embeddings":2048,"rms_norm_eps":1e-6,
          "rope_theta":10000.0,"sliding_window":null})"},
                   {"MistralForCausalLM", "mistral",
                    R"({"vocab_size":32000,"hidden_size":4096,"intermediate_size":14336,
          "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"max_position_embeddings":131072,
          "rms_norm_eps":1e-6,"rope_theta":10000.0,"sliding_window":4096,"attention_bias":false,"mlp_bias":false})"},
                   {"MinistralForCausalLM", "ministral",
                    R"({"vocab_size":32000,"hidden_size":4096,"intermediate_size":14336,
          "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"max_position_embeddings":131072,
          "rms_norm_eps":1e-6,"rope_theta":10000.0,"sliding_window":4096,"attention_bias":false,"mlp_bias":false})"}},
    .names = usual_names({{"attn_q", "self_attn.q_proj", Transform::kRopePairs, "attention.head_count"},
                          {"attn_k", "self_attn.k_proj", Transform::kRopePairs, "attention.head_count_kv"}}),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["LlamaForCausalLM"],"vocab_size":101,"hidden_size":64,"intermediate_size":96,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":2048})",
    .build = build};
const Registered registered{llama};

}  // namespace godwit::llama
