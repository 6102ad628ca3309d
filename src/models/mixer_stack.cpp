#include "models/mixer_stack.h"

namespace godwit {

void mixer_stack_from_hf(const HfConfig& hf, bool tied, Config& c) {
  constexpr int64_t kAnyLength = int64_t{1} << 20;  // as llama.cpp's converter has it
  expect_silu(hf, "hidden_act");
  c.set("context_length", kAnyLength);
  c.set("embedding_length", hf.integer("hidden_size"));
  c.set("block_count", hf.integer("num_hidden_layers"));
  c.set("vocab_size", hf.integer("vocab_size"));
  c.set("attention.layer_norm_rms_epsilon", hf.real("layer_norm_epsilon"));
  c.set("tie_embeddings", hf.boolean("tie_word_embeddings", tied));
}

void mixer_stack_to_hf(const Config& c, Json& hf) {
  hf["hidden_size"] = c.integer("embedding_length");
  hf["num_hidden_layers"] = c.integer("block_count");
  hf["vocab_size"] = c.integer("vocab_size");
  hf["layer_norm_epsilon"] = c.real("attention.layer_norm_rms_epsilon");
  hf["tie_word_embeddings"] = c.boolean("tie_embeddings", false);
}

float mixer_stack_eps(const Config& c) {
  return static_cast<float>(c.real_in("attention.layer_norm_rms_epsilon", 0.0, 1.0));
}

Model mixer_stack(const Config& c, Weights& w) { return Model(c, w, {.norm_eps = mixer_stack_eps(c)}); }

TensorNames mixer_stack_names(std::vector<TensorName> mixer) {
  TensorNames n;
  n.model = {{"token_embd", "backbone.embeddings"}, {"output_norm", "backbone.norm_f"}, {"output", "lm_head"}};
  n.layer = std::move(mixer);
  n.layer.push_back({"attn_norm", "norm"});
  n.hf_layers = "backbone.layers.";
  return n;
}

}  // namespace godwit
