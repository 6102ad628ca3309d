// Qwen3, dense: per-head norms of q and k, rotary in halves, optional windows in the upper layers.
// Source: Qwen3 Technical Report (2025), section 2.
#include "blocks/attention.h"
#include "blocks/gated_mlp.h"
#include "blocks/rope_config.h"
#include "models/usual.h"

namespace godwit::qwen3 {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  if (!hf.boolean("use_sliding_window", false)) return;  // many files name a window that they do not use
  windows_from_hf(hf, c);
  if (hf.has("layer_types") || !c.has("attention.sliding_window")) return;
  std::vector<bool> slides;
  for (int64_t i = 0; i < c.integer_in("block_count", 1, 1024); ++i)
    slides.push_back(i >= hf.integer("max_window_layers"));
  c.set("attention.sliding_window_pattern", slides);
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  hf["architectures"] = Json::array({"Qwen3ForCausalLM"});
  hf["model_type"] = "qwen3";
  hf["rope_parameters"] = rope_to_hf(c);
  hf["hidden_act"] = "silu";
  const std::vector<int64_t> window = windows(c, c.integer("block_count"), 0);
  hf["layer_types"] = layer_types(window);
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
  for (int64_t window : windows(c, d.n_layers, 0)) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    attention.window = window;
    model.add(
        pre_norm(s, d.d_model, d.eps, std::make_unique<Attention>(s, attention), std::make_unique<GatedMlp>(s, mlp)));
  }
  return model;
}

const Architecture qwen3{
    .name = "qwen3",
    .hf_classes = {{"Qwen3ForCausalLM", "qwen3", R"({"vocab_size":151936,"hidden_size":4096,"intermediate_size":22016,
        "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":32,"head_dim":128,
        "max_position_embeddings":32768,"rms_norm_eps":1e-6,"rope_theta":10000.0,"sliding_window":4096,
        "max_window_layers":28,"mlp_bias":false})"}},
    .names = usual_names({{"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"}}),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Qwen3ForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,
        "max_position_embeddings":2048,"tie_word_embeddings":true})",
    .build = build};
const Registered registered{qwen3};

}  // namespace godwit::qwen3
