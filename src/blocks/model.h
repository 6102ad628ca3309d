// Model: embedding, layers, head. forward is the only code that computes a model.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "blocks/layer.h"
#include "formats/config.h"

namespace godwit {

/// Gets slices of logits: [n, vocab_size] for the wanted tokens [first, first + n) (indices into Batch::wanted).
using LogitsSink = std::function<void(int64_t first, Tensor logits)>;

class Model {
 public:
  struct Head {
    float embedding_scale = 1.0f;
    float norm_eps = 1e-6f;
    const char* norm_name = "output_norm";  // of its parameter
    bool norm_plus_one = false;
    float logit_softcap = 0.0f;  // 0: none
    float logit_scale = 1.0f;    // logits are multiplied with it
  };
  /// Embedding, output norm and output head (the embedding when the file has no output.weight).
  Model(const Config& config, Weights& weights, const Head& head);

  void add(std::unique_ptr<Layer> layer);

  /// Computes the batch and advances nothing: the caller's sequence states say what was absorbed before. Logits of
  /// the wanted tokens go to the sink in slices of at most 32 MiB; the arena is as before afterwards.
  void forward(Context& cx, const Batch& batch, const StateLayout& layout, const LogitsSink& sink) const;

  /// Parameters that a token does not touch.
  int64_t idle_parameters() const;
  /// Of every layer that has experts.
  std::vector<ExpertCount> experts() const;

  /// Where the state of every place lies, for these cache types. Throws Error (kUsage) when a type does not fit.
  StateLayout state_layout(const CacheTypes& types) const;

  /// Sequences submitted with lengths of equal choice have the same rotary angles (CacheKey::rope).
  int64_t rope_choice(int64_t length) const;

  int64_t d_model() const { return embedding_.width(); }
  int64_t vocab_size() const { return embedding_.rows(); }
  int64_t context_length() const { return context_length_; }
  bool tied() const { return tied_; }
  const std::vector<std::unique_ptr<Layer>>& layers() const { return layers_; }

 private:
  void head(Context& cx, Tensor x, const std::vector<int32_t>& wanted, const LogitsSink& sink) const;

  Head spec_;
  int64_t context_length_;
  Tensor embedding_;
  Norm output_norm_;
  LinearWeight output_;
  bool tied_ = false;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<int32_t> first_place_;
  int32_t n_places_ = 0;
  std::vector<RopeSpec> ropes_;  // distinct ones
};

}  // namespace godwit
