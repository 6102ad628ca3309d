#include "cli/like.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/session.h"
#include "models/shipped_patterns.h"

namespace godwit {
namespace {

/// "0.1B", "20M", "300k", or a plain number; 0: not a size.
double size_in(const std::string& text) {
  const auto [value, unit] = number_and_unit(text).value_or(std::pair(0.0, std::string()));
  const double scale = unit.empty()                 ? 1
                       : unit == "k" || unit == "K" ? 1e3
                       : unit == "m" || unit == "M" ? 1e6
                       : unit == "b" || unit == "B" ? 1e9
                                                    : 0;
  return value * scale;
}

}  // namespace

double like_size(const std::string& like, const ModelOptions& options) {
  constexpr double kLeast = 1e6, kMost = 1e11;
  if (const double size = size_in(like); size != 0) {
    if (!(size >= kLeast && size <= kMost))
      fail(ErrorKind::kUsage, "--like {}: expected 1M to 100B active parameters, or a model", quoted(like));
    return size;
  }
  ModelOptions model = options;
  model.model = like;
  const auto open = open_from(model);
  const auto size = static_cast<double>(active_parameters(*open->model, *open->weights));
  if (!(size >= kLeast && size <= kMost))
    fail(ErrorKind::kUsage, "--like {}: it has {} active parameters without embeddings, expected 1M to 100B",
         printable_path(like), size);
  return size;
}

std::vector<LikeModel> models_like(double size, const std::string& names) {
  std::vector<LikeModel> models;
  for (size_t at = 0; at <= names.size();) {
    const size_t end = std::min(names.find(',', at), names.size());
    const std::string name = names.substr(at, end - at);
    at = end + 1;
    if (std::any_of(models.begin(), models.end(), [&](const LikeModel& m) { return m.name == name; }))
      fail(ErrorKind::kUsage, "--architectures: {} stands twice", quoted(name));
    const Json config = shipped_config(name, size);
    models.push_back({name, dump_json(config), active_parameters(config)});
  }
  return models;
}

}  // namespace godwit
