// Granite 4.0 H: Mamba-2 in most layers, attention in some, four multipliers; dense, or a mixture with a shared expert.
// Source: IBM Granite 4.0 (2025).
#include "base/error.h"
#include "base/text.h"
#include "blocks/rope_config.h"
#include "models/granite.h"
#include "models/state_space_keys.h"

namespace godwit::granitehybrid {

bool has_experts(const Config& c) { return c.integer("expert_count", 0) != 0; }

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  whole_rope_from_hf(hf, c);
  granite_scales_from_hf(hf, c);
  if (hf.integer("num_local_experts") != 0) {
    experts_from_hf(hf, c);
    c.set("expert_shared_feed_forward_length", hf.integer("shared_intermediate_size"));
  } else {
    c.set("feed_forward_length", hf.integer("shared_intermediate_size"));
  }
  const std::string positions = hf.text("position_embedding_type", "nope");
  if (positions != "rope" && positions != "nope")
    invalid("{}: key position_embedding_type: expected rope or nope, got {}", hf.source, quoted(positions));
  c.set("rope.scaling.finetuned", positions == "rope");
  state_space_from_hf(hf, {}, expanded_width(hf, "mamba_expand"), c);
  time_limits_from_hf(hf, c);
  const char* listed = hf.has("layer_types") ? "layer_types" : "layers_block_type";
  set_attention_layers(hf.has(listed) ? layers_from_hf(hf, listed, state_space_words(), c)
                                      : std::vector<bool>(static_cast<size_t>(c.integer_in("block_count", 1, 1024))),
                       c);
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(as_attending(c), hf);
  hf["architectures"] = Json::array({"GraniteMoeHybridForCausalLM"});
  hf["model_type"] = "granitemoehybrid";
  hf["hidden_act"] = "silu";
  granite_scales_to_hf(c, dimensions(as_attending(c)).head_dim, hf);
  hf["num_local_experts"] = 0;
  hf["num_experts_per_tok"] = 0;
  hf["shared_intermediate_size"] = hf["intermediate_size"];
  if (has_experts(c)) {
    experts_to_hf(c, hf, "num_local_experts");
    hf["intermediate_size"] = c.integer("expert_feed_forward_length", c.integer("feed_forward_length"));
    hf["shared_intermediate_size"] = c.integer("expert_shared_feed_forward_length");
  }
  hf["position_embedding_type"] = c.boolean("rope.scaling.finetuned", true) ? "rope" : "nope";
  hf["rope_parameters"] = rope_to_hf(as_attending(c));
  state_space_to_hf(c, {}, hf);
  expand_to_hf(c, "mamba_expand", hf);
  time_limits_to_hf(c, hf);
  hf["layer_types"] = layers_to_hf(attention_layers(c), state_space_words());
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(as_attending(c));
  Model model(c, w, granite_head(c, d.eps));
  const bool rotates = c.boolean("rope.scaling.finetuned", true);
  AttentionSpec attention = usual_attention(d, rotates ? rope_from(c, d.head_dim, /*interleaved=*/true) : RopeSpec{},
                                            c.boolean("attention.bias", false));
  attention.scale = static_cast<float>(c.real("attention.scale", 0.0));
  const AttentionOrMamba2 mixers(c, attention, d.eps);
  const bool sparse = has_experts(c);
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff};
  const MoeSpec moe = sparse ? moe_from(c, d.d_model, d.d_ff, {.score = RouterScore::kNone}) : MoeSpec{};
  const float residual = positive_float(c, "residual_scale", 1.0);
  for (int64_t i = 0; i < d.n_layers; ++i) {
    const Scope s = w.block(i);
    model.add(
        pre_norm(s, d.d_model, d.eps, mixers.make(s, i), feed_forward(s, sparse, mlp, moe), "ffn_norm", residual));
  }
  return model;
}

// The shared expert's gate and up are one matrix; without experts, it is the feed-forward network.
TensorNames names() {
  std::vector<TensorName> more = mamba2_names("mamba");
  more.push_back({"attn_q", "self_attn.q_proj", Transform::kRopePairs, "attention.head_count"});
  more.push_back({"attn_k", "self_attn.k_proj", Transform::kRopePairs, "attention.head_count_kv"});
  for (const std::string suffix : {"", "_shexp"}) {
    TensorName gate{.gguf = "ffn_gate" + suffix + ".weight"}, up{.gguf = "ffn_up" + suffix + ".weight"};
    gate.hf_forms = {{.name = "shared_mlp.input_linear.weight", .pick = Pick::kFirst}};
    up.hf_forms = {{.name = "shared_mlp.input_linear.weight", .pick = Pick::kLast}};
    more.insert(more.end(), {gate, up, {"ffn_down" + suffix, "shared_mlp.output_linear"}});
  }
  return mixture_names(granite_expert_names(), more);
}

const Architecture granitehybrid{
    .name = "granitehybrid",
    .hf_classes = {{"GraniteMoeHybridForCausalLM", "granitemoehybrid", R"({"vocab_size":32000,"hidden_size":4096,
        "intermediate_size":11008,"num_hidden_layers":32,"num_attention_heads":32,"max_position_embeddings":2048,
        "rms_norm_eps":1e-6,"rope_theta":10000.0,"num_local_experts":8,"num_experts_per_tok":2,
        "shared_intermediate_size":1024,"embedding_multiplier":1.0,"logits_scaling":1.0,"residual_multiplier":1.0,
        "attention_multiplier":1.0,"mamba_n_heads":128,"mamba_n_groups":1,"mamba_d_state":256,"mamba_d_conv":4,
        "mamba_expand":2})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["GraniteMoeHybridForCausalLM"],"vocab_size":103,"hidden_size":64,
        "intermediate_size":32,"shared_intermediate_size":64,"num_hidden_layers":2,"num_attention_heads":4,
        "num_key_value_heads":2,"num_local_experts":8,"num_experts_per_tok":2,"attention_multiplier":0.2,
        "residual_multiplier":0.5,"embedding_multiplier":3.0,"logits_scaling":2.0,"position_embedding_type":"rope",
        "layer_types":["mamba","attention"],"mamba_n_heads":4,"mamba_d_state":12,"mamba_n_groups":2,
        "max_position_embeddings":2048})",
    .build = build};
const Registered registered{granitehybrid};

}  // namespace godwit::granitehybrid
