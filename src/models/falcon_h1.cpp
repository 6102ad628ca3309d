// Falcon-H1: attention and Mamba-2 side by side in every layer, multipliers everywhere. Source: Falcon-H1 (2025),
// section 2.
#include <cmath>

#include "blocks/gated_mlp.h"
#include "blocks/parallel_layer.h"
#include "blocks/rope_config.h"
#include "models/falcon.h"

namespace godwit::falcon_h1 {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  whole_rope_from_hf(hf, c);
  falcon_scales_from_hf(hf, c);
  state_space_from_hf(hf, {}, hf.has("mamba_d_ssm") ? hf.integer("mamba_d_ssm") : expanded_width(hf, "mamba_expand"),
                      c);
  time_limits_from_hf(hf, c);
  c.set("ssm.out_bias", hf.boolean("projectors_bias", false));
  c.set("ssm.norm", hf.boolean("mamba_rms_norm", false));
  c.set("ssm.norm_before_gate", hf.boolean("mamba_norm_before_gate", true));
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  hf["architectures"] = Json::array({"FalconH1ForCausalLM"});
  hf["model_type"] = "falcon_h1";
  hf["hidden_act"] = "silu";
  hf["mlp_bias"] = c.boolean("feed_forward.bias", false);
  hf["rope_parameters"] = rope_to_hf(c);
  falcon_scales_to_hf(falcon_scales(c), hf);
  state_space_to_hf(c, {}, hf);
  hf["mamba_d_ssm"] = c.integer("ssm.inner_size");
  time_limits_to_hf(c, hf);
  hf["projectors_bias"] = c.boolean("ssm.out_bias", false);
  hf["mamba_rms_norm"] = c.boolean("ssm.norm", false);
  hf["mamba_norm_before_gate"] = c.boolean("ssm.norm_before_gate", false);
}

std::unique_ptr<Layer> layer(const Scope& s, const AttentionSpec& attention, const Mamba2Spec& mamba2,
                             const MlpSpec& mlp, const FalconScales& scales) {
  const int64_t d = attention.d_model;
  ParallelLayer::Parts parts;
  parts.norm = norm(s, "attn_norm", d, mamba2.eps);
  parts.branches.push_back({std::make_unique<Attention>(s, attention), scales.attention_in, scales.attention_out});
  parts.branches.push_back({std::make_unique<Mamba2>(s, mamba2), scales.ssm_in, scales.ssm_out});
  parts.ffn_norm = {s.get("ffn_norm", {d}), mamba2.eps};  // llama.cpp has no suffix there
  parts.ffn = std::make_unique<GatedMlp>(s, mlp);
  parts.ffn_scale = scales.mlp[1];
  return std::make_unique<ParallelLayer>(std::move(parts));
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  const FalconScales scales = falcon_scales(c);
  Model model(c, w, {.embedding_scale = scales.embedding, .norm_eps = d.eps, .logit_scale = scales.head});
  AttentionSpec attention =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false), c.boolean("attention.bias", false));
  // Scores are linear in the keys.
  if (scales.key != 1.0f) attention.scale = scales.key / std::sqrt(static_cast<float>(d.head_dim));
  Mamba2Spec mamba2 = mamba2_from(c, d.d_model, d.eps);
  mamba2.out_biased = c.boolean("ssm.out_bias", false);
  // A GGUF file says by the gain whether there is a norm.
  const Shape gain{mamba2.ssd.groups, mamba2.ssd.inner() / mamba2.ssd.groups};
  mamba2.normed = c.has("ssm.norm") ? c.boolean("ssm.norm", false) : !w.block(0).find("ssm_norm.weight", gain).empty();
  mamba2.norm_before_gate = c.boolean("ssm.norm_before_gate", false);
  mamba2.scales = scales.ssm;
  const MlpSpec mlp{.d_model = d.d_model,
                    .d_ff = d.d_ff,
                    .biased = c.boolean("feed_forward.bias", false),
                    .gate_scale = scales.mlp[0]};
  for (int64_t i = 0; i < d.n_layers; ++i) model.add(layer(w.block(i), attention, mamba2, mlp, scales));
  return model;
}

TensorNames names() {
  std::vector<TensorName> more = mamba2_names("mamba");
  more.push_back({"output_norm", "model.final_layernorm"});
  more.push_back({"ffn_norm", "pre_ff_layernorm.weight"});
  for (const std::string part : {"gate", "up", "down"})
    more.push_back({"ffn_" + part, "feed_forward." + part + "_proj"});
  return usual_names(more);
}

const Architecture falcon_h1{
    .name = "falcon-h1",
    .hf_classes = {{"FalconH1ForCausalLM", "falcon_h1", R"({"vocab_size":128000,"hidden_size":4096,
        "intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,
        "max_position_embeddings":8192,"rms_norm_eps":1e-5,"rope_theta":10000.0,"mamba_d_ssm":1024,"mamba_n_heads":128,
        "mamba_n_groups":1,"mamba_d_state":256,"mamba_d_conv":4,"mamba_expand":2})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["FalconH1ForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"mamba_d_ssm":64,
        "mamba_n_heads":4,"mamba_d_state":12,"mamba_n_groups":2,"mamba_rms_norm":true,"embedding_multiplier":2.0,
        "lm_head_multiplier":0.5,"mlp_multipliers":[0.5,2.0],"key_multiplier":2.0,"attention_in_multiplier":0.5,
        "ssm_in_multiplier":2.0,"ssm_out_multiplier":0.5,"ssm_multipliers":[0.5,2.0,0.5,2.0,0.5],
        "max_position_embeddings":2048})",
    .build = build,
    .bake = falcon_bake};
const Registered registered{falcon_h1};

}  // namespace godwit::falcon_h1
