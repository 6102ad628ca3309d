// Rotary scaling from config.json (both key styles) to GGUF's vocabulary.
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/text.h"
#include "models/usual.h"

namespace godwit {
namespace {

bool present(const Json& json, const char* key) { return json.contains(key) && !json[key].is_null(); }

double number(const Json& json, const char* key, const std::string& source) {
  if (!present(json, key)) invalid("{}: rope parameters: {}: missing", source, key);
  if (!json[key].is_number() || !std::isfinite(json[key].get<double>()))
    invalid("{}: rope parameters: {}: expected a number, got {}", source, key, json[key].type_name());
  return json[key].get<double>();
}

double number(const Json& json, const char* key, const std::string& source, double otherwise) {
  return present(json, key) ? number(json, key, source) : otherwise;
}

std::vector<double> list(const Json& json, const char* key, const std::string& source) {
  if (!present(json, key) || !json[key].is_array()) invalid("{}: rope parameters: {}: expected a list", source, key);
  std::vector<double> out;
  for (const Json& item : json[key]) {
    if (!item.is_number()) invalid("{}: rope parameters: {}: expected numbers", source, key);
    out.push_back(item.get<double>());
  }
  return out;
}

// What each frequency is divided by. Source: Meta's Llama 3.1 release (scaled rotary frequencies).
std::vector<double> llama3_factors(const Config& c, double base) {
  const double factor = c.real("rope.scaling.llama3.factor"), low = c.real("rope.scaling.llama3.low_freq_factor");
  const double high = c.real("rope.scaling.llama3.high_freq_factor");
  const double original = c.real("rope.scaling.llama3.original_context_length");
  const int64_t n = c.integer("rope.dimension_count");
  if (!(factor > 0.0 && low > 0.0 && high > low && original > 0.0))
    invalid("{}: rope parameters of llama3: expected 0 < low_freq_factor < high_freq_factor and a positive factor",
            c.source);
  std::vector<double> out;
  for (int64_t i = 0; i < n / 2; ++i) {
    const double wavelength =
        2.0 * std::numbers::pi * std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(n));
    const double smooth = (original / wavelength - low) / (high - low);
    const double divisor = wavelength < original / high  ? 1.0
                           : wavelength > original / low ? factor
                                                         : 1.0 / ((1.0 - smooth) / factor + smooth);
    // In f32, as the tensor of a GGUF file has them: twins in both containers give the same bits.
    out.push_back(static_cast<double>(static_cast<float>(divisor)));
  }
  return out;
}

void longrope_from(const Json& rope, const std::string& source, int64_t original, Config& c) {
  c.set("rope.scaling.factors_long", list(rope, "long_factor", source));
  c.set("rope.scaling.factors_short", list(rope, "short_factor", source));
  const double ratio = static_cast<double>(c.integer("context_length")) / static_cast<double>(original);
  const double factor = number(rope, "factor", source, ratio);
  const double natural =
      factor <= 1.0 ? 1.0 : std::sqrt(1.0 + std::log(factor) / std::log(static_cast<double>(original)));
  c.set("rope.scaling.attn_factor", number(rope, "attention_factor", source, natural));
}

// As GGUF keeps a real: twins in both containers give the same bits.
double as_stored(double value) { return static_cast<double>(static_cast<float>(value)); }

void yarn_from(const Json& rope, const std::string& source, int64_t original, Config& c) {
  c.set("rope.scaling.type", std::string("yarn"));
  const double ratio = static_cast<double>(c.integer("context_length")) / static_cast<double>(original);
  c.set("rope.scaling.factor", as_stored(number(rope, "factor", source, ratio)));
  c.set("rope.scaling.yarn_beta_fast", as_stored(number(rope, "beta_fast", source, 32.0)));
  c.set("rope.scaling.yarn_beta_slow", as_stored(number(rope, "beta_slow", source, 1.0)));
  if (present(rope, "truncate")) {
    if (!rope["truncate"].is_boolean())
      invalid("{}: rope parameters: truncate: expected true or false, got {}", source, rope["truncate"].type_name());
    c.set("rope.scaling.yarn_truncate", rope["truncate"].get<bool>());
  }
  if (present(rope, "attention_factor"))
    c.set("rope.scaling.attention_factor", number(rope, "attention_factor", source));
  if (number(rope, "mscale", source, 0.0) != 0.0 && number(rope, "mscale_all_dim", source, 0.0) != 0.0) {
    c.set("rope.scaling.yarn_mscale", number(rope, "mscale", source));
    c.set("rope.scaling.yarn_log_multiplier", 0.1 * number(rope, "mscale_all_dim", source));
  }
}

// Without its fraction; -1, which nothing here may be, where no integer is as large.
int64_t whole(double x) { return std::fabs(x) < 9e18 ? static_cast<int64_t>(x) : -1; }

}  // namespace

void rope_from_dictionary(const Json& rope, double theta, const std::string& source, Config& c) {
  const double base = number(rope, "rope_theta", source, theta);
  const double partial = number(rope, "partial_rotary_factor", source, 1.0);
  c.set("rope.freq_base", base);
  c.set("rope.dimension_count", whole(static_cast<double>(c.integer("attention.key_length")) * partial));
  const char* type_key = present(rope, "rope_type") ? "rope_type" : "type";
  if (present(rope, type_key) && !rope[type_key].is_string())
    invalid("{}: rope parameters: {}: expected a string, got {}", source, type_key, rope[type_key].type_name());
  const std::string type = present(rope, type_key) ? rope[type_key].get<std::string>() : "default";
  if (type == "default") return;
  const int64_t original =
      whole(number(rope, "original_max_position_embeddings", source, static_cast<double>(c.integer("context_length"))));
  if (original < 1) invalid("{}: rope parameters: original_max_position_embeddings: {}", source, original);
  if (type == "linear") {
    c.set("rope.scaling.type", type);
    c.set("rope.scaling.factor", number(rope, "factor", source));
  } else if (type == "dynamic") {
    c.set("rope.scaling.dynamic_factor", number(rope, "factor", source));
  } else if (type == "yarn") {
    c.set("rope.scaling.original_context_length", original);
    yarn_from(rope, source, original, c);
  } else if (type == "longrope" || type == "su") {
    c.set("rope.scaling.original_context_length", original);
    longrope_from(rope, source, original, c);
  } else if (type == "llama3") {
    for (const char* key : {"factor", "low_freq_factor", "high_freq_factor"})
      c.set(fmt::format("rope.scaling.llama3.{}", key), number(rope, key, source));
    c.set("rope.scaling.llama3.original_context_length", static_cast<double>(original));
    c.set("rope.scaling.factors", llama3_factors(c, base));
  } else {
    invalid(
        "{}: rope parameters: rope_type: {} is not known, expected default, linear, dynamic, yarn, llama3 or "
        "longrope",
        source, quoted(type));
  }
}

void rope_from_hf(const HfConfig& hf, Config& c) {
  Json rope = Json::object();
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!hf.has(key)) continue;
    if (!hf.json[key].is_object())
      invalid("{}: key {}: expected an object, got {}", hf.source, key, hf.json[key].type_name());
    rope = hf.json[key];
  }
  // Phi-style files keep it at the top, where it wins.
  if (hf.has("original_max_position_embeddings"))
    rope["original_max_position_embeddings"] = hf.json["original_max_position_embeddings"];
  if (!rope.contains("partial_rotary_factor") && hf.has("partial_rotary_factor"))
    rope["partial_rotary_factor"] = hf.json["partial_rotary_factor"];
  rope_from_dictionary(rope, hf.real("rope_theta"), hf.source, c);
}

}  // namespace godwit
