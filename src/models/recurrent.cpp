#include "models/recurrent.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace godwit {

Mamba1Spec mamba1_from(const Config& c, int64_t d_model) {
  return {.d_model = d_model,
          .inner = c.integer_in("ssm.inner_size", 1, kMostChannels),
          .dt_rank = c.integer_in("ssm.time_step_rank", 1, kMostChannels),
          .d_state = c.integer_in("ssm.state_size", 1, kMostDiagonal),
          .taps = c.integer_in("ssm.conv_kernel", 1, kMostTaps),
          .biased = c.boolean("ssm.bias", false),
          .conv_biased = c.boolean("ssm.conv_bias", true)};
}

int64_t time_step_rank(const HfConfig& hf, const char* key, int64_t d_model) {
  const Json& value = hf.json[key];
  if (!value.is_string()) return hf.integer(key);
  if (value != "auto") invalid("{}: key {}: expected an integer or \"auto\", got {}", hf.source, key, quoted(value));
  return d_model / 16 + (d_model % 16 > 0 ? 1 : 0);
}

std::vector<bool> turns_from_hf(const HfConfig& hf, const std::string& what, int64_t n_layers) {
  const std::string period_key = what + "_layer_period", offset_key = what + "_layer_offset";
  const int64_t period = hf.integer(period_key), offset = hf.integer(offset_key);
  if (period < 1) invalid("{}: key {}: expected 1 or more, got {}", hf.source, period_key, period);
  if (offset < 0 || offset >= period)
    invalid("{}: key {}: expected 0 to {}, got {}", hf.source, offset_key, period - 1, offset);
  std::vector<bool> layers;
  for (int64_t i = 0; i < n_layers; ++i) layers.push_back(i % period == offset);
  return layers;
}

void turns_to_hf(const std::vector<bool>& layers, const std::string& what, const std::string& source, Json& hf) {
  const auto n = static_cast<int64_t>(layers.size());
  const auto next = [&](int64_t i) { return std::find(layers.begin() + i, layers.end(), true) - layers.begin(); };
  const int64_t first = next(0), second = first < n ? next(first + 1) : n;
  const int64_t period = second < n ? second - first : n + 1;  // of one or none: longer than the model
  for (int64_t i = 0; i < n; ++i)
    if ((i % period == first) != layers[static_cast<size_t>(i)])
      invalid("{}: key {}_layer_period: layer {} is out of turn, which config.json cannot say", source, what, i);
  hf[what + "_layer_period"] = period;
  hf[what + "_layer_offset"] = first;
}

Json expansion(int64_t inner, int64_t d_model) {
  if (inner % d_model == 0) return inner / d_model;
  return (static_cast<double>(inner) + 0.5) / static_cast<double>(d_model);  // rounding must not lose a channel
}

std::vector<TensorName> mamba1_names(const std::string& block) {
  return {
      {"ssm_in", block + ".in_proj"},    {.gguf = "ssm_conv1d.weight", .hf = block + ".conv1d.weight", .hf_row = true},
      {"ssm_conv1d", block + ".conv1d"}, {"ssm_x", block + ".x_proj"},
      {"ssm_dt", block + ".dt_proj"},    {.gguf = "ssm_a", .hf = block + ".A_log", .gguf_minus_exp = true},
      {"ssm_d", block + ".D"},           {"ssm_out", block + ".out_proj"}};
}

std::vector<TensorName> rg_lru_names(const std::string& block) {
  // The gates multiply from the right: files have them [heads, k, n].
  const auto gate = [&](const char* gguf, const char* hf) {
    TensorName t{.gguf = gguf, .hf = ""};
    t.hf_forms = {{.name = block + hf, .transposed = true}};
    return t;
  };
  return {{"rec_x", block + ".linear_x"},
          {"rec_y", block + ".linear_y"},
          {"rec_out", block + ".linear_out"},
          {.gguf = "ssm_conv1d.weight", .hf = block + ".conv_1d.weight", .hf_row = true},
          {"ssm_conv1d", block + ".conv_1d"},
          gate("rec_input_gate.weight", ".rg_lru.input_gate_weight"),
          gate("rec_gate.weight", ".rg_lru.recurrent_gate_weight"),
          {"rec_input_gate.bias", block + ".rg_lru.input_gate_bias"},
          {"rec_gate.bias", block + ".rg_lru.recurrent_gate_bias"},
          {"rec_lambda", block + ".rg_lru.recurrent_param"}};
}

}  // namespace godwit
