// Values to the bytes of a row: for convert, for --random models and for tests.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace godwit {

/// Whether encode_row makes this type: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.
bool can_encode(DType type);

/// Writes the values x[0, n) as a row of `type`, n a multiple of its block, to `out` at any address. Equals ggml's
/// reference quantizers bit for bit, also while flush-to-zero and denormals-are-zero are on. A block with a non-finite
/// value gets scale NaN and codes 0; a scale past 65504 becomes infinite. Throws Bug unless can_encode(type). Source:
/// ggml-quants.c, quantize_row_*_ref.
void encode_row(DType type, const float* x, std::byte* out, int64_t n);

}  // namespace godwit
