#include "models/state_space_keys.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

/// A limit of time steps: a number, or infinity as {"__float__": "Infinity"}.
double limit(const HfConfig& hf, size_t i) {
  const Json& list = hf.json["time_step_limit"];
  if (list.is_array() && list.size() == 2) {
    if (list[i].is_number()) return list[i].get<double>();
    if (list[i].is_object() && list[i].contains("__float__") && list[i]["__float__"] == "Infinity") return INFINITY;
  }
  invalid("{}: key time_step_limit: expected two numbers, got {}", hf.source, printable(list.dump(), 100));
}

}  // namespace

int64_t expanded_width(const HfConfig& hf, const char* expand) {
  const double width = std::floor(hf.real(expand) * static_cast<double>(hf.integer("hidden_size")));
  if (!(width >= 1.0 && width <= static_cast<double>(kMostChannels)))
    invalid("{}: key {}: expected {} * hidden_size from 1 to {}, got {}", hf.source, expand, expand, kMostChannels,
            width);
  return static_cast<int64_t>(width);
}

void expand_to_hf(const Config& c, const char* expand, Json& hf) {
  const int64_t inner = c.integer("ssm.inner_size"), d = c.integer("embedding_length");
  hf[expand] = static_cast<double>(inner) / static_cast<double>(d);
  if (inner % d == 0) hf[expand] = inner / d;
}

void state_space_from_hf(const HfConfig& hf, const StateSpaceKeys& keys, int64_t inner, Config& c) {
  const int64_t heads = hf.integer(keys.heads);
  const bool derived = !hf.has(keys.head_dim) || hf.json[keys.head_dim] == "auto";
  const int64_t head_dim = !derived ? hf.integer(keys.head_dim) : heads > 0 ? inner / heads : 0;
  int64_t filled = 0;
  if (heads < 1 || head_dim < 1 || __builtin_mul_overflow(heads, head_dim, &filled) || (inner > 0 && filled != inner))
    invalid("{}: key {}: expected {} * {} == {}, got {} * {}", hf.source, keys.heads, keys.heads, keys.head_dim,
            inner > 0 ? std::to_string(inner) : "the mixer's width", heads, head_dim);
  c.set("ssm.inner_size", filled);
  c.set("ssm.time_step_rank", heads);
  c.set("ssm.state_size", hf.integer(keys.state));
  c.set("ssm.group_count", hf.integer(keys.groups));
  c.set("ssm.conv_kernel", hf.integer(keys.kernel));
  c.set("ssm.bias", hf.boolean(keys.biased, false));
  c.set("ssm.conv_bias", hf.boolean(keys.conv_biased, true));
}

void state_space_to_hf(const Config& c, const StateSpaceKeys& keys, Json& hf) {
  const int64_t heads = c.integer_in("ssm.time_step_rank", 1, kMostChannels);
  hf[keys.heads] = heads;
  hf[keys.head_dim] = c.integer("ssm.inner_size") / heads;
  hf[keys.state] = c.integer("ssm.state_size");
  hf[keys.groups] = c.integer("ssm.group_count", 1);
  hf[keys.kernel] = c.integer("ssm.conv_kernel");
  hf[keys.biased] = c.boolean("ssm.bias", false);
  hf[keys.conv_biased] = c.boolean("ssm.conv_bias", true);
}

void time_limits_from_hf(const HfConfig& hf, Config& c) {
  if (!hf.has("time_step_limit")) return;
  if (limit(hf, 0) != 0.0) c.set("ssm.time_step_min", limit(hf, 0));
  if (std::isfinite(limit(hf, 1))) c.set("ssm.time_step_max", limit(hf, 1));
}

void time_limits_to_hf(const Config& c, Json& hf) {
  Json high;
  if (c.has("ssm.time_step_max")) {
    high = c.real("ssm.time_step_max");
  } else {
    high["__float__"] = "Infinity";
  }
  hf["time_step_limit"] = Json::array({c.real("ssm.time_step_min", 0.0), high});
}

Mamba2Spec mamba2_from(const Config& c, int64_t d_model, float eps) {
  Mamba2Spec spec{.d_model = d_model,
                  .taps = c.integer_in("ssm.conv_kernel", 1, kMostTaps),
                  .biased = c.boolean("ssm.bias", false),
                  .conv_biased = c.boolean("ssm.conv_bias", true),
                  .eps = eps};
  const int64_t inner = c.integer_in("ssm.inner_size", 1, kMostChannels);
  spec.ssd.heads = c.integer_in("ssm.time_step_rank", 1, inner);
  if (inner % spec.ssd.heads != 0)
    c.refuse("ssm.time_step_rank", fmt::format("a divisor of {}", inner), std::to_string(spec.ssd.heads));
  spec.ssd.head_dim = inner / spec.ssd.heads;
  spec.ssd.d_state = c.integer_in("ssm.state_size", 1, 4096);
  spec.ssd.groups = c.integer_in("ssm.group_count", 1, 1, spec.ssd.heads);
  if (spec.ssd.heads % spec.ssd.groups != 0)
    c.refuse("ssm.group_count", fmt::format("a divisor of the {} heads", spec.ssd.heads),
             std::to_string(spec.ssd.groups));
  spec.ssd.dt_low = static_cast<float>(c.real("ssm.time_step_min", 0.0));
  spec.ssd.dt_high = c.has("ssm.time_step_max") ? static_cast<float>(c.real("ssm.time_step_max")) : INFINITY;
  return spec;
}

AttentionOrMamba2::AttentionOrMamba2(const Config& c, const AttentionSpec& attention, float eps)
    : attends_(attention_layers(c)), attention_(attention) {
  if (std::find(attends_.begin(), attends_.end(), false) != attends_.end())
    mamba2_ = mamba2_from(c, attention.d_model, eps);
}

std::unique_ptr<Block> AttentionOrMamba2::make(const Scope& s, int64_t layer) const {
  if (attends_[static_cast<size_t>(layer)]) return std::make_unique<Attention>(s, attention_);
  return std::make_unique<Mamba2>(s, *mamba2_);
}

std::vector<TensorName> mamba2_names(const std::string& mixer) {
  return {{"ssm_in", mixer + ".in_proj"},
          {.gguf = "ssm_conv1d.weight", .hf = mixer + ".conv1d.weight", .hf_row = true},
          {"ssm_conv1d", mixer + ".conv1d"},
          {"ssm_dt.bias", mixer + ".dt_bias"},
          {.gguf = "ssm_a", .hf = mixer + ".A_log", .gguf_minus_exp = true, .hf_flat = true},
          {.gguf = "ssm_d", .hf = mixer + ".D", .hf_flat = true},
          {.gguf = "ssm_norm", .hf = mixer + ".norm", .hf_flat = true},
          {"ssm_out", mixer + ".out_proj"}};
}

}  // namespace godwit
