#include "models/llama_cpp.h"

#include <algorithm>
#include <cmath>

#include "blocks/rope_config.h"
#include "models/usual.h"

namespace godwit {
namespace {

bool has_latents(const Config& c) { return c.has("attention.kv_lora_rank"); }

// What llama.cpp multiplies cos and sin with before rope.scaling.attn_factor. Source: llama-context.cpp.
double yarn_scale_there(const Config& c, double factor) {
  if (!has_latents(c) || !c.has("rope.scaling.yarn_log_multiplier")) return yarn_scale(factor, 1.0);
  const double all = 10.0 * c.real("rope.scaling.yarn_log_multiplier");
  const double one = c.architecture == "deepseek2" && std::fabs(all - 1.0) > 1e-6 ? all : 1.0;
  return yarn_scale(factor, one) / yarn_scale(factor, all);
}

void set_yarn_factor(Config& c, std::vector<std::string>& warnings) {
  const double factor = c.real("rope.scaling.factor", 1.0);
  double scale = yarn_scale(factor, 1.0);
  if (c.has("rope.scaling.attention_factor")) {
    scale = c.real("rope.scaling.attention_factor");
  } else if (c.has("rope.scaling.yarn_log_multiplier")) {
    scale = yarn_scale(factor, c.real("rope.scaling.yarn_mscale", 1.0)) /
            yarn_scale(factor, 10.0 * c.real("rope.scaling.yarn_log_multiplier"));
  }
  const double more = scale / yarn_scale_there(c, factor);
  if (std::fabs(more - 1.0) < 1e-6) return;
  c.set("rope.scaling.attn_factor", more);
  if (has_latents(c))
    warnings.push_back(fmt::format(
        "llama.cpp scales all of the scores of {} by yarn's mscale, not the rotary part alone", c.architecture));
}

void check_gemma3(const Config& c, std::vector<std::string>& warnings) {
  const Dimensions d = dimensions(c);
  const double natural = 1.0 / std::sqrt(static_cast<double>(d.n_layers == 62 ? d.d_model / d.n_heads : d.head_dim));
  const double scale = c.real("attention.scale", natural);
  if (std::fabs(scale / natural - 1.0) > 1e-6)
    warnings.push_back(
        fmt::format("llama.cpp ignores attention.scale {:.6g} of gemma3 and takes {:.6g}", scale, natural));
}

void check_latents(const Config& c, std::vector<std::string>& warnings) {
  if (!has_latents(c)) return;
  const auto warn = [&](const std::string& text) { warnings.push_back(fmt::format("llama.cpp {}", text)); };
  if (!c.boolean("rope.interleaved", true)) warn("rotates neighbours, as rope.interleaved true means");
  if (c.has("attention.latent_norm_rms_epsilon"))
    warn("takes the model's epsilon for the norms of latents, not attention.latent_norm_rms_epsilon");
  if (!c.has("attention.q_lora_rank"))
    warn(fmt::format("refuses {} without attention.q_lora_rank, unless it has 27 layers", c.architecture));
}

void check_experts(const Config& c, std::vector<std::string>& warnings) {
  const std::string& a = c.architecture;
  const auto warn = [&](const std::string& text) { warnings.push_back(fmt::format("llama.cpp {}", text)); };
  const bool always = a == "qwen3moe", never = a == "qwen2moe" || a == "olmoe";
  if ((always || never) && c.has("expert_weights_norm") && c.boolean("expert_weights_norm", always) != always)
    warn(fmt::format("{} normalises the weights of experts in {}", always ? "always" : "never", a));
  if (c.has("moe_layers") && (always || a == "qwen2moe"))
    warn(fmt::format("knows no dense layers in {}: it refuses the file", a));
  if (c.boolean("expert_group_best", false)) warn("values groups of experts by their two best, not the best");
  if (c.has("attention.clamp_kqv") && a == "olmoe") warn("does not clamp q, k and v of olmoe");
  if (a == "olmoe" &&
      c.integer("attention.head_count_kv", c.integer("attention.head_count")) != c.integer("attention.head_count"))
    warn("knows no olmoe with fewer heads of keys than of queries: it refuses the file");
  if (a == "gpt-oss" && (c.real("swiglu_limit", 7.0) != 7.0 || c.real("swiglu_alpha", 1.702) != 1.702))
    warn("takes 7 and 1.702 for swiglu_limit and swiglu_alpha");
  if ((a == "gpt-oss" || a == "qwen2moe") && c.boolean("tie_embeddings", false))
    warn(fmt::format("knows no {} whose head is the embedding: it refuses the file", a));
}

// Mamba-1's mixer, alone or in a hybrid.
void check_mamba(const Config& c, std::vector<std::string>& warnings) {
  const std::string& a = c.architecture;
  const auto warn = [&](const std::string& text) { warnings.push_back(fmt::format("llama.cpp {}", text)); };
  if (c.integer("ssm.inner_size") != 2 * c.integer("embedding_length"))
    warn(fmt::format("knows no {} that is not twice as wide inside: it refuses the file", a));
  if (c.boolean("ssm.bias", false))
    warn(fmt::format("knows no bias of ssm_in and ssm_out in {}: it refuses the file", a));
  if (!c.boolean("ssm.conv_bias", true))
    warn(fmt::format("knows no {} without ssm_conv1d.bias: it refuses the file", a));
  const double eps = c.real("attention.layer_norm_rms_epsilon");
  if (c.boolean("ssm.dt_b_c_rms", false) && std::fabs(c.real("ssm.dt_b_c_rms_epsilon", 1e-6) / eps - 1.0) > 1e-6)
    warn(fmt::format("norms dt, B and C with the model's epsilon {:.6g}, not ssm.dt_b_c_rms_epsilon", eps));
}

}  // namespace

void for_llama_cpp(Config& c, std::vector<std::string>& warnings) {
  if (c.architecture == "godwit" || c.architecture == "zamba2" || c.architecture == "recurrent_gemma") {
    warnings.push_back(fmt::format("llama.cpp does not know the architecture {}: it refuses the file", c.architecture));
    return;
  }
  if (c.has("rope.scaling.dynamic_factor"))
    warnings.push_back("llama.cpp has no dynamic rope scaling: longer texts than the context differ there");
  const bool yarn = c.text("rope.scaling.type", "") == "yarn";
  if (yarn && !c.boolean("rope.scaling.yarn_truncate", c.architecture != "gpt-oss"))
    warnings.push_back("llama.cpp has no yarn with truncate false: it rounds the ends of the ramp");
  if (c.real("rope.scaling.yarn_beta_fast", 32.0) != 32.0 || c.real("rope.scaling.yarn_beta_slow", 1.0) != 1.0)
    warnings.push_back(fmt::format("llama.cpp ignores rope.scaling.yarn_beta_fast and _slow of {}", c.architecture));
  if (yarn) set_yarn_factor(c, warnings);
  if (c.has("rope.scaling.attn_factor") && !c.has("rope.scaling.type"))
    c.set("rope.scaling.type", std::string("longrope"));
  const auto is_one_of = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), c.architecture) != names.end();
  };
  if (is_one_of({"llama", "qwen3", "qwen3moe", "qwen2moe"}) && c.integer("attention.sliding_window", 0) > 0)
    warnings.push_back(fmt::format("llama.cpp ignores attention.sliding_window {} of {}: texts longer than that differ",
                                   c.integer("attention.sliding_window"), c.architecture));
  if (is_one_of({"qwen3", "gemma3", "qwen3moe", "olmoe", "deepseek2", "mistral4"}) &&
      c.boolean("attention.bias", false))
    warnings.push_back(
        fmt::format("llama.cpp knows no bias of attn_output in {}: it refuses the file", c.architecture));
  check_latents(c, warnings);
  check_experts(c, warnings);
  hybrids_for_llama_cpp(c, warnings);
  if (c.architecture == "gemma3") check_gemma3(c, warnings);
  if (is_one_of({"mamba", "jamba"})) check_mamba(c, warnings);
}

}  // namespace godwit
