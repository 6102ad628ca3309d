#include "models/layer_parts.h"

#include <algorithm>

#include "base/error.h"
#include "blocks/attention.h"
#include "blocks/gated_mlp.h"
#include "blocks/latent_attention.h"
#include "blocks/moe.h"
#include "blocks/rope_config.h"
#include "models/latent.h"
#include "models/mixture.h"

namespace godwit {
namespace {

constexpr int64_t kMostChannels = int64_t{1} << 22, kMostLength = int64_t{1} << 40;
constexpr int64_t kHeadDim = 64;  // where config.json is silent

// Defaults are made of values that are checked later.
int64_t sane(const Config& c, const char* key) { return std::clamp<int64_t>(c.integer(key), 1, kMostChannels); }

int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

int64_t default_heads(const HfConfig& hf, const Config& c) {
  const int64_t head_dim = hf.has("head_dim") ? hf.integer("head_dim") : kHeadDim;
  return std::max<int64_t>(1, sane(c, "embedding_length") / std::max<int64_t>(1, head_dim));
}

int64_t default_head_dim(const HfConfig& hf, const Config& c) {
  if (!hf.has("num_attention_heads")) return kHeadDim;
  const int64_t d = sane(c, "embedding_length"), heads = sane(c, "attention.head_count");
  if (d % heads != 0)
    invalid("{}: key num_attention_heads: {} heads do not divide hidden_size {}", hf.source, heads, d);
  return d / heads;
}

// ---------------------------------------------------------------- blocks

std::unique_ptr<Block> attention(const Scope& s, const Config& c, int64_t window) {
  const Dimensions d = dimensions(c);
  const bool biased = c.boolean("attention.bias", false);
  return std::make_unique<Attention>(s, AttentionSpec{.d_model = d.d_model,
                                                      .n_heads = d.n_heads,
                                                      .n_kv_heads = d.n_kv_heads,
                                                      .head_dim = d.head_dim,
                                                      .rope = rope_from(c, d.head_dim, /*interleaved=*/false),
                                                      .window = window,
                                                      .biased = biased,
                                                      .output_biased = biased});
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
  Config rotary = c;
  rotary.set("rope.dimension_count", spec.rope_dim);
  spec.rope = rope_from(rotary, spec.rope_dim, /*interleaved=*/false);
  return std::make_unique<LatentAttention>(s, spec);
}

std::unique_ptr<Block> mlp(const Scope& s, const Config& c) {
  const Dimensions d = dimensions(c);
  return std::make_unique<GatedMlp>(
      s, MlpSpec{.d_model = d.d_model, .d_ff = d.d_ff, .biased = c.boolean("feed_forward.bias", false)});
}

std::unique_ptr<Block> moe(const Scope& s, const Config& c) {
  MoeSpec spec{.d_model = c.integer("embedding_length"), .d_ff = c.integer("expert_feed_forward_length")};
  spec.router.n_experts = c.integer("expert_count");
  spec.router.top_k = c.integer_in("expert_used_count", 1, spec.router.n_experts);
  spec.router.normalise = c.boolean("expert_weights_norm", true);
  spec.shared_d_ff = c.integer("expert_shared_feed_forward_length", 0);
  return std::make_unique<Moe>(s, spec);
}

// ---------------------------------------------------------------- sizes

using Hf = const HfConfig&;
using C = const Config&;

std::vector<PartSize> latent_sizes() {
  return {
      {"q_lora_rank", "attention.q_lora_rank", 0, int64_t{1} << 20, [](Hf, C) { return int64_t{0}; }},
      {"kv_lora_rank", "attention.kv_lora_rank", 1, 512,
       [](Hf, C c) { return std::min<int64_t>(512, 4 * sane(c, "attention.key_length")); }},
      {"qk_nope_head_dim", "attention.nope_length_mla", 1, 512,
       [](Hf, C c) { return sane(c, "attention.key_length"); }},
      {"qk_rope_head_dim", "rope.dimension_count_mla", 2, 512,
       [](Hf, C c) { return std::max<int64_t>(2, sane(c, "attention.key_length") / 4 * 2); }},
      {"v_head_dim", "attention.value_length_mla", 1, 1024, [](Hf, C c) { return sane(c, "attention.key_length"); }},
  };
}

std::vector<PartSize> moe_sizes() {
  return {
      {"num_experts", "expert_count", 1, kMostExperts, [](Hf, C) { return int64_t{32}; }},
      {"num_experts_per_tok", "expert_used_count", 1, kMostExperts,
       [](Hf, C c) { return std::min<int64_t>(8, sane(c, "expert_count")); }},
      {"moe_intermediate_size", "expert_feed_forward_length", 1, kMostChannels,
       [](Hf, C c) { return rounded_up(sane(c, "feed_forward_length") / sane(c, "expert_used_count"), 32); }},
      {"shared_expert_intermediate_size", "expert_shared_feed_forward_length", 0, kMostChannels,
       [](Hf, C) { return int64_t{0}; }},
  };
}

std::vector<TensorName> moe_names() {
  std::vector<TensorName> names = expert_names("mlp", "gate_proj", "up_proj", "down_proj");
  for (const TensorName& name : shared_names("mlp.shared_expert")) names.push_back(name);
  return names;
}

}  // namespace

const std::vector<PartSize>& common_sizes() {
  static const std::vector<PartSize> sizes = {
      {"vocab_size", "vocab_size", 1, int64_t{1} << 24, [](Hf, C) { return int64_t{32000}; }},
      {"hidden_size", "embedding_length", 1, int64_t{1} << 20, [](Hf, C) { return int64_t{512}; }},
      {"max_position_embeddings", "context_length", 1, int64_t{1} << 30, [](Hf, C) { return int64_t{131072}; }},
      {"intermediate_size", "feed_forward_length", 1, kMostChannels,
       [](Hf, C c) { return rounded_up(8 * sane(c, "embedding_length") / 3, 64); }},
      {"num_attention_heads", "attention.head_count", 1, 4096, default_heads},
      {"num_key_value_heads", "attention.head_count_kv", 1, 4096,
       [](Hf, C c) { return c.integer("attention.head_count"); }},
      {"head_dim", "attention.key_length", 1, 512, default_head_dim},
  };
  return sizes;
}

const std::vector<LayerPart>& layer_parts() {
  static const std::vector<LayerPart> parts = {
      {"attention", true, {}, {}, full_attention},
      {"window",
       true,
       {{"sliding_window", "attention.sliding_window", 1, kMostLength, [](Hf, C) { return int64_t{1024}; }}},
       {},
       window_attention},
      {"mla", true, latent_sizes(), latent_names(), latent},
      {"mlp", false, {}, {}, mlp},
      {"moe", false, moe_sizes(), moe_names(), moe},
  };
  return parts;
}

const LayerPart* find_part(std::string_view name) {
  for (const LayerPart& part : layer_parts())
    if (part.name == name) return &part;
  return nullptr;
}

const PatternWords& pattern_words() {
  static const PatternWords words = [] {
    PatternWords w;
    for (const LayerPart& part : layer_parts()) (part.mixer ? w.mixers : w.feed_forwards).push_back(part.name);
    return w;
  }();
  return words;
}

std::vector<const LayerPart*> used_parts(const std::vector<LayerParts>& layers) {
  std::vector<const LayerPart*> used;
  for (const LayerPart& part : layer_parts())
    if (std::any_of(layers.begin(), layers.end(),
                    [&](const LayerParts& l) { return l.mixer == part.name || l.feed_forward == part.name; }))
      used.push_back(&part);
  return used;
}

}  // namespace godwit
