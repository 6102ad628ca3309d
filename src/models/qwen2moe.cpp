// Qwen1.5-MoE and Qwen2-MoE: biases of q, k and v, mixtures with a gated shared expert in some or all layers.
// Source: Qwen2 Technical Report (2024), section 2.2.2.
#include "blocks/attention.h"
#include "blocks/rope_config.h"
#include "models/mixture.h"

namespace godwit::qwen2moe {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  experts_from_hf(hf, c);
  sparse_step_from_hf(hf, c);
  c.set("attention.bias", hf.boolean("qkv_bias", true));
  c.set("expert_shared_feed_forward_length", hf.integer("shared_expert_intermediate_size"));
  if (!hf.boolean("use_sliding_window", false)) return;
  windows_from_hf(hf, c);
  if (hf.has("layer_types") || !c.has("attention.sliding_window")) return;
  std::vector<bool> slides;
  for (int64_t i = 0; i < c.integer_in("block_count", 1, 1024); ++i)
    slides.push_back(i % 2 == 0 && i < hf.integer("max_window_layers"));
  c.set("attention.sliding_window_pattern", slides);
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  experts_to_hf(c, hf, "num_experts");
  sparse_step_to_hf(c, hf);
  hf.erase("attention_bias");
  hf["architectures"] = Json::array({"Qwen2MoeForCausalLM"});
  hf["model_type"] = "qwen2_moe";
  hf["qkv_bias"] = c.boolean("attention.bias", true);
  hf["shared_expert_intermediate_size"] = c.integer("expert_shared_feed_forward_length");
  hf["norm_topk_prob"] = c.boolean("expert_weights_norm", false);
  hf["rope_parameters"] = rope_to_hf(c);
  hf["layer_types"] = layer_types(windows(c, c.integer("block_count"), 0));
  hf["use_sliding_window"] = c.has("attention.sliding_window");
  if (c.has("attention.sliding_window")) hf["sliding_window"] = c.integer("attention.sliding_window");
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  AttentionSpec attention =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false), c.boolean("attention.bias", true));
  attention.output_biased = false;
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff};
  const int64_t used = c.integer_in("expert_used_count", 1, kMostExperts);
  MoeSpec moe = moe_from(c, d.d_model, d.d_ff / used, {});
  if (moe.shared_d_ff == 0) moe.shared_d_ff = d.d_ff;  // as GGUF files without the key have it
  moe.shared_gated = true;
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

TensorNames names() {
  std::vector<TensorName> more = shared_names("mlp.shared_expert");
  more.push_back({.gguf = "ffn_gate_inp_shexp.weight", .hf = "mlp.shared_expert_gate.weight", .hf_row = true});
  return mixture_names(expert_names("mlp", "gate_proj", "up_proj", "down_proj"), more);
}

const Architecture qwen2moe{
    .name = "qwen2moe",
    .hf_classes = {{"Qwen2MoeForCausalLM", "qwen2_moe", R"({"vocab_size":151936,"hidden_size":2048,
        "intermediate_size":5632,"num_hidden_layers":24,"num_attention_heads":16,"num_key_value_heads":16,
        "max_position_embeddings":32768,"rms_norm_eps":1e-6,"rope_theta":10000.0,"attention_bias":false,
        "mlp_bias":false,"sliding_window":4096,"max_window_layers":28,"decoder_sparse_step":1,
        "moe_intermediate_size":1408,"shared_expert_intermediate_size":5632,"num_experts_per_tok":4,"default_experts":60,
        "norm_topk_prob":false,"mlp_only_layers":[],"qkv_bias":true})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Qwen2MoeForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "moe_intermediate_size":32,"shared_expert_intermediate_size":64,"num_hidden_layers":2,"num_attention_heads":4,
        "num_key_value_heads":2,"num_experts":6,"num_experts_per_tok":2,"max_position_embeddings":2048})",
    .build = build};
const Registered registered{qwen2moe};

}  // namespace godwit::qwen2moe
