// What `audit --like` compares: the patterns that ship with Godwit, each with as many active parameters as asked for.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"

namespace godwit {

struct LikeModel {
  std::string name;               // of the pattern
  std::string config;             // its config.json
  int64_t active_parameters = 0;  // without embedding and output head
};

/// The number of active parameters that --like names: a size ("0.1B", "20M") or those of a model, without its embedding
/// and output head. Throws Error: kUsage for a size that makes no sense, else as opening a model does.
double like_size(const std::string& like, const ModelOptions& options);

/// The patterns of a comma list, of that size. Throws Error (kUsage) for an unknown name or one that stands twice.
std::vector<LikeModel> models_like(double active_parameters, const std::string& names);

}  // namespace godwit
