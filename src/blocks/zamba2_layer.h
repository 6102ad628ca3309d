// Zamba2's layers: Mamba-2 alone, or with a transformer before it whose parameters stand at several places.
#pragma once

#include <optional>

#include "blocks/layer.h"
#include "blocks/mamba2.h"

namespace godwit {

/// A matrix's low-rank addition of one place: up(down x). Source: Hu et al. 2021 (LoRA).
struct Adapter {
  LinearWeight down, up;  // [rank, k], [n, rank]
};
/// Parameters `name`.0 and `name`.1.
Adapter adapter(const Scope& scope, const std::string& name, int64_t n, int64_t rank, int64_t k);

struct SharedTransformerSpec {
  int64_t d_model = 0, d_ff = 0;
  int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  RopeSpec rope = {};  // none: nothing rotates
  float eps = 1e-5f;
  int64_t rank = 0;            // of adapters
  bool adapted_heads = false;  // q, k and v have adapters too
  bool biased = false;         // the feed-forward network has biases
};

/// Attention on the stream beside the embedding: [tokens, 2 d_model] -> [tokens, d_model]; scores are scaled by
/// (head_dim / 2)^-0.5. Parameters attn_q, attn_k, attn_v, attn_output, attn_{q,k,v}_adapter.`place`.
class SharedAttention final : public Block {
 public:
  SharedAttention(const Scope& scope, const SharedTransformerSpec& spec, int64_t place);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes& types) const override;
  RopeSpec* rope() override { return spec_.rope.n_pairs > 0 ? &spec_.rope : nullptr; }
  std::string kind() const override { return "attention"; }

 private:
  SharedTransformerSpec spec_;
  LinearWeight projections_[3], output_;  // q, k, v
  std::optional<Adapter> adapters_[3];
};

/// down(gelu(gate) up), gate and up of one matrix. Parameters ffn_gate_up, ffn_down, ffn_adapter.`place`.
class SharedMlp final : public Block {
 public:
  SharedMlp(const Scope& scope, const SharedTransformerSpec& spec, int64_t place);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::string kind() const override { return "mlp"; }

 private:
  int64_t d_ff_;
  LinearWeight gate_up_, down_;
  Adapter adapter_;
};

/// x += mamba(norm(x + t)), where t, if there is a transformer, is linear(mlp(ffn_norm(attention(attn_norm(x | e)))))
/// of the embedding e. Source: Zamba2 (2024), section 2.
class Zamba2Layer final : public Layer {
 public:
  struct Transformer {
    Norm attn_norm;
    std::unique_ptr<Block> attention;
    Norm ffn_norm;
    std::unique_ptr<Block> ffn;
    LinearWeight linear;
  };
  Zamba2Layer(Norm norm, std::unique_ptr<Block> mamba2, std::optional<Transformer> transformer)
      : norm_(std::move(norm)), mamba2_(std::move(mamba2)), transformer_(std::move(transformer)) {}
  void forward(Context& cx, Stream& stream, const StepInput& in) const override;
  std::vector<Block*> blocks() const override;

 private:
  Tensor with_transformer(Context& cx, const Stream& stream, const StepInput& in) const;

  Norm norm_;
  std::unique_ptr<Block> mamba2_;
  std::optional<Transformer> transformer_;
};

}  // namespace godwit
