// What Granite's mixtures share: four multipliers, names of experts.
#pragma once

#include <vector>

#include "models/mixture.h"

namespace godwit {

/// attention.scale, residual_scale, embedding_scale and logit_scale from config.json and back. Throws Error (kInvalid)
/// naming the key.
void granite_scales_from_hf(const HfConfig& hf, Config& config);
void granite_scales_to_hf(const Config& config, int64_t head_dim, Json& hf);
/// Embedding and head with theirs.
Model::Head granite_head(const Config& config, float eps);

std::vector<TensorName> granite_expert_names();

}  // namespace godwit
