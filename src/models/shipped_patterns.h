// Patterns of Godwit's own architecture that ship with the program, for models of any size: what `audit --like`
// compares.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "blocks/model.h"
#include "formats/weights.h"

namespace godwit {

/// "dense", "window", "moe", "mamba2", "hybrid".
const std::vector<std::string>& shipped_names();

/// The config.json of the shipped pattern with the number of active parameters, without embeddings, nearest to
/// `target_active_params` that keeps its shape near to what is usual: depth by size, width a multiple of 64 (32 where
/// no layer attends) and the feed-forward networks' width a multiple of 32 are chosen together. Within 2 % from
/// 10 million on; active_parameters() says what came out. Tied embeddings, heads of 64. Throws Error (kUsage) for
/// another name, or for a target outside 10^5 to 10^12; Error (kInvalid) where the pattern uses a word that is not
/// known.
Json shipped_config(const std::string& name, double target_active_params, int64_t vocab_size = 32000);

/// Parameters that a token touches, without embedding and output head, of the model that a config.json describes.
/// Counted by building it: no weight takes memory. Throws Error (kInvalid) as open_model does.
int64_t active_parameters(const Json& config_json);
int64_t active_parameters(const Model& model, const Weights& weights);

}  // namespace godwit
