// Gemma 3, text: local and global layers with their own rotary bases, four norms a layer with gain 1 + w, scaled
// embedding. Source: Gemma 3 Technical Report (2025), section 2.
#include <cmath>

#include "blocks/attention.h"
#include "blocks/gated_mlp.h"
#include "blocks/rope_config.h"
#include "models/usual.h"

namespace godwit::gemma3 {

constexpr int64_t kUsualPattern = 6;  // five local layers, one global

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c, /*silu=*/false);
  c.set("attention.scale", 1.0 / std::sqrt(hf.real("query_pre_attn_scalar")));
  if (hf.has("final_logit_softcapping")) c.set("final_logit_softcapping", hf.real("final_logit_softcapping"));
  windows_from_hf(hf, c);
  if (!hf.has("layer_types")) c.set("attention.sliding_window_pattern", hf.integer("sliding_window_pattern"));
  // Version 5 has a dictionary for each kind of layer; before, scaling was for the global layers only.
  if (hf.has("rope_parameters") && hf.json["rope_parameters"].contains("full_attention")) {
    const Json& rope = hf.json["rope_parameters"];
    rope_from_dictionary(rope["full_attention"], hf.real("rope_theta"), hf.source, c);
    const Json local = rope.value("sliding_attention", Json::object());
    c.set("rope.freq_base_swa", HfConfig(local, hf.source).has("rope_theta")
                                    ? HfConfig(local, hf.source).real("rope_theta")
                                    : hf.real("rope_local_base_freq"));
  } else {
    rope_from_hf(hf, c);
    c.set("rope.freq_base_swa", hf.real("rope_local_base_freq"));
  }
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  const Dimensions d = dimensions(c);
  hf["architectures"] = Json::array({"Gemma3ForCausalLM"});
  hf["model_type"] = "gemma3_text";
  hf["hidden_activation"] = "gelu_pytorch_tanh";
  // transformers wants an integer; the scale may have been through f32.
  hf["query_pre_attn_scalar"] =
      c.has("attention.scale") ? std::llround(std::pow(c.real("attention.scale"), -2.0)) : d.head_dim;
  hf["final_logit_softcapping"] = c.has("final_logit_softcapping") ? Json(c.real("final_logit_softcapping")) : Json();
  hf["sliding_window"] = c.integer("attention.sliding_window");
  hf["layer_types"] = layer_types(windows(c, d.n_layers, kUsualPattern));
  hf["rope_parameters"] = {
      {"full_attention", rope_to_hf(c)},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", c.real("rope.freq_base_swa", 1e4)}}}};
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  Model model(c, w,
              {.embedding_scale = std::sqrt(static_cast<float>(d.d_model)),
               .norm_eps = d.eps,
               .norm_plus_one = true,
               .logit_softcap = static_cast<float>(c.real("final_logit_softcapping", 0.0))});
  // GGUF files carry no scale: only the 27B model's is not head_dim^-0.5.
  const double natural = 1.0 / std::sqrt(static_cast<double>(d.n_layers == 62 ? d.d_model / d.n_heads : d.head_dim));
  AttentionSpec attention = usual_attention(d, RopeSpec{}, c.boolean("attention.bias", false));
  attention.scale = static_cast<float>(c.real("attention.scale", natural));
  attention.qk_norm_eps = d.eps;
  attention.norm_plus_one = true;
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff, .activation = Activation::kGeluTanh};
  const RopeSpec global = rope_from(c, d.head_dim, false);
  const RopeSpec local = rope_from(c, d.head_dim, false, {.scaled = false, .base = "rope.freq_base_swa"});
  for (int64_t window : windows(c, d.n_layers, kUsualPattern)) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    attention.window = window;
    attention.rope = window > 0 ? local : global;
    const auto gain = [&](const char* name) { return norm(s, name, d.d_model, d.eps, true); };
    model.add(std::make_unique<ResidualLayer>(ResidualLayer::Parts{.mixer_norm = gain("attn_norm"),
                                                                   .mixer = std::make_unique<Attention>(s, attention),
                                                                   .mixer_post_norm = gain("post_attention_norm"),
                                                                   .ffn_norm = gain("ffn_norm"),
                                                                   .ffn = std::make_unique<GatedMlp>(s, mlp),
                                                                   .ffn_post_norm = gain("post_ffw_norm")}));
  }
  return model;
}

// A GGUF norm is 1 + the trained gain.
TensorName gain(const char* gguf, const char* hf) { return {.gguf = gguf, .hf = hf, .gguf_plus_one = true}; }

const Architecture gemma3{
    .name = "gemma3",
    .hf_classes = {{"Gemma3ForCausalLM", "gemma3_text",
                    R"({"vocab_size":262208,"hidden_size":2304,"intermediate_size":9216,
        "num_hidden_layers":26,"num_attention_heads":8,"num_key_value_heads":4,"head_dim":256,
        "max_position_embeddings":131072,"rms_norm_eps":1e-6,"tie_word_embeddings":true,"sliding_window":4096,
        "query_pre_attn_scalar":256,"sliding_window_pattern":6,"rope_theta":1e6,"rope_local_base_freq":1e4})"}},
    .names = usual_names({gain("output_norm", "model.norm"), gain("attn_norm", "input_layernorm"),
                          gain("attn_q_norm", "self_attn.q_norm"), gain("attn_k_norm", "self_attn.k_norm"),
                          gain("post_attention_norm", "post_attention_layernorm"),
                          gain("ffn_norm", "pre_feedforward_layernorm"),
                          gain("post_ffw_norm", "post_feedforward_layernorm")}),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Gemma3ForCausalLM"],"vocab_size":107,"hidden_size":64,"intermediate_size":96,
        "num_hidden_layers":3,"num_attention_heads":4,"num_key_value_heads":1,"head_dim":32,"sliding_window":40,
        "sliding_window_pattern":3,"max_position_embeddings":2048})",
    .build = build};
const Registered registered{gemma3};

}  // namespace godwit::gemma3
