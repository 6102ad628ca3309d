// Godwit's own architecture: a pattern names the mixer and the feed-forward network of each layer
// (docs/godwit-patterns.md).
#include "base/error.h"
#include "base/text.h"
#include "models/layer_parts.h"
#include "models/usual.h"

namespace godwit::pattern_models {

std::vector<LayerParts> layers_of(const Config& c) {
  return parse_pattern(c.text("layers"), pattern_words(),
                       fmt::format("{}: key {}", printable_path(c.source), printable(c.full_key("layers"))));
}

void sizes_from_hf(const std::vector<PartSize>& sizes, const HfConfig& hf, Config& c) {
  for (const PartSize& size : sizes) c.set(size.gguf, hf.has(size.hf) ? hf.integer(size.hf) : size.otherwise(hf, c));
}

void from_hf(const HfConfig& hf, Config& c) {
  if (!hf.has("layers"))
    invalid("{}: key layers: missing, expected a pattern such as \"3*(window+mlp), attention+mlp\"", hf.source);
  const std::string pattern = hf.text("layers", "");
  const std::vector<LayerParts> layers =
      parse_pattern(pattern, pattern_words(), fmt::format("{}: key layers", hf.source));
  const auto n = static_cast<int64_t>(layers.size());
  if (hf.has("num_hidden_layers") && hf.integer("num_hidden_layers") != n)
    invalid("{}: key num_hidden_layers: expected the {} of key layers or nothing, got {}", hf.source, n,
            hf.integer("num_hidden_layers"));
  if (const std::string act = hf.text("hidden_act", "silu"); act != "silu")
    invalid("{}: key hidden_act: expected silu, got {}", hf.source, quoted(act));
  c.set("layers", pattern);
  c.set("block_count", n);
  sizes_from_hf(common_sizes(), hf, c);
  for (const LayerPart* part : used_parts(layers)) sizes_from_hf(part->sizes, hf, c);
  c.set("attention.value_length", c.integer("attention.key_length"));
  c.set("attention.layer_norm_rms_epsilon", hf.real("rms_norm_eps"));
  c.set("tie_embeddings", hf.boolean("tie_word_embeddings", true));
  c.set("attention.bias", hf.boolean("attention_bias", false));
  c.set("feed_forward.bias", hf.boolean("mlp_bias", false));
  c.set("expert_weights_norm", hf.boolean("norm_topk_prob", true));
  rope_from_hf(hf, c);
}

void to_hf(const Config& c, Json& hf) {
  const std::vector<LayerParts> layers = layers_of(c);
  hf["architectures"] = Json::array({"GodwitForCausalLM"});
  hf["model_type"] = "godwit";
  hf["layers"] = c.text("layers");
  hf["num_hidden_layers"] = layers.size();
  hf["hidden_act"] = "silu";
  for (const PartSize& size : common_sizes()) hf[size.hf] = c.integer(size.gguf);
  for (const LayerPart* part : used_parts(layers))
    for (const PartSize& size : part->sizes) hf[size.hf] = c.integer(size.gguf);
  hf["rms_norm_eps"] = c.real("attention.layer_norm_rms_epsilon");
  hf["rope_parameters"] = rope_to_hf(c);
  hf["tie_word_embeddings"] = c.boolean("tie_embeddings", false);
  hf["attention_bias"] = c.boolean("attention.bias", false);
  hf["mlp_bias"] = c.boolean("feed_forward.bias", false);
  hf["norm_topk_prob"] = c.boolean("expert_weights_norm", true);
}

std::unique_ptr<Block> block(const std::string& name, const Scope& s, const Config& c) {
  return name.empty() ? nullptr : find_part(name)->build(s, c);
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  const std::vector<LayerParts> layers = layers_of(c);
  if (d.n_layers != static_cast<int64_t>(layers.size()))
    c.refuse("block_count", fmt::format("the {} layers of {}", layers.size(), c.full_key("layers")),
             std::to_string(d.n_layers));
  for (const LayerPart* part : used_parts(layers))
    for (const PartSize& size : part->sizes) c.integer_in(size.gguf, size.least, size.most);
  Model model(c, w, {.norm_eps = d.eps});
  for (const LayerParts& parts : layers) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    auto mixer = block(parts.mixer, s, c), ffn = block(parts.feed_forward, s, c);
    if (mixer && ffn) {
      model.add(pre_norm(s, d.d_model, d.eps, std::move(mixer), std::move(ffn)));
    } else {
      const char* name = mixer ? "attn_norm" : "ffn_norm";
      model.add(single(s, name, d.d_model, d.eps, mixer ? std::move(mixer) : std::move(ffn)));
    }
  }
  return model;
}

TensorNames names() {
  std::vector<TensorName> all;
  for (const LayerPart& part : layer_parts()) all.insert(all.end(), part.names.begin(), part.names.end());
  return usual_names(all);
}

const Architecture godwit_{
    .name = "godwit",
    .hf_classes = {{"GodwitForCausalLM", "godwit", R"({"rms_norm_eps":1e-5,"rope_theta":10000.0})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["GodwitForCausalLM"],"model_type":"godwit",
        "layers":"attention, mlp, window+moe, mla+mlp, moe, mamba2, mamba1, rglru, conv","vocab_size":103,
        "hidden_size":64,"intermediate_size":96,
        "num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"sliding_window":40,"kv_lora_rank":64,
        "qk_rope_head_dim":16,"num_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":32,
        "max_position_embeddings":2048,"mamba2_state_size":16})",
    .build = build};
const Registered registered{godwit_};

}  // namespace godwit::pattern_models
