// Rotary schemes from a Config: base, partial rotation and every scaling that checkpoints use.
#pragma once

#include <string>

#include "formats/config.h"
#include "ops/batch.h"

namespace godwit {

/// Where the scheme of some layers differs from what a model's keys say.
struct RopeKeys {
  bool scaled = true;  // false leaves the scaling out (Gemma 3's local layers)
  const char* base = "rope.freq_base";
  const char* dimension_count = "rope.dimension_count";
};

/// The scheme of a model whose heads have head_dim channels. Keys: those of `keys`, rope.scaling.* (docs/formats.md).
/// Sources: Su et al. 2021 (rotary); Peng et al. 2023 (YaRN); Meta's Llama 3.1 (llama3); Ding et al. 2024 (long rope).
RopeSpec rope_from(const Config& config, int64_t head_dim, bool interleaved, const RopeKeys& keys = {});

/// The mean scale of YaRN, equation 22 of Peng et al. 2023.
double yarn_scale(double factor, double mscale);

}  // namespace godwit
