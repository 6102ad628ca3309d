#include "models/layer_parts.h"

#include <algorithm>

#include "base/error.h"

namespace godwit {
namespace {

constexpr int64_t kUsualHeadDim = 64;  // where config.json is silent

int64_t default_heads(const HfConfig& hf, const Config& c) {
  const int64_t head_dim = hf.has("head_dim") ? hf.integer("head_dim") : kUsualHeadDim;
  return std::max<int64_t>(1, sane_size(c, "embedding_length") / std::max<int64_t>(1, head_dim));
}

int64_t default_head_dim(const HfConfig& hf, const Config& c) {
  if (!hf.has("num_attention_heads")) return kUsualHeadDim;
  const int64_t d = sane_size(c, "embedding_length"), heads = sane_size(c, "attention.head_count");
  if (d % heads != 0)
    invalid("{}: key num_attention_heads: {} heads do not divide hidden_size {}", hf.source, heads, d);
  return d / heads;
}

using Hf = const HfConfig&;
using C = const Config&;

}  // namespace

int64_t sane_size(const Config& c, const char* key) {
  return std::clamp<int64_t>(c.integer(key), 1, kMostPartChannels);
}

int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

const std::vector<PartSize>& common_sizes() {
  static const std::vector<PartSize> sizes = {
      {"vocab_size", "vocab_size", 1, int64_t{1} << 24, [](Hf, C) { return int64_t{32000}; }},
      {"hidden_size", "embedding_length", 1, int64_t{1} << 20, [](Hf, C) { return int64_t{512}; }},
      {"max_position_embeddings", "context_length", 1, int64_t{1} << 30, [](Hf, C) { return int64_t{131072}; }},
      {"intermediate_size", "feed_forward_length", 1, kMostPartChannels,
       [](Hf, C c) { return rounded_up(8 * sane_size(c, "embedding_length") / 3, 64); }},
      {"num_attention_heads", "attention.head_count", 1, 4096, default_heads},
      {"num_key_value_heads", "attention.head_count_kv", 1, 4096,
       [](Hf, C c) { return c.integer("attention.head_count"); }},
      {"head_dim", "attention.key_length", 1, 512, default_head_dim},
  };
  return sizes;
}

const std::vector<LayerPart>& layer_parts() {
  static const std::vector<LayerPart> parts = [] {
    std::vector<LayerPart> all = attention_parts();
    for (const auto& more : {recurrent_parts(), feed_forward_parts()}) all.insert(all.end(), more.begin(), more.end());
    return all;
  }();
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
