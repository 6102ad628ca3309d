// Block: a mixer or a feed-forward network. It computes; it owns no state. What it remembers belongs to the place in
// the stack where it stands, so one block may stand at many places.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "formats/weights.h"
#include "ops/ops.h"
#include "ops/recurrence.h"

namespace godwit {

/// Experts of a mixture: how many there are, and how many a token is sent to.
struct ExpertCount {
  int64_t all = 0, used = 0;
};

struct Block {
  virtual ~Block() = default;
  /// [tokens, d_model] both ways.
  virtual Tensor forward(Context& cx, Tensor x, const StepInput& in) const = 0;
  /// What it remembers of a sequence, given the cache types asked for.
  virtual std::vector<StatePart> state(const CacheTypes&) const { return {}; }
  /// Its rotary scheme, if it has one: the step makes the tables.
  virtual RopeSpec* rope() { return nullptr; }
  /// Parameters that a token does not touch: those of experts it is not sent to.
  virtual int64_t idle_parameters() const { return 0; }
  /// Of a mixture; else none.
  virtual ExpertCount experts() const { return {}; }
  /// "attention", "window attention", "mlp": for people (inspect).
  virtual std::string kind() const = 0;
};

/// A matrix [n, k] under `name`.weight and, when the model has one, `name`.bias. `biased`: the bias must be there.
LinearWeight linear_weight(const Scope& scope, const std::string& name, int64_t n, int64_t k, bool biased = false);

/// A short convolution's weight `name`.weight [channels, taps] and, if it must have one, `name`.bias.
ConvWeight conv_weight(const Scope& scope, const std::string& name, int64_t channels, int64_t taps, bool biased);

/// An RMS norm's gain and constants.
struct Norm {
  Tensor gain;
  float eps = 1e-6f;
  bool plus_one = false;  // the factor is 1 + gain (Gemma)

  Tensor operator()(Context& cx, Tensor x) const { return rms_norm(cx, x, gain, eps, plus_one); }
};
Norm norm(const Scope& scope, const std::string& name, int64_t width, float eps, bool plus_one = false);

}  // namespace godwit
