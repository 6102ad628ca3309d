// Zamba2: keys of the configuration, names of parameters.
#pragma once

#include "blocks/zamba2_layer.h"
#include "models/state_space_keys.h"

namespace godwit {

/// The most layers with a transformer: so many names their adapters have.
inline constexpr int64_t kMostZambaPlaces = 64;

void zamba_from_hf(const HfConfig& hf, Config& config);
void zamba_to_hf(const Config& config, Json& hf);

/// Of a layer with a transformer, the mixer's parameters begin with "hybrid_"; the first layers with one hold those
/// that are shared, which begin with "shared_".
TensorNames zamba_names();

}  // namespace godwit
