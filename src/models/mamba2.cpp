// Mamba-2: one mixer a layer, no feed-forward network. Source: Dao and Gu 2024.
#include "base/error.h"
#include "base/text.h"
#include "models/state_space_keys.h"

namespace godwit {
namespace {

constexpr int64_t kAnyLength = int64_t{1} << 20;  // as llama.cpp's converter has it

const StateSpaceKeys kKeys{.heads = "num_heads",
                           .head_dim = "head_dim",
                           .state = "state_size",
                           .groups = "n_groups",
                           .kernel = "conv_kernel",
                           .biased = "use_bias",
                           .conv_biased = "use_conv_bias"};

void from_hf(const HfConfig& hf, Config& c) {
  if (const std::string act = hf.text("hidden_act", "silu"); act != "silu" && act != "swish")
    invalid("{}: key hidden_act: expected silu, got {}", hf.source, quoted(act));
  const int64_t d = hf.integer("hidden_size");
  c.set("context_length", kAnyLength);
  c.set("embedding_length", d);
  c.set("block_count", hf.integer("num_hidden_layers"));
  c.set("vocab_size", hf.integer("vocab_size"));
  c.set("attention.layer_norm_rms_epsilon", hf.real("layer_norm_epsilon"));
  c.set("tie_embeddings", hf.boolean("tie_word_embeddings", false));
  state_space_from_hf(hf, kKeys, expanded_width(hf, "expand"), c);
  time_limits_from_hf(hf, c);
}

void to_hf(const Config& c, Json& hf) {
  hf["architectures"] = Json::array({"Mamba2ForCausalLM"});
  hf["model_type"] = "mamba2";
  hf["hidden_size"] = c.integer("embedding_length");
  expand_to_hf(c, "expand", hf);
  hf["num_hidden_layers"] = c.integer("block_count");
  hf["vocab_size"] = c.integer("vocab_size");
  hf["layer_norm_epsilon"] = c.real("attention.layer_norm_rms_epsilon");
  hf["tie_word_embeddings"] = c.boolean("tie_embeddings", false);
  state_space_to_hf(c, kKeys, hf);
  time_limits_to_hf(c, hf);
}

Model build(const Config& c, Weights& w) {
  const auto eps = static_cast<float>(c.real_in("attention.layer_norm_rms_epsilon", 0.0, 1.0));
  Model model(c, w, {.norm_eps = eps});
  const Mamba2Spec spec = mamba2_from(c, model.d_model(), eps);
  for (int64_t i = 0; i < c.integer_in("block_count", 1, 1024); ++i) {
    const Scope s = w.block(i);
    model.add(single(s, "attn_norm", spec.d_model, eps, std::make_unique<Mamba2>(s, spec)));
  }
  return model;
}

TensorNames names() {
  TensorNames n;
  n.model = {{"token_embd", "backbone.embeddings"}, {"output_norm", "backbone.norm_f"}, {"output", "lm_head"}};
  n.layer = mamba2_names("mixer");
  n.layer.push_back({"attn_norm", "norm"});
  n.hf_layers = "backbone.layers.";
  return n;
}

const Architecture mamba2{
    .name = "mamba2",
    .hf_classes = {{"Mamba2ForCausalLM", "mamba2", R"({"num_heads":128,"head_dim":64,"vocab_size":32768,
        "hidden_size":4096,"state_size":128,"num_hidden_layers":64,"layer_norm_epsilon":1e-5,"expand":2,
        "conv_kernel":4,"n_groups":8})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Mamba2ForCausalLM"],"vocab_size":103,"hidden_size":32,"num_heads":4,"head_dim":16,
        "state_size":12,"num_hidden_layers":2,"n_groups":2})",
    .build = build};
const Registered registered{mamba2};

}  // namespace
}  // namespace godwit
