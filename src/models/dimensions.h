// The sizes that GGUF names alike for every architecture, and the attention that most have.
#pragma once

#include <cstdint>

#include "blocks/attention.h"
#include "models/architecture.h"

namespace godwit {

/// The widest part of a layer that a file may ask for.
inline constexpr int64_t kMostChannels = int64_t{1} << 22;

/// Sizes that GGUF names alike for every architecture, checked against each other.
struct Dimensions {
  int64_t d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ff;
  float eps;
};
/// Throws Error (kInvalid) naming file and key.
Dimensions dimensions(const Config& config);

/// Grouped-query attention of these dimensions; `biased`: all four projections have biases.
AttentionSpec usual_attention(const Dimensions& dimensions, const RopeSpec& rope, bool biased = false);

}  // namespace godwit
