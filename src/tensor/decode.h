// What the bytes of a row stand for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace godwit {

/// Writes the `n` values of a row of any file type to out[0, n). `row` may lie at any address; n is a multiple of the
/// type's block. The values equal ggml's float decoders bit for bit (scales are rounded before they meet codes,
/// products and differences are rounded one by one), also while flush-to-zero and denormals-are-zero are on. Throws Bug
/// for x16 types, whose rows are not contiguous. Source: ggml-quants.c, dequantize_row_*.
void decode_row(DType type, const std::byte* row, float* out, int64_t n);

}  // namespace godwit
