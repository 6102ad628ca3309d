// Multi-head latent attention: what is kept of a token is one vector for all heads, from which keys and values are
// made. Computed absorbed: the queries take in the matrix that makes the keys, so the vectors themselves are keys and
// values.
#pragma once

#include <optional>

#include "blocks/attention.h"

namespace godwit {

struct LatentAttentionSpec {
  int64_t d_model = 0, n_heads = 0;
  int64_t q_rank = 0;   // 0: queries are made from x directly
  int64_t kv_rank = 0;  // of the latent vector
  int64_t nope_dim = 0, rope_dim = 0, v_dim = 0;
  RopeSpec rope = {};
  float scale = 0.0f;      // of scores; 0: (nope_dim + rope_dim)^-0.5
  float norm_eps = 1e-6f;  // of the norms of both latent vectors
  bool biased = false;     // attn_q_a, attn_kv_a_mqa and attn_output have biases
  Temperature temperature = {};
};

/// Source: DeepSeek-V2 (2024), section 2.1 and appendix C.
class LatentAttention final : public Block {
 public:
  LatentAttention(const Scope& scope, const LatentAttentionSpec& spec);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes& types) const override;
  RopeSpec* rope() override { return &spec_.rope; }
  std::string kind() const override { return "latent attention"; }

 private:
  LatentAttentionSpec spec_;
  LinearWeight q_a_, q_b_, kv_a_, output_;  // without q_rank, q_a_ makes the queries
  std::optional<Norm> q_norm_;
  Norm kv_norm_;
  Tensor k_b_, v_b_;
};

}  // namespace godwit
