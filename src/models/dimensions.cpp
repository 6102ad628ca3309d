#include "models/dimensions.h"

#include "base/error.h"

namespace godwit {

Dimensions dimensions(const Config& c) {
  Dimensions d{};
  d.d_model = c.integer_in("embedding_length", 1, int64_t{1} << 20);
  d.n_layers = c.integer_in("block_count", 1, 1024);
  d.n_heads = c.integer_in("attention.head_count", 1, 4096);
  d.n_kv_heads = c.has("attention.head_count_kv") ? c.integer_in("attention.head_count_kv", 1, d.n_heads) : d.n_heads;
  if (d.n_heads % d.n_kv_heads != 0)
    invalid("{}: key {}: {} does not divide the {} heads", c.source, c.full_key("attention.head_count_kv"),
            d.n_kv_heads, d.n_heads);
  if (c.has("attention.key_length")) {
    d.head_dim = c.integer_in("attention.key_length", 1, 512);
  } else {
    if (d.d_model % d.n_heads != 0)
      invalid("{}: key {}: {} heads do not divide embedding_length {}", c.source, c.full_key("attention.head_count"),
              d.n_heads, d.d_model);
    d.head_dim = d.d_model / d.n_heads;
  }
  if (c.integer("attention.value_length", d.head_dim) != d.head_dim)
    invalid("{}: key {}: expected {} (key_length), got {}", c.source, c.full_key("attention.value_length"), d.head_dim,
            c.integer("attention.value_length"));
  d.d_ff = c.integer_in("feed_forward_length", 1, kMostChannels);
  d.eps = static_cast<float>(c.real("attention.layer_norm_rms_epsilon"));
  if (!(d.eps >= 0.0f))
    invalid("{}: key {}: expected 0 or more, got {}", c.source, c.full_key("attention.layer_norm_rms_epsilon"), d.eps);
  return d;
}

AttentionSpec usual_attention(const Dimensions& d, const RopeSpec& rope, bool biased) {
  return {.d_model = d.d_model,
          .n_heads = d.n_heads,
          .n_kv_heads = d.n_kv_heads,
          .head_dim = d.head_dim,
          .rope = rope,
          .biased = biased,
          .output_biased = biased};
}

}  // namespace godwit
