#include "cli/sampling_defaults.h"

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "models/open.h"

namespace godwit {
namespace {

constexpr uint64_t kMostBytes = uint64_t{16} << 20;

struct Range {
  const char* name;
  double least, most;
};

double checked_value(double value, const Range& range, const std::string& file) {
  if (!std::isfinite(value) || value < range.least || value > range.most)
    invalid("{}: {}: expected {} to {}, got {}", file, range.name, range.least, range.most, value);
  return value;
}

constexpr double kMostTopK = 1 << 30;

SamplingDefaults from_gguf(const Config& config) {
  SamplingDefaults out;
  const std::string file = printable_path(config.source);
  const auto real = [&](const Range& range) -> std::optional<double> {
    if (!config.has(range.name)) return std::nullopt;
    return checked_value(config.real(range.name), range, file);
  };
  out.temp = real({"general.sampling.temp", 0, 100});
  out.top_p = real({"general.sampling.top_p", 0, 1});
  out.min_p = real({"general.sampling.min_p", 0, 1});
  out.repeat_penalty = real({"general.sampling.penalty_repeat", 0.01, 100});
  if (config.has("general.sampling.top_k")) out.top_k = config.integer_in("general.sampling.top_k", 0, 1 << 30);
  out.source = "the file";
  return out;
}

SamplingDefaults from_folder(const std::string& folder) {
  SamplingDefaults out;
  const std::string path = folder + "/generation_config.json";
  if (!std::filesystem::exists(path)) return out;
  const std::string file = printable_path(path);
  const Json json = parse_json(read_text(path, kMostBytes), file);
  const auto value = [&](const Range& range) -> std::optional<double> {
    const auto it = json.is_object() ? json.find(range.name) : json.end();
    if (it == json.end() || it->is_null()) return std::nullopt;
    if (!it->is_number()) invalid("{}: {}: expected a number, got {}", file, range.name, quoted(dump_json(*it), 40));
    return checked_value(it->get<double>(), range, file);
  };
  out.temp = value({"temperature", 0, 100});
  out.top_p = value({"top_p", 0, 1});
  out.min_p = value({"min_p", 0, 1});
  out.repeat_penalty = value({"repetition_penalty", 0.01, 100});
  if (const auto top_k = value({"top_k", 0, kMostTopK})) out.top_k = static_cast<int64_t>(*top_k);
  const auto sample = json.is_object() ? json.find("do_sample") : json.end();
  if (sample != json.end() && sample->is_boolean() && !sample->get<bool>()) out.temp = 0;
  out.source = "generation_config.json";
  return out;
}

}  // namespace

std::string SamplingDefaults::text() const {
  std::string out;
  const auto add = [&](const char* name, const auto& value) {
    if (value) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, *value);
  };
  add("temp", temp);
  add("top-k", top_k);
  add("top-p", top_p);
  add("min-p", min_p);
  add("repeat-penalty", repeat_penalty);
  return out;
}

SamplingDefaults sampling_defaults_of(const OpenModel& open) {
  if (open.stored.files.empty()) return {};  // random weights
  return open.stored.container == Container::kGguf ? from_gguf(open.config) : from_folder(open.stored.path);
}

SamplingDefaults chat_sampling_defaults() {
  SamplingDefaults out;
  out.temp = 0.7;
  out.top_p = 0.95;
  out.source = "what chat takes where the model says nothing";
  return out;
}

}  // namespace godwit
