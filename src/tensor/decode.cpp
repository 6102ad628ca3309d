#include "tensor/decode.h"

#include <cstring>

#include "base/error.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"

namespace godwit {
namespace {

// Every decoder writes one block. Codes and small integer scales are exact in float. Scales are halves, so no product
// with a code is ever subnormal and flush-to-zero finds nothing to flush; MXFP4 is the exception and minds it itself.

void decode_block(const BlockQ4_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>((b.qs[j] & 15) - 8) * d;
    y[j + 16] = static_cast<float>((b.qs[j] >> 4) - 8) * d;
  }
}

void decode_block(const BlockQ4_1& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(b.qs[j] & 15) * d + m;
    y[j + 16] = static_cast<float>(b.qs[j] >> 4) * d + m;
  }
}

// The fifth bits of 32 elements, element i in bit i.
uint32_t high_bits(const uint8_t (&qh)[4]) {
  return qh[0] | uint32_t{qh[1]} << 8 | uint32_t{qh[2]} << 16 | uint32_t{qh[3]} << 24;
}

void decode_block(const BlockQ5_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  const uint32_t qh = high_bits(b.qh);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(static_cast<int>((b.qs[j] & 15u) | (qh >> j & 1) << 4) - 16) * d;
    y[j + 16] = static_cast<float>(static_cast<int>((b.qs[j] >> 4) | (qh >> (j + 16) & 1) << 4) - 16) * d;
  }
}

void decode_block(const BlockQ5_1& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  const uint32_t qh = high_bits(b.qh);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(static_cast<int>((b.qs[j] & 15u) | (qh >> j & 1) << 4)) * d + m;
    y[j + 16] = static_cast<float>(static_cast<int>((b.qs[j] >> 4) | (qh >> (j + 16) & 1) << 4)) * d + m;
  }
}

void decode_block(const BlockQ8_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 32; ++j) y[j] = static_cast<float>(b.qs[j]) * d;
}

// Q2_K and Q3_K: 128 elements share 32 bytes of qs, two bits each; run t of 32 elements takes bits 2t and 2t + 1.
void decode_block(const BlockQ2_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(b.scales[group] & 15);
    const float minimum = dmin * static_cast<float>(b.scales[group] >> 4);
    const uint8_t* qs = b.qs + group / 8 * 32 + group % 2 * 16;
    const int shift = group % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) y[16 * group + l] = scale * static_cast<float>(qs[l] >> shift & 3) - minimum;
  }
}

void decode_block(const BlockQ3_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int group = 0; group < 16; ++group) {
    const int low = group < 8 ? b.scales[group] & 15 : b.scales[group - 8] >> 4;
    const int high = b.scales[8 + group % 4] >> (group / 4 * 2) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    const uint8_t* qs = b.qs + group / 8 * 32 + group % 2 * 16;
    const uint8_t* hmask = b.hmask + group % 2 * 16;
    const int shift = group % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) {
      const int code = (qs[l] >> shift & 3) - ((hmask[l] >> (group / 2) & 1) != 0 ? 0 : 4);
      y[16 * group + l] = scale * static_cast<float>(code);
    }
  }
}

struct ScaleAndMinimum {
  int scale, minimum;
};

// Q4_K and Q5_K: 8 scales and 8 minimums of 6 bits in 12 bytes. Groups 4 to 7 keep their upper two bits on top of those
// of groups 0 to 3.
ScaleAndMinimum unpack_scale(const uint8_t (&s)[12], int group) {
  if (group < 4) return {s[group] & 63, s[group + 4] & 63};
  return {(s[group + 4] & 15) | (s[group - 4] >> 6) << 4, (s[group + 4] >> 4) | (s[group] >> 6) << 4};
}

void decode_block(const BlockQ4_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMinimum packed = unpack_scale(b.scales, group);
    const float scale = d * static_cast<float>(packed.scale);
    const float minimum = dmin * static_cast<float>(packed.minimum);
    const uint8_t* qs = b.qs + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int l = 0; l < 32; ++l) y[32 * group + l] = scale * static_cast<float>(qs[l] >> shift & 15) - minimum;
  }
}

void decode_block(const BlockQ5_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMinimum packed = unpack_scale(b.scales, group);
    const float scale = d * static_cast<float>(packed.scale);
    const float minimum = dmin * static_cast<float>(packed.minimum);
    const uint8_t* qs = b.qs + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int l = 0; l < 32; ++l) {
      const int code = (qs[l] >> shift & 15) | (b.qh[l] >> group & 1) << 4;
      y[32 * group + l] = scale * static_cast<float>(code) - minimum;
    }
  }
}

// Q6_K: a half of 128 elements has 64 bytes of low nibbles and 32 bytes of high bits; run k of 32 elements takes the
// low (k < 2) or high nibbles of its 32 of ql, and bits 2k and 2k + 1 of qh.
void decode_block(const BlockQ6_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(b.scales[group]);
    const int half = group / 8;
    const int run = group % 8 / 2;
    const uint8_t* ql = b.ql + 64 * half + run % 2 * 32 + group % 2 * 16;
    const uint8_t* qh = b.qh + 32 * half + group % 2 * 16;
    for (int l = 0; l < 16; ++l) {
      const int code = (ql[l] >> (run / 2 * 4) & 15) | (qh[l] >> (2 * run) & 3) << 4;
      y[16 * group + l] = scale * static_cast<float>(code - 32);
    }
  }
}

void decode_block(const BlockIQ4_NL& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(kIq4Values[b.qs[j] & 15]);
    y[j + 16] = d * static_cast<float>(kIq4Values[b.qs[j] >> 4]);
  }
}

void decode_block(const BlockIQ4_XS& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int group = 0; group < 8; ++group) {
    const int low = b.scales_l[group / 2] >> (group % 2 * 4) & 15;
    const int high = b.scales_h >> (2 * group) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    const uint8_t* qs = b.qs + 16 * group;
    for (int j = 0; j < 16; ++j) {
      y[32 * group + j] = scale * static_cast<float>(kIq4Values[qs[j] & 15]);
      y[32 * group + 16 + j] = scale * static_cast<float>(kIq4Values[qs[j] >> 4]);
    }
  }
}

// value * 2^(exponent - 128). Below exponent 2 the scale is subnormal and results may be: then they are put together
// from units of 2^-149, since arithmetic would flush them.
float mxfp4_value(int value, int exponent) {
  if (exponent >= 2) return float_from_bits(static_cast<uint32_t>(exponent - 1) << 23) * static_cast<float>(value);
  const uint32_t sign = value < 0 ? 0x80000000u : 0;
  const uint32_t units = static_cast<uint32_t>(value < 0 ? -value : value) << (exponent + 21);
  if (units < 1u << 23) return float_from_bits(sign | units);
  return float_from_bits(sign | (float_bits(static_cast<float>(units)) - (149u << 23)));
}

void decode_block(const BlockMXFP4& b, float* y) {
  float values[16];
  for (int code = 0; code < 16; ++code) values[code] = mxfp4_value(kMxfp4Values[code], b.e);
  for (int j = 0; j < 16; ++j) {
    y[j] = values[b.qs[j] & 15];
    y[j + 16] = values[b.qs[j] >> 4];
  }
}

// Digit n (0: the first) of a byte that holds base-3 digits as a fraction of 256: times 3^n, the digit is what passes
// 256.
float ternary(uint8_t byte, int n, float d) {
  constexpr int kPowers[5] = {1, 3, 9, 27, 81};
  const int fraction = byte * kPowers[n] & 255;
  return static_cast<float>((fraction * 3 >> 8) - 1) * d;
}

void decode_block(const BlockTQ1_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int n = 0; n < 5; ++n)
    for (int m = 0; m < 32; ++m) *y++ = ternary(b.qs[m], n, d);
  for (int n = 0; n < 5; ++n)
    for (int m = 32; m < 48; ++m) *y++ = ternary(b.qs[m], n, d);
  for (int n = 0; n < 4; ++n)
    for (int m = 0; m < 4; ++m) *y++ = ternary(b.qh[m], n, d);
}

void decode_block(const BlockTQ2_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int half = 0; half < 2; ++half)
    for (int t = 0; t < 4; ++t)
      for (int m = 0; m < 32; ++m) *y++ = static_cast<float>((b.qs[32 * half + m] >> (2 * t) & 3) - 1) * d;
}

// The plain types, an element at a time.
struct ElementF16 {
  uint16_t bits;
};
struct ElementBF16 {
  uint16_t bits;
};
void decode_block(const ElementF16& e, float* y) { *y = f16_to_f32(e.bits); }
void decode_block(const ElementBF16& e, float* y) { *y = bf16_to_f32(e.bits); }

template <class Block>
void decode_blocks(const std::byte* row, float* out, int64_t n, int64_t width) {
  for (int64_t i = 0; i < n; i += width, row += sizeof(Block)) {
    Block block;
    std::memcpy(&block, row, sizeof block);  // it may lie at any address
    decode_block(block, out + i);
  }
}

}  // namespace

void decode_row(DType type, const std::byte* row, float* out, int64_t n) {
  const int64_t width = info(type).block;
  CHECK(n >= 0 && n % width == 0, "a row of {} elements of {} (blocks of {})", n, name(type), width);
  if (n == 0) return;
  switch (type) {
    case DType::kF32:
      std::memcpy(out, row, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kF16:
      return decode_blocks<ElementF16>(row, out, n, width);
    case DType::kBF16:
      return decode_blocks<ElementBF16>(row, out, n, width);
    case DType::kQ4_0:
      return decode_blocks<BlockQ4_0>(row, out, n, width);
    case DType::kQ4_1:
      return decode_blocks<BlockQ4_1>(row, out, n, width);
    case DType::kQ5_0:
      return decode_blocks<BlockQ5_0>(row, out, n, width);
    case DType::kQ5_1:
      return decode_blocks<BlockQ5_1>(row, out, n, width);
    case DType::kQ8_0:
      return decode_blocks<BlockQ8_0>(row, out, n, width);
    case DType::kQ2_K:
      return decode_blocks<BlockQ2_K>(row, out, n, width);
    case DType::kQ3_K:
      return decode_blocks<BlockQ3_K>(row, out, n, width);
    case DType::kQ4_K:
      return decode_blocks<BlockQ4_K>(row, out, n, width);
    case DType::kQ5_K:
      return decode_blocks<BlockQ5_K>(row, out, n, width);
    case DType::kQ6_K:
      return decode_blocks<BlockQ6_K>(row, out, n, width);
    case DType::kIQ4_NL:
      return decode_blocks<BlockIQ4_NL>(row, out, n, width);
    case DType::kIQ4_XS:
      return decode_blocks<BlockIQ4_XS>(row, out, n, width);
    case DType::kMXFP4:
      return decode_blocks<BlockMXFP4>(row, out, n, width);
    case DType::kTQ1_0:
      return decode_blocks<BlockTQ1_0>(row, out, n, width);
    case DType::kTQ2_0:
      return decode_blocks<BlockTQ2_0>(row, out, n, width);
    case DType::kQ4_1x16:
    case DType::kQ5_0x16:
    case DType::kQ8_0x16:
    case DType::kQ4_Kx16:
    case DType::kQ6_Kx16:
    case DType::kQ4_0x16:
    case DType::kMXFP4x16:
      break;
  }
  CHECK(false, "decode_row: {} has no contiguous rows", name(type));
}

}  // namespace godwit
