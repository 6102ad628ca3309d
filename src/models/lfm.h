// What LFM2 and LFM2-MoE share: keys of the configuration, names of parameters, mixers.
#pragma once

#include <vector>

#include "blocks/attention.h"
#include "blocks/gated_conv.h"
#include "models/hybrid.h"

namespace godwit {

/// The keys besides those of feed-forward networks, from config.json and back.
void lfm_from_hf(const HfConfig& hf, Config& config);
void lfm_to_hf(const Config& config, Json& hf);

/// dimensions() of a hybrid.
Dimensions lfm_dimensions(const Config& config);
Model lfm_model(const Config& config, Weights& weights);

/// Attention with norms of q and k in the layers that attend, a gated convolution in the others.
class LfmMixers {
 public:
  explicit LfmMixers(const Config& config);
  std::unique_ptr<Block> make(const Scope& scope, int64_t layer) const;

 private:
  std::vector<bool> attends_;
  AttentionSpec attention_;
  GatedConvSpec conv_;
};

/// The names of both, and `more`.
TensorNames lfm_names(const std::vector<TensorName>& more = {});

}  // namespace godwit
