// Grouped-query attention with rotary positions, optional window and per-head norms of q and k.
#pragma once

#include <optional>

#include "blocks/block.h"

namespace godwit {

/// Queries are multiplied with 1 + beta ln(1 + floor(position / length)). Source: Llama 4, as Ministral 3 has it.
struct Temperature {
  double beta = 0.0;  // 0: not
  int64_t length = 0;
};

struct AttentionSpec {
  int64_t d_model = 0;
  int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  RopeSpec rope = {};   // none: nothing rotates, and order is known by the mask alone
  float scale = 0.0f;   // of scores; 0: head_dim^-0.5
  int64_t window = 0;   // 0: all
  bool biased = false;  // q, k and v must have biases
  bool output_biased = false;
  float qk_norm_eps = 0.0f;    // 0: q and k are not normalised
  bool qk_norm_whole = false;  // one norm over all heads of a token (OLMo), else one for each head
  bool norm_plus_one = false;
  float clip = 0.0f;     // q, k and v are clamped to [-clip, clip]; 0: not
  float softcap = 0.0f;  // scores become cap tanh(score / cap); 0: not
  bool sinks = false;    // a learned score for each head joins the softmax (gpt-oss)
};

/// Source: Vaswani et al. 2017; Ainslie et al. 2023 (grouped queries); Henry et al. 2020 (norms of q and k).
class Attention final : public Block {
 public:
  Attention(const Scope& scope, const AttentionSpec& spec);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes& types) const override;
  RopeSpec* rope() override { return spec_.rope.n_pairs > 0 ? &spec_.rope : nullptr; }
  std::string kind() const override { return spec_.window > 0 ? "window attention" : "attention"; }

 private:
  Tensor normalised(Context& cx, const std::optional<Norm>& norm, Tensor x, int64_t heads) const;

  AttentionSpec spec_;
  LinearWeight q_, k_, v_, output_;
  std::optional<Norm> q_norm_, k_norm_;
  Tensor sinks_;
};

}  // namespace godwit
