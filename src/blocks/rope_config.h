// Rotary schemes from a Config: base, partial rotation and every scaling that checkpoints use.
#pragma once

#include <string>

#include "formats/config.h"
#include "ops/batch.h"

namespace godwit {

/// The scheme of a model whose heads have head_dim channels. Keys: rope.dimension_count, rope.freq_base, rope.scaling.*
/// (docs/formats.md). `scaled` false leaves the scaling out (Gemma 3's local layers); base_key names the base.
/// Sources: Su et al. 2021 (rotary); Peng et al. 2023 (YaRN); Meta's Llama 3.1 (llama3); Ding et al. 2024 (long rope).
RopeSpec rope_from(const Config& config, int64_t head_dim, bool interleaved, bool scaled = true,
                   const std::string& base_key = "rope.freq_base", double default_base = 10000.0);

/// The mean scale of YaRN, equation 22 of Peng et al. 2023.
double yarn_scale(double factor, double mscale);

}  // namespace godwit
