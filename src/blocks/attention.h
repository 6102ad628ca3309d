// Grouped-query attention with rotary positions, optional window and per-head norms of q and k.
#pragma once

#include <optional>

#include "blocks/block.h"

namespace godwit {

struct AttentionSpec {
  int64_t d_model = 0;
  int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  RopeSpec rope = {};
  float scale = 0.0f;        // of scores; 0: head_dim^-0.5
  int64_t window = 0;        // 0: all
  bool biased = false;       // q, k, v and output must have biases
  float qk_norm_eps = 0.0f;  // 0: q and k are not normalised
  bool norm_plus_one = false;
};

/// Source: Vaswani et al. 2017; Ainslie et al. 2023 (grouped queries); Henry et al. 2020 (norms of q and k).
class Attention final : public Block {
 public:
  Attention(const Scope& scope, const AttentionSpec& spec);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes& types) const override;
  RopeSpec* rope() override { return &spec_.rope; }
  std::string kind() const override { return spec_.window > 0 ? "window attention" : "attention"; }

 private:
  AttentionSpec spec_;
  LinearWeight q_, k_, v_, output_;
  std::optional<Norm> q_norm_, k_norm_;
};

}  // namespace godwit
