#include "models/llama_cpp.h"

#include <cmath>

#include "models/usual.h"

namespace godwit {
namespace {

double yarn_scale(double factor, double mscale) { return factor > 1.0 ? 0.1 * mscale * std::log(factor) + 1.0 : 1.0; }

// llama.cpp takes 0.1 ln(factor) + 1 times rope.scaling.attn_factor.
void set_yarn_factor(Config& c) {
  const double factor = c.real("rope.scaling.factor", 1.0);
  double scale = yarn_scale(factor, 1.0);
  if (c.has("rope.scaling.attention_factor")) {
    scale = c.real("rope.scaling.attention_factor");
  } else if (c.has("rope.scaling.yarn_log_multiplier")) {
    scale = yarn_scale(factor, c.real("rope.scaling.yarn_mscale", 1.0)) /
            yarn_scale(factor, 10.0 * c.real("rope.scaling.yarn_log_multiplier"));
  } else {
    return;
  }
  c.set("rope.scaling.attn_factor", scale / yarn_scale(factor, 1.0));
}

void check_gemma3(const Config& c, std::vector<std::string>& warnings) {
  const Dimensions d = dimensions(c);
  const double natural = 1.0 / std::sqrt(static_cast<double>(d.n_layers == 62 ? d.d_model / d.n_heads : d.head_dim));
  const double scale = c.real("attention.scale", natural);
  if (std::fabs(scale / natural - 1.0) > 1e-6)
    warnings.push_back(
        fmt::format("llama.cpp ignores attention.scale {:.6g} of gemma3 and takes {:.6g}", scale, natural));
}

}  // namespace

void for_llama_cpp(Config& c, std::vector<std::string>& warnings) {
  if (c.has("rope.scaling.dynamic_factor"))
    warnings.push_back("llama.cpp has no dynamic rope scaling: longer texts than the context differ there");
  if (!c.boolean("rope.scaling.yarn_truncate", true))
    warnings.push_back("llama.cpp has no yarn with truncate false: it rounds the ends of the ramp");
  if (c.real("rope.scaling.yarn_beta_fast", 32.0) != 32.0 || c.real("rope.scaling.yarn_beta_slow", 1.0) != 1.0)
    warnings.push_back(fmt::format("llama.cpp ignores rope.scaling.yarn_beta_fast and _slow of {}", c.architecture));
  if (c.text("rope.scaling.type", "") == "yarn") set_yarn_factor(c);
  if (c.has("rope.scaling.attn_factor") && !c.has("rope.scaling.type"))
    c.set("rope.scaling.type", std::string("longrope"));
  if ((c.architecture == "llama" || c.architecture == "qwen3") && c.integer("attention.sliding_window", 0) > 0)
    warnings.push_back(fmt::format("llama.cpp ignores attention.sliding_window {} of {}: texts longer than that differ",
                                   c.integer("attention.sliding_window"), c.architecture));
  if (c.architecture != "llama" && c.boolean("attention.bias", false))
    warnings.push_back(
        fmt::format("llama.cpp knows no bias of attn_output in {}: it refuses the file", c.architecture));
  if (c.architecture == "gemma3") check_gemma3(c, warnings);
}

}  // namespace godwit
