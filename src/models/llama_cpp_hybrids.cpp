// Hybrids: what llama.cpp needs, and where it differs.
#include "base/error.h"
#include "models/llama_cpp.h"

namespace godwit {
namespace {

// Where the biases, widths and limits of state spaces are others than there.
void check_state_spaces(const Config& c, std::vector<std::string>& warnings) {
  if (!c.has("ssm.conv_kernel")) return;
  const auto warn = [&](const std::string& text) { warnings.push_back(fmt::format("llama.cpp {}", text)); };
  if (c.has("ssm.time_step_min") || c.has("ssm.time_step_max"))
    warn("does not limit time steps, as ssm.time_step_min and _max say");
  if (c.boolean("ssm.bias", false)) warn("knows no biases of ssm_in and ssm_out: it refuses the file");
  if (!c.boolean("ssm.conv_bias", true) && c.has("ssm.group_count")) warn("needs a bias of ssm_conv1d, and fails");
  if (c.architecture == "granitehybrid" && c.integer("ssm.inner_size", 0) != 2 * c.integer("embedding_length", 0))
    warn("takes ssm.inner_size of granitehybrid to be twice embedding_length, and fails");
}

void check_lfm(const Config& c, std::vector<std::string>& warnings) {
  if (!c.has("shortconv.l_cache")) return;
  const auto warn = [&](const std::string& text) { warnings.push_back(fmt::format("llama.cpp {}", text)); };
  if (c.boolean("shortconv.bias", false))
    warn(fmt::format("knows no biases of convolutions in {}: it refuses the file", c.architecture));
  const int64_t head_dim = c.integer("attention.key_length", 0);
  if (head_dim != 0 && c.integer("attention.head_count", 0) * head_dim != c.integer("embedding_length", 0))
    warn(fmt::format("takes the heads of {} to fill embedding_length: it refuses the file", c.architecture));
  if (c.architecture != "lfm2moe") return;
  if (!c.boolean("expert_weights_norm", true)) warn("always normalises the weights of experts in lfm2moe");
  if (c.real("expert_weights_scale", 1.0) != 1.0) warn("ignores expert_weights_scale of lfm2moe");
  if (!c.boolean("expert_selection_bias", true)) warn("needs exp_probs_b in lfm2moe: it refuses the file");
}

void check_nemotron(Config& c, std::vector<std::string>& warnings) {
  if (!c.architecture.starts_with("nemotron_h")) return;
  c.set("attention.layer_norm_epsilon", c.real("attention.layer_norm_rms_epsilon", 1e-5));
  const bool experts = c.integer("expert_count", 0) != 0;
  if (c.has("moe_layers"))
    warnings.push_back("llama.cpp knows no dense layers beside those with experts in nemotron_h_moe: it fails");
  if (experts && c.boolean("feed_forward.bias", false))
    warnings.push_back("llama.cpp knows no biases beside experts in nemotron_h_moe: it refuses the file");
}

void check_falcon(const Config& c, std::vector<std::string>& warnings) {
  if (c.architecture != "falcon-h1") return;
  const auto warn = [&](const std::string& text) { warnings.push_back(fmt::format("llama.cpp {}", text)); };
  if (c.boolean("ssm.norm", false) && c.boolean("ssm.norm_before_gate", false))
    warn("gates before the norm of state spaces, whatever ssm.norm_before_gate says");
  if (c.boolean("ssm.out_bias", false) && !c.boolean("ssm.bias", false))
    warn("knows no bias of ssm_out: it refuses the file");
  if (c.boolean("attention.bias", false)) warn("leaves out the bias of attn_output in falcon-h1");
}

}  // namespace

void hybrids_for_llama_cpp(Config& c, std::vector<std::string>& warnings) {
  check_state_spaces(c, warnings);
  check_lfm(c, warnings);
  check_nemotron(c, warnings);
  check_falcon(c, warnings);
}

}  // namespace godwit
