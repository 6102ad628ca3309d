// What a quantized block means to a product: int8 codes, and per group one scale and perhaps one minimum.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace godwit::scalar {

/// One block of one output: value = code * scale - minimum, per group.
struct UnpackedBlock {
  int8_t codes[256];
  float scale[16];
  float minimum[16];
};

/// How a quantized type's blocks are read.
struct BlockFormat {
  int32_t block;  // elements in a block; 0: not a quantized type
  int32_t bytes;  // of one block of one output
  int32_t group;  // elements that share a scale: 16 or 32
  bool has_minimum;
  void (*unpack)(const std::byte* block, UnpackedBlock& out);
};

/// The format of a quantized type; of an x16 type: that of the file type it was made from.
const BlockFormat& block_format(DType type);

/// Unpacks block b of output o of a matrix with rows of k elements, row-major or packed.
void unpack_output_block(DType type, const std::byte* matrix, int64_t k, int64_t o, int64_t b, UnpackedBlock& out);

}  // namespace godwit::scalar
