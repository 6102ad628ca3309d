// Small recurrences in plain loops, one of each kind of state that docs/numerics.md names: they show that the pool
// keeps everything a recurrent model needs, before there is one. Their cores work on plain arrays, so that each is
// compared with its step form too.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "blocks/block.h"
#include "models/open.h"

namespace godwit {

/// h = a h + (1 - a) c for each channel, where c is a convolution over the newest input and the 3 before.
struct DiagonalCore {
  static constexpr int64_t kTail = 3;
  int64_t width;
  static float tap(int64_t i) { return 0.1f * static_cast<float>(i + 1); }  // of input t - 3 + i
  float decay(int64_t channel) const { return 0.95f - 0.5f * static_cast<float>(channel) / static_cast<float>(width); }
  /// Takes in x [width] and gives y [width]; tail [3, width] and h [width] are as of now.
  void step(float* tail, float* h, const float* x, float* y) const;
};

/// A matrix state [n_heads, d_k, d_v] and the rows of one chunk. Row j of the chunk is at the pointers' j-th entry.
struct MatrixChunk {
  const float* state;
  std::vector<float*> k, v, g;  // [n_heads, d_k], [n_heads, d_v], [n_heads]
};

/// The chunk-row form: every token from the state at the chunk's beginning and the rows since.
struct MatrixCore {
  int64_t n_heads, d_k, d_v;
  virtual ~MatrixCore() = default;
  /// Token number k.size() - 1 of the chunk, whose row has been written: k, v, and g as its gate gave it. May change
  /// the row's v to what the state takes in. y [n_heads, d_v].
  virtual void token(const MatrixChunk& chunk, const float* q, float* y) const = 0;
  /// Moves the state past all rows.
  virtual void move(const MatrixChunk& chunk, float* state) const = 0;
};

/// S = exp(g) S + k v^T, y = S^T q; g is the logarithm of the decay. Source: Dao and Gu 2024, the scalar case.
struct LinearAttentionCore final : MatrixCore {
  LinearAttentionCore(int64_t heads, int64_t dk, int64_t dv) { n_heads = heads, d_k = dk, d_v = dv; }
  void token(const MatrixChunk& chunk, const float* q, float* y) const override;
  void move(const MatrixChunk& chunk, float* state) const override;
};

/// S = S + k u^T with u = g (v - S^T k), y = S^T q; g is the step size beta. Source: Yang et al. 2024 (DeltaNet).
struct DeltaRuleCore final : MatrixCore {
  DeltaRuleCore(int64_t heads, int64_t dk, int64_t dv) { n_heads = heads, d_k = dk, d_v = dv; }
  void token(const MatrixChunk& chunk, const float* q, float* y) const override;
  void move(const MatrixChunk& chunk, float* state) const override;
};

/// What a mixer gets wrong on purpose.
struct ToyFault {
  int64_t edge_shift = 0;  // edges lie so many tokens early
  bool restarts = false;   // chunks begin where steps do
};

class DiagonalMixer final : public Block {
 public:
  DiagonalMixer(const Scope& scope, int64_t d_model, const ToyFault& fault);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes&) const override;
  std::string kind() const override { return "toy diagonal"; }

 private:
  ToyFault fault_;
  DiagonalCore core_;
  LinearWeight in_, out_;
};

class MatrixMixer final : public Block {
 public:
  MatrixMixer(const Scope& scope, int64_t d_model, std::unique_ptr<MatrixCore> core, const ToyFault& fault);
  Tensor forward(Context& cx, Tensor x, const StepInput& in) const override;
  std::vector<StatePart> state(const CacheTypes&) const override;
  std::string kind() const override { return "toy matrix"; }

 private:
  void row(const Row& row, const StepInput& in, const float* q, const float* k, const float* v, const float* g,
           float* y) const;
  ToyFault fault_;
  std::unique_ptr<MatrixCore> core_;
  LinearWeight q_, k_, v_, gate_, out_;
};

/// The diagonal recurrence, attention, linear attention, attention with a window of 40, the delta rule; each with a
/// gated network. Random weights of this type.
std::unique_ptr<OpenModel> toy_stack(DType type, const ToyFault& fault = {});

}  // namespace godwit
