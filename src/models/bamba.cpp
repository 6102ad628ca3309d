// Bamba: Mamba-2 in most layers, attention in some, whose heads rotate by half; GGUF has it as Granite's hybrid without
// multipliers. Source: Bamba: Inference-Efficient Hybrid Mamba2 Model (2024).
#include "base/error.h"
#include "blocks/gated_mlp.h"
#include "blocks/rope_config.h"
#include "models/state_space_keys.h"

namespace godwit::bamba {

bool rotates_by_half(const Config& c) {
  const int64_t head_dim = c.integer("attention.key_length");
  return head_dim % 2 == 0 && c.integer("rope.dimension_count", head_dim) == head_dim / 2;
}

void from_hf(const HfConfig& file, Config& c) {
  HfConfig hf = file;
  hf.json["partial_rotary_factor"] = 0.5;  // whatever the file says there
  usual_from_hf(hf, c);
  rope_from_hf(hf, c);
  if (!rotates_by_half(c))
    invalid("{}: key rope_parameters: expected partial_rotary_factor 0.5, and heads of which half rotates", hf.source);
  c.set("rope.scaling.finetuned", true);
  state_space_from_hf(hf, {}, expanded_width(hf, "mamba_expand"), c);
  time_limits_from_hf(hf, c);
  const auto n = static_cast<size_t>(c.integer_in("block_count", 1, 1024));
  const char* key = "attn_layer_indices";
  set_attention_layers(hf.has(key) ? numbered_layers_from_hf(hf, key, c) : std::vector<bool>(n), c);
}

void to_hf(const Config& c, Json& hf) {
  if (!rotates_by_half(c))
    c.refuse("rope.dimension_count", "half of attention.key_length", std::to_string(c.integer("rope.dimension_count")));
  usual_to_hf(as_attending(c), hf);
  hf["architectures"] = Json::array({"BambaForCausalLM"});
  hf["model_type"] = "bamba";
  hf["hidden_act"] = "silu";
  hf["mlp_bias"] = c.boolean("feed_forward.bias", false);
  hf["rope_parameters"] = rope_to_hf(as_attending(c));
  hf["rope_parameters"]["partial_rotary_factor"] = 0.5;
  state_space_to_hf(c, {}, hf);
  expand_to_hf(c, "mamba_expand", hf);
  time_limits_to_hf(c, hf);
  const std::vector<bool> attends = attention_layers(c);
  hf["attn_layer_indices"] = Json::array();
  for (size_t i = 0; i < attends.size(); ++i)
    if (attends[i]) hf["attn_layer_indices"].push_back(i);
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(as_attending(c));
  Model model(c, w, {.norm_eps = d.eps});
  const AttentionSpec attention =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/true), c.boolean("attention.bias", false));
  const AttentionOrMamba2 mixers(c, attention, d.eps);
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff, .biased = c.boolean("feed_forward.bias", false)};
  for (int64_t i = 0; i < d.n_layers; ++i) {
    const Scope s = w.block(i);
    model.add(pre_norm(s, d.d_model, d.eps, mixers.make(s, i), std::make_unique<GatedMlp>(s, mlp)));
  }
  return model;
}

bool claims(const Config& c) { return c.boolean("rope.scaling.finetuned", false) && !c.has("attention.scale"); }

TensorNames names() {
  std::vector<TensorName> more = mamba2_names("mamba");
  more.push_back({"attn_q", "self_attn.q_proj", Transform::kHalfRopePairs, "attention.head_count"});
  more.push_back({"attn_k", "self_attn.k_proj", Transform::kHalfRopePairs, "attention.head_count_kv"});
  more.push_back({"output_norm", "model.final_layernorm"});
  more.push_back({"ffn_norm", "pre_ff_layernorm"});
  for (const std::string part : {"gate", "up", "down"})
    more.push_back({"ffn_" + part, "feed_forward." + part + "_proj"});
  return usual_names(more);
}

const Architecture bamba{
    .name = "granitehybrid",
    .hf_classes = {{"BambaForCausalLM", "bamba", R"({"vocab_size":128000,"hidden_size":4096,"intermediate_size":14336,
        "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"max_position_embeddings":262144,
        "rms_norm_eps":1e-5,"rope_theta":10000.0,"mamba_n_heads":128,"mamba_n_groups":1,"mamba_d_state":256,
        "mamba_d_conv":4,"mamba_expand":2})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["BambaForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"attn_layer_indices":[1],
        "mamba_n_heads":4,"mamba_d_state":12,"mamba_n_groups":2,"max_position_embeddings":2048})",
    .build = build,
    .claims = claims};
const Registered registered{bamba};

}  // namespace godwit::bamba
