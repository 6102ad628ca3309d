// gpt-oss: every other layer slides, attention sinks, biases everywhere, clamped SwiGLU, the router's softmax over the
// chosen experts. Source: OpenAI 2025, gpt-oss-120b and gpt-oss-20b model card, section 2.
#include "blocks/attention.h"
#include "blocks/rope_config.h"
#include "models/mixture.h"

namespace godwit::gpt_oss {

constexpr int64_t kUsualPattern = 2;  // a window, then none

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  windows_from_hf(hf, c);
  // Only the class's own dictionary has it false.
  if (c.text("rope.scaling.type", "none") == "yarn" && !c.has("rope.scaling.yarn_truncate"))
    c.set("rope.scaling.yarn_truncate", true);
  experts_from_hf(hf, c);
  c.set("swiglu_limit", hf.real("swiglu_limit"));
  c.set("swiglu_alpha", hf.real("swiglu_alpha"));
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  experts_to_hf(c, hf, "num_local_experts");
  hf["architectures"] = Json::array({"GptOssForCausalLM"});
  hf["model_type"] = "gpt_oss";
  hf["attention_bias"] = c.boolean("attention.bias", true);
  hf["intermediate_size"] = c.integer("expert_feed_forward_length", c.integer("feed_forward_length"));
  hf["swiglu_limit"] = c.real("swiglu_limit", 7.0);
  hf["swiglu_alpha"] = c.real("swiglu_alpha", 1.702);
  hf["sliding_window"] = c.integer("attention.sliding_window");
  hf["layer_types"] = layer_types(windows(c, c.integer("block_count"), kUsualPattern));
  hf["rope_parameters"] = rope_to_hf(c);
  if (hf["rope_parameters"]["rope_type"] == "yarn")
    hf["rope_parameters"]["truncate"] = c.boolean("rope.scaling.yarn_truncate", false);
}

Model build(const Config& file, Weights& w) {
  Config c = file;
  // GGUF has no key for it.
  if (!c.has("rope.scaling.yarn_truncate")) c.set("rope.scaling.yarn_truncate", false);
  const Dimensions d = dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  AttentionSpec attention =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false), c.boolean("attention.bias", true));
  attention.sinks = true;
  MoeSpec moe = moe_from(c, d.d_model, d.d_ff, {.score = RouterScore::kNone});
  moe.router_biased = moe.biased = true;
  moe.activation = {Activation::kSwigluClamped, positive_float(c, "swiglu_limit", 7.0),
                    positive_float(c, "swiglu_alpha", 1.702)};
  for (int64_t window : windows(c, d.n_layers, kUsualPattern)) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    attention.window = window;
    model.add(pre_norm(s, d.d_model, d.eps, std::make_unique<Attention>(s, attention), std::make_unique<Moe>(s, moe),
                       "post_attention_norm"));
  }
  return model;
}

TensorName forms(const char* gguf, std::vector<StoredAs> hf) {
  TensorName name{.gguf = gguf, .hf = ""};
  name.hf_forms = std::move(hf);
  return name;
}

TensorNames names() {
  const std::string gate_up = "mlp.experts.gate_up_proj", down = "mlp.experts.down_proj";
  return mixture_names(
      {forms("ffn_gate_exps.weight", {{gate_up, Pick::kEven, true}, {gate_up, Pick::kEven, false, true}}),
       forms("ffn_up_exps.weight", {{gate_up, Pick::kOdd, true}, {gate_up, Pick::kOdd, false, true}}),
       forms("ffn_down_exps.weight", {{down, Pick::kAll, true}, {down, Pick::kAll, false, true}}),
       forms("ffn_gate_exps.bias", {{gate_up + "_bias", Pick::kEven}}),
       forms("ffn_up_exps.bias", {{gate_up + "_bias", Pick::kOdd}}), forms("ffn_down_exps.bias", {{down + "_bias"}})},
      {{"ffn_gate_inp", "mlp.router"},
       {"attn_sinks.weight", "self_attn.sinks"},
       {"post_attention_norm", "post_attention_layernorm"}});
}

const Architecture gpt_oss{
    .name = "gpt-oss",
    .hf_classes = {{"GptOssForCausalLM", "gpt_oss", R"({"vocab_size":201088,"hidden_size":2880,
        "intermediate_size":2880,"num_hidden_layers":36,"num_attention_heads":64,"num_key_value_heads":8,"head_dim":64,
        "max_position_embeddings":131072,"rms_norm_eps":1e-5,"rope_theta":150000.0,"rope_parameters":{
        "rope_type":"yarn","factor":32.0,"beta_fast":32.0,"beta_slow":1.0,"truncate":false,
        "original_max_position_embeddings":4096,"rope_theta":150000.0},"sliding_window":128,"attention_bias":true,
        "mlp_bias":false,"num_experts_per_tok":4,"default_experts":128,"swiglu_limit":7.0,"swiglu_alpha":1.702})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["GptOssForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":32,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"sliding_window":40,
        "num_local_experts":8,"num_experts_per_tok":2,"max_position_embeddings":2048})",
    .build = build};
const Registered registered{gpt_oss};

}  // namespace godwit::gpt_oss
