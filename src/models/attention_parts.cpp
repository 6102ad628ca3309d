// Words of a pattern that attend: attention, window, mla.
#include <algorithm>

#include "blocks/attention.h"
#include "blocks/latent_attention.h"
#include "blocks/rope_config.h"
#include "models/latent.h"
#include "models/layer_parts.h"

namespace godwit {
namespace {

using Hf = const HfConfig&;
using C = const Config&;

std::unique_ptr<Block> attention(const Scope& s, const Config& c, int64_t window) {
  const Dimensions d = dimensions(c);
  AttentionSpec spec =
      usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false), c.boolean("attention.bias", false));
  spec.window = window;
  return std::make_unique<Attention>(s, spec);
}

std::unique_ptr<Block> full_attention(const Scope& s, const Config& c) { return attention(s, c, 0); }

std::unique_ptr<Block> window_attention(const Scope& s, const Config& c) {
  return attention(s, c, c.integer("attention.sliding_window"));
}

std::unique_ptr<Block> latent(const Scope& s, const Config& c) {
  const Dimensions d = dimensions(c);
  LatentAttentionSpec spec{.d_model = d.d_model, .n_heads = d.n_heads, .norm_eps = d.eps};
  spec.q_rank = c.integer("attention.q_lora_rank");
  spec.kv_rank = c.integer("attention.kv_lora_rank");
  spec.nope_dim = c.integer("attention.nope_length_mla");
  spec.rope_dim = c.integer("rope.dimension_count_mla");
  spec.v_dim = c.integer("attention.value_length_mla");
  spec.biased = c.boolean("attention.bias", false);
  spec.rope = rope_from(c, spec.rope_dim, /*interleaved=*/false, {.dimension_count = "rope.dimension_count_mla"});
  return std::make_unique<LatentAttention>(s, spec);
}

std::vector<PartSize> latent_sizes() {
  return {
      {"q_lora_rank", "attention.q_lora_rank", 0, int64_t{1} << 20, [](Hf, C) { return int64_t{0}; }},
      {"kv_lora_rank", "attention.kv_lora_rank", 1, 512,
       [](Hf, C c) { return std::min<int64_t>(512, 4 * sane_size(c, "attention.key_length")); }},
      {"qk_nope_head_dim", "attention.nope_length_mla", 1, 512,
       [](Hf, C c) { return sane_size(c, "attention.key_length"); }},
      {"qk_rope_head_dim", "rope.dimension_count_mla", 2, 512,
       [](Hf, C c) { return std::max<int64_t>(2, sane_size(c, "attention.key_length") / 4 * 2); }},
      {"v_head_dim", "attention.value_length_mla", 1, 1024,
       [](Hf, C c) { return sane_size(c, "attention.key_length"); }},
  };
}

}  // namespace

std::vector<LayerPart> attention_parts() {
  return {
      {"attention", true, {}, {}, full_attention},
      {"window",
       true,
       {{"sliding_window", "attention.sliding_window", 1, int64_t{1} << 40, [](Hf, C) { return int64_t{1024}; }}},
       {},
       window_attention},
      {"mla", true, latent_sizes(), latent_names(), latent},
  };
}

}  // namespace godwit
