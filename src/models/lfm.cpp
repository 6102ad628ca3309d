#include "models/lfm.h"

#include "blocks/rope_config.h"

namespace godwit {
namespace {

const LayerWords kLfmWords{{"full_attention"}, {"conv"}};

// Where there is no layer_types, full_attn_idxs names the layers that attend; without it, all do.
std::vector<bool> lfm_layers(const HfConfig& hf, const Config& c) {
  if (hf.has("layer_types")) return layers_from_hf(hf, "layer_types", kLfmWords, c);
  if (hf.has("full_attn_idxs")) return numbered_layers_from_hf(hf, "full_attn_idxs", c);
  return std::vector<bool>(static_cast<size_t>(c.integer_in("block_count", 1, 1024)), true);
}

}  // namespace

void lfm_from_hf(const HfConfig& file, Config& c) {
  HfConfig hf = file;
  hf.json["rms_norm_eps"] = hf.real("norm_eps");
  if (hf.has("tie_embedding")) hf.json["tie_word_embeddings"] = hf.json["tie_embedding"];
  usual_from_hf(hf, c);
  c.set("attention.bias", false);  // whatever attention_bias says
  whole_rope_from_hf(hf, c);
  c.set("shortconv.l_cache", hf.integer("conv_L_cache"));
  c.set("shortconv.bias", hf.boolean("conv_bias", false));
  set_attention_layers(lfm_layers(hf, c), c);
}

void lfm_to_hf(const Config& c, Json& hf) {
  usual_to_hf(as_attending(c), hf);
  hf["norm_eps"] = hf["rms_norm_eps"];
  for (const char* key : {"rms_norm_eps", "attention_bias"}) hf.erase(key);
  hf["rope_parameters"] = rope_to_hf(as_attending(c));
  hf["conv_L_cache"] = c.integer("shortconv.l_cache");
  hf["conv_bias"] = c.boolean("shortconv.bias", false);
  hf["layer_types"] = layers_to_hf(attention_layers(c), kLfmWords);
}

Dimensions lfm_dimensions(const Config& c) { return dimensions(as_attending(c)); }

Model lfm_model(const Config& c, Weights& w) {
  c.integer_in("attention.sliding_window", 0, 0, 0);  // windows are known to GGUF alone
  return Model(c, w, {.norm_eps = lfm_dimensions(c).eps, .norm_name = "token_embd_norm"});
}

LfmMixers::LfmMixers(const Config& c) : attends_(attention_layers(c)) {
  const Dimensions d = lfm_dimensions(c);
  attention_ = usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false));
  attention_.qk_norm_eps = d.eps;
  conv_ = {.d_model = d.d_model,
           .taps = c.integer_in("shortconv.l_cache", 1, kMostTaps),
           .biased = c.boolean("shortconv.bias", false)};
}

std::unique_ptr<Block> LfmMixers::make(const Scope& s, int64_t layer) const {
  if (attends_[static_cast<size_t>(layer)]) return std::make_unique<Attention>(s, attention_);
  return std::make_unique<GatedConv>(s, conv_);
}

TensorNames lfm_names(const std::vector<TensorName>& more) {
  std::vector<TensorName> all = {
      {"attn_norm", "operator_norm"},
      {"attn_output", "self_attn.out_proj"},
      {"attn_q_norm", "self_attn.q_layernorm"},
      {"attn_k_norm", "self_attn.k_layernorm"},
      {"shortconv.in_proj", "conv.in_proj"},
      {.gguf = "shortconv.conv.weight", .hf = "conv.conv.weight", .hf_row = true},
      {"shortconv.conv", "conv.conv"},
      {"shortconv.out_proj", "conv.out_proj"},
      {"ffn_norm", "ffn_norm"},
      {"ffn_gate", "feed_forward.w1"},
      {"ffn_up", "feed_forward.w3"},
      {"ffn_down", "feed_forward.w2"},
  };
  all.insert(all.end(), more.begin(), more.end());
  TensorNames names = usual_names(all);
  names.model[1] = {"token_embd_norm", "model.embedding_norm"};
  return names;
}

}  // namespace godwit
