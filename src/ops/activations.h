// The forms in which weights of different types meet their activations (docs/numerics.md).
#pragma once

#include "ops/context.h"

namespace godwit {

/// Which forms some matrices read.
struct Forms {
  bool f32 = false, bf16 = false, codes = false;
  void add(DType type, bool exact);
};

/// Room for `rows` rows of k values in these forms, f32 included where asked for.
Activations room_for(Context& cx, int64_t rows, int64_t k, Forms forms);

/// x [rows, k] rounded to each of the forms once, in the arena.
Activations prepare(Context& cx, Tensor x, Forms forms);

}  // namespace godwit
