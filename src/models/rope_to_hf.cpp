// Rotary scaling from GGUF's vocabulary to config.json.
#include "models/usual.h"

namespace godwit {

Json rope_to_hf(const Config& c) {
  Json rope = {{"rope_type", "default"}, {"rope_theta", c.real("rope.freq_base", 10000.0)}};
  const int64_t head_dim = dimensions(c).head_dim, n = c.integer("rope.dimension_count", head_dim);
  if (n != head_dim) rope["partial_rotary_factor"] = static_cast<double>(n) / static_cast<double>(head_dim);
  const std::string type = c.text("rope.scaling.type", c.has("rope.scaling.factor") ? "linear" : "none");
  const auto original = c.integer("rope.scaling.original_context_length", c.integer("context_length"));
  if (c.has("rope.scaling.llama3.factor")) {
    rope["rope_type"] = "llama3";
    for (const char* key : {"factor", "low_freq_factor", "high_freq_factor"})
      rope[key] = c.real(fmt::format("rope.scaling.llama3.{}", key));
    rope["original_max_position_embeddings"] =
        static_cast<int64_t>(c.real("rope.scaling.llama3.original_context_length"));
  } else if (c.has("rope.scaling.factors") || c.has("rope.scaling.factors_short")) {
    // A plain list of factors (rope_freqs.weight) is a long rope whose two lists are the same.
    const bool plain = c.has("rope.scaling.factors");
    rope["rope_type"] = "longrope";
    rope["short_factor"] = *c.reals(plain ? "rope.scaling.factors" : "rope.scaling.factors_short");
    rope["long_factor"] = *c.reals(plain ? "rope.scaling.factors" : "rope.scaling.factors_long");
    rope["attention_factor"] = c.real("rope.scaling.attn_factor", 1.0);
    rope["original_max_position_embeddings"] = original;
  } else if (c.has("rope.scaling.dynamic_factor")) {
    rope["rope_type"] = "dynamic";
    rope["factor"] = c.real("rope.scaling.dynamic_factor");
  } else if (type == "linear") {
    rope["rope_type"] = "linear";
    rope["factor"] = c.real("rope.scaling.factor");
  } else if (type == "yarn") {
    rope["rope_type"] = "yarn";
    rope["factor"] = c.real("rope.scaling.factor");
    rope["original_max_position_embeddings"] = original;
    rope["beta_fast"] = c.real("rope.scaling.yarn_beta_fast", 32.0);
    rope["beta_slow"] = c.real("rope.scaling.yarn_beta_slow", 1.0);
    if (c.has("rope.scaling.yarn_truncate")) rope["truncate"] = c.boolean("rope.scaling.yarn_truncate", true);
    if (c.has("rope.scaling.attention_factor")) rope["attention_factor"] = c.real("rope.scaling.attention_factor");
    if (c.has("rope.scaling.yarn_log_multiplier")) {
      rope["mscale"] = c.real("rope.scaling.yarn_mscale", 1.0);
      rope["mscale_all_dim"] = 10.0 * c.real("rope.scaling.yarn_log_multiplier");
    }
  }
  return rope;
}

}  // namespace godwit
