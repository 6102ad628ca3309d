// What most decoder-only transformers share: names of parameters, keys of the configuration.
#pragma once

#include <string>
#include <vector>

#include "models/architecture.h"
#include "models/dimensions.h"
#include "models/hf_config.h"

namespace godwit {

/// The usual parameter names; `extra` adds entries or replaces those with the same GGUF stem.
TensorNames usual_names(const std::vector<TensorName>& extra = {});

/// The keys that every class has: sizes, norms' epsilon, vocabulary, tied embeddings, biases. Both ways.
/// Throws Error (kInvalid) unless hidden_act is SiLU or absent, where the blocks know no other.
void usual_from_hf(const HfConfig& hf, Config& config, bool silu = true);
void usual_to_hf(const Config& config, Json& hf);

/// Throws Error (kInvalid) unless the activation that `key` of config.json names is SiLU, or the key is absent.
void expect_silu(const HfConfig& hf, const char* key);

/// Rotary base and scaling: rope_parameters (version 5) or rope_theta and rope_scaling (version 4) to rope.* keys.
void rope_from_hf(const HfConfig& hf, Config& config);
/// The same for classes whose heads rotate whole, whatever partial_rotary_factor says. After attention.key_length.
void whole_rope_from_hf(const HfConfig& hf, Config& config);
/// The dictionary rope_parameters of version 5.
Json rope_to_hf(const Config& config);
/// The same from one dictionary of rope parameters; `theta` is the base when the dictionary has none.
void rope_from_dictionary(const Json& rope, double theta, const std::string& source, Config& config);

/// Windows by layer: attention.sliding_window for the layers that attention.sliding_window_pattern names (an integer p:
/// all but each p-th; a list; absent: `default_pattern`, where 1 is none and 0 all), 0 for the others.
std::vector<int64_t> windows(const Config& config, int64_t n_layers, int64_t default_pattern);
/// layer_types and sliding_window of a config.json to those keys, and back.
void windows_from_hf(const HfConfig& hf, Config& config);
Json layer_types(const std::vector<int64_t>& windows);

}  // namespace godwit
