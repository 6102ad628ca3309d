// LFM2: gated short convolutions, attention in some layers. Source: LFM2 Technical Report (2025), section 2.
#include <algorithm>

#include "base/error.h"
#include "blocks/gated_mlp.h"
#include "models/lfm.h"

namespace godwit::lfm2 {

// The width of feed-forward networks, which config.json gives before an adjustment.
int64_t width(const HfConfig& hf) {
  const char* key = hf.has("block_ff_dim") ? "block_ff_dim" : "intermediate_size";
  int64_t n = hf.integer(key);
  const auto check = [&](const char* name) {
    if (n < 1 || n > kMostChannels)
      invalid("{}: key {}: expected a width from 1 to {}, got {}", hf.source, name, kMostChannels, n);
  };
  check(key);
  if (!hf.boolean("block_auto_adjust_ff_dim", true)) return n;
  n = static_cast<int64_t>(static_cast<double>(2 * n) / 3.0);
  if (!hf.has("block_ffn_dim_multiplier")) return n;
  const double factor = hf.real("block_ffn_dim_multiplier");
  n = static_cast<int64_t>(std::clamp(factor * static_cast<double>(n), -1.0, 2.0 * kMostChannels));
  check("block_ffn_dim_multiplier");
  const int64_t step = hf.integer("block_multiple_of");
  if (step < 1 || step > kMostChannels)
    invalid("{}: key block_multiple_of: expected an integer from 1 to {}, got {}", hf.source, kMostChannels, step);
  return (n + step - 1) / step * step;
}

void from_hf(const HfConfig& hf, Config& c) {
  lfm_from_hf(hf, c);
  c.set("feed_forward_length", width(hf));
}

void to_hf(const Config& c, Json& hf) {
  lfm_to_hf(c, hf);
  hf["architectures"] = Json::array({"Lfm2ForCausalLM"});
  hf["model_type"] = "lfm2";
  hf["block_auto_adjust_ff_dim"] = false;
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = lfm_dimensions(c);
  Model model = lfm_model(c, w);
  const LfmMixers mixers(c);
  for (int64_t i = 0; i < d.n_layers; ++i) {
    const Scope s = w.block(i);
    model.add(pre_norm(s, d.d_model, d.eps, mixers.make(s, i),
                       std::make_unique<GatedMlp>(s, MlpSpec{.d_model = d.d_model, .d_ff = d.d_ff})));
  }
  return model;
}

const Architecture lfm2{
    .name = "lfm2",
    .hf_classes = {{"Lfm2ForCausalLM", "lfm2", R"({"vocab_size":65536,"hidden_size":2560,"intermediate_size":12288,
        "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"max_position_embeddings":128000,
        "norm_eps":1e-5,"tie_word_embeddings":true,"rope_theta":1e6,"conv_L_cache":3,"block_multiple_of":256,
        "block_ffn_dim_multiplier":1.0})"}},
    .names = lfm_names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Lfm2ForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "block_multiple_of":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,
        "layer_types":["conv","full_attention"],"max_position_embeddings":2048})",
    .build = build};
const Registered registered{lfm2};

}  // namespace godwit::lfm2
