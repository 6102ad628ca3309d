#include "models/usual.h"

#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

struct Key {
  const char* gguf;
  const char* hf;
};
// Integers and reals that only change their names.
constexpr Key kIntegers[] = {{"context_length", "max_position_embeddings"},
                             {"embedding_length", "hidden_size"},
                             {"block_count", "num_hidden_layers"},
                             {"feed_forward_length", "intermediate_size"},
                             {"attention.head_count", "num_attention_heads"},
                             {"vocab_size", "vocab_size"}};
constexpr Key kReals[] = {{"attention.layer_norm_rms_epsilon", "rms_norm_eps"}};

}  // namespace

TensorNames usual_names(const std::vector<TensorName>& extra) {
  TensorNames names;
  names.model = {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
  names.layer = {
      {"attn_norm", "input_layernorm"}, {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
      {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},           {"ffn_down", "mlp.down_proj"}};
  for (const TensorName& entry : extra) {
    bool replaced = false;
    for (auto* list : {&names.model, &names.layer}) {
      for (TensorName& old : *list) {
        if (old.gguf != entry.gguf) continue;
        old = entry;
        replaced = true;
      }
    }
    if (!replaced) names.layer.push_back(entry);
  }
  return names;
}

void expect_silu(const HfConfig& hf, const char* key) {
  const std::string activation = hf.text(key, "silu");
  if (activation != "silu" && activation != "swish")
    invalid("{}: key {}: expected silu, got {}", hf.source, key, quoted(activation));
}

void usual_from_hf(const HfConfig& hf, Config& c, bool silu) {
  if (silu) expect_silu(hf, "hidden_act");
  for (const Key& key : kIntegers) c.set(key.gguf, hf.integer(key.hf));
  for (const Key& key : kReals) c.set(key.gguf, hf.real(key.hf));
  const int64_t heads = hf.integer("num_attention_heads");
  c.set("attention.head_count_kv", hf.has("num_key_value_heads") ? hf.integer("num_key_value_heads") : heads);
  const int64_t head_dim = hf.has("head_dim") ? hf.integer("head_dim")
                           : heads > 0        ? hf.integer("hidden_size") / heads
                                              : 0;
  c.set("attention.key_length", head_dim);
  c.set("attention.value_length", head_dim);
  c.set("tie_embeddings", hf.boolean("tie_word_embeddings", false));
  c.set("attention.bias", hf.boolean("attention_bias", false));
  c.set("feed_forward.bias", hf.boolean("mlp_bias", false));
}

void usual_to_hf(const Config& c, Json& hf) {
  for (const Key& key : kIntegers) hf[key.hf] = c.integer(key.gguf);
  for (const Key& key : kReals) hf[key.hf] = c.real(key.gguf);
  const Dimensions d = dimensions(c);
  hf["num_key_value_heads"] = d.n_kv_heads;
  hf["head_dim"] = d.head_dim;
  hf["tie_word_embeddings"] = c.boolean("tie_embeddings", false);
  hf["attention_bias"] = c.boolean("attention.bias", false);
}

void whole_rope_from_hf(const HfConfig& hf, Config& c) {
  rope_from_hf(hf, c);
  c.set("rope.dimension_count", c.integer("attention.key_length"));
}

std::vector<int64_t> windows(const Config& c, int64_t n_layers, int64_t default_pattern) {
  std::vector<int64_t> result(static_cast<size_t>(n_layers), 0);
  const int64_t window = c.integer("attention.sliding_window", 0);
  if (window == 0) return result;
  c.integer_in("attention.sliding_window", 1, int64_t{1} << 40);
  int64_t period = default_pattern;
  if (c.has("attention.sliding_window_pattern")) {
    if (!std::holds_alternative<int64_t>(c.values.at(c.full_key("attention.sliding_window_pattern")))) {
      const auto slides = c.per_layer("attention.sliding_window_pattern", n_layers);
      for (size_t i = 0; i < result.size(); ++i) result[i] = slides[i] != 0 ? window : 0;
      return result;
    }
    period = c.integer_in("attention.sliding_window_pattern", 0, int64_t{1} << 30);
  }
  for (int64_t i = 0; i < n_layers; ++i)
    if (period == 0 || i % period < period - 1) result[static_cast<size_t>(i)] = window;
  return result;
}

void windows_from_hf(const HfConfig& hf, Config& c) {
  if (!hf.has("sliding_window")) return;
  c.set("attention.sliding_window", hf.integer("sliding_window"));
  if (!hf.has("layer_types")) return;
  const Json& list = hf.json["layer_types"];
  std::vector<bool> slides;
  for (const Json& type : list) {
    const std::string text = type.is_string() ? type.get<std::string>() : type.dump();
    if (text != "sliding_attention" && text != "full_attention")
      invalid("{}: key layer_types: {} is not known here, expected full_attention or sliding_attention", hf.source,
              quoted(text));
    slides.push_back(text == "sliding_attention");
  }
  if (!list.is_array() || static_cast<int64_t>(slides.size()) != hf.integer("num_hidden_layers"))
    invalid("{}: key layer_types: expected {} entries, got {}", hf.source, hf.integer("num_hidden_layers"),
            slides.size());
  c.set("attention.sliding_window_pattern", slides);
}

Json layer_types(const std::vector<int64_t>& windows) {
  Json list = Json::array();
  for (int64_t window : windows) list.push_back(window > 0 ? "sliding_attention" : "full_attention");
  return list;
}

}  // namespace godwit
