// Layer: the residual wiring around blocks. Stream: what flows from layer to layer.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "blocks/block.h"

namespace godwit {

/// x [tokens, d_model], in one of two buffers that last the whole step: a layer writes its result to the other one.
class Stream {
 public:
  Stream(Context& cx, int64_t tokens, int64_t d_model)
      : buffers_{empty(cx, {tokens, d_model}), empty(cx, {tokens, d_model})} {}
  Tensor x;
  Tensor embedding;  // what x was before the first layer, for layers that look back at it
  Tensor next() {
    turn_ ^= 1;
    return buffers_[static_cast<size_t>(turn_)];
  }

 private:
  std::array<Tensor, 2> buffers_;
  int turn_ = 0;
};

struct Layer {
  virtual ~Layer() = default;
  /// Replaces stream.x. `in.place` is the place of this layer's first block; its others follow.
  virtual void forward(Context& cx, Stream& stream, const StepInput& in) const = 0;
  /// Its blocks in order; each gets a place.
  virtual std::vector<Block*> blocks() const = 0;
};

/// x += post_mixer(mixer(pre_mixer(x))); x += post_ffn(ffn(pre_ffn(x))), the post norms where a model has them.
class ResidualLayer final : public Layer {
 public:
  struct Parts {
    Norm mixer_norm;
    std::unique_ptr<Block> mixer;
    std::optional<Norm> mixer_post_norm = {};
    Norm ffn_norm;
    std::unique_ptr<Block> ffn;
    std::optional<Norm> ffn_post_norm = {};
    float residual_scale = 1.0f;  // both blocks' outputs are multiplied with it (Granite)
  };
  explicit ResidualLayer(Parts parts) : parts_(std::move(parts)) {}
  void forward(Context& cx, Stream& stream, const StepInput& in) const override;
  std::vector<Block*> blocks() const override { return {parts_.mixer.get(), parts_.ffn.get()}; }

 private:
  Parts parts_;
};

/// The usual pre-norm layer: norms "attn_norm" and `ffn_norm` of d_model.
std::unique_ptr<Layer> pre_norm(const Scope& scope, int64_t d_model, float eps, std::unique_ptr<Block> mixer,
                                std::unique_ptr<Block> ffn, const char* ffn_norm = "ffn_norm",
                                float residual_scale = 1.0f);

/// x += block(norm(x)): a mixer or a feed-forward network that stands alone.
class SingleLayer final : public Layer {
 public:
  struct Parts {
    Norm norm;
    std::unique_ptr<Block> block;
    float residual_scale = 1.0f;  // the block's output is multiplied with it
  };
  explicit SingleLayer(Parts parts) : parts_(std::move(parts)) {}
  void forward(Context& cx, Stream& stream, const StepInput& in) const override;
  std::vector<Block*> blocks() const override { return {parts_.block.get()}; }

 private:
  Parts parts_;
};

/// A layer of one block; its norm of d_model is `norm_name`.
std::unique_ptr<Layer> single(const Scope& scope, const char* norm_name, int64_t d_model, float eps,
                              std::unique_ptr<Block> block, float residual_scale = 1.0f);

}  // namespace godwit
