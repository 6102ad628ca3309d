// Falcon-H1's multipliers: keys of config.json, which GGUF files have multiplied into the weights.
#pragma once

#include <array>

#include "models/mixture.h"
#include "models/state_space_keys.h"

namespace godwit {

struct FalconScales {
  float embedding = 1.0f, head = 1.0f, key = 1.0f;
  float attention_in = 1.0f, attention_out = 1.0f, ssm_in = 1.0f, ssm_out = 1.0f;
  std::array<float, 2> mlp = {1.0f, 1.0f};                    // gate, down
  std::array<float, 5> ssm = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f};  // z | x | B | C | dt
};

/// Keys of their names in config.json; absent ones are 1. Throws Error (kInvalid) naming the key.
void falcon_scales_from_hf(const HfConfig& hf, Config& config);
void falcon_scales_to_hf(const FalconScales& scales, Json& hf);
FalconScales falcon_scales(const Config& config);

/// As Architecture::bake.
RowFactors falcon_bake(Config& config);

}  // namespace godwit
