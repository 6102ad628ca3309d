// How a pattern that ships with the program grows: inside of shipped_patterns.h.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace godwit {

// A pattern repeats its group. Layers without a feed-forward network have half a transformer's parameters or so, so
// that there are twice as many of them (Dao and Gu 2024). The hybrid's attention stands in the middle of eight layers
// (Lieber et al. 2024); windows come three to one full attention.
struct ShippedShape {
  const char* name;
  const char* group;
  int64_t group_layers;
  double depth;        // layers for each of the table's
  int64_t width_step;  // of hidden_size
  int64_t ffs_used;    // feed-forward networks that a token uses in a layer; 0: none
};
struct ShippedSizes {
  int64_t groups, d_model, d_ff;  // d_ff: of one network
};

inline constexpr int64_t kShippedHeadDim = 64;
inline constexpr int64_t kShippedStep = 32;  // of the widths of feed-forward networks

/// Throws Error (kUsage) for a name that none has.
const ShippedShape& shipped_shape(const std::string& name);
/// What divides the heads and is nearest to a quarter of them.
int64_t shipped_kv_heads(int64_t heads);
Json shipped_json(const ShippedShape& shape, const ShippedSizes& sizes, int64_t vocab_size);

}  // namespace godwit
