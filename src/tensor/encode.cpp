#include "tensor/encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"
#include "tensor/float_environment.h"

namespace godwit {
namespace {

constexpr int kWidth = 32;  // of every block type made here
constexpr uint16_t kNanF16 = 0x7e00;

bool all_finite(const float* x) {
  return std::all_of(x, x + kWidth, [](float v) { return std::isfinite(v); });
}

float inverse(float d) { return d == 0 ? 0.0f : 1.0f / d; }

// The whole part of v within [0, top]; 0 for NaN, which only an overflow on the way can make.
uint32_t cut(float v, int top) {
  if (!(v > 0)) return 0;
  return v >= static_cast<float>(top) ? static_cast<uint32_t>(top) : static_cast<uint32_t>(v);
}

struct Codes {
  uint16_t d, m;
  uint32_t q[kWidth];
};

// Codes 0 to 2 * half - 1 around `half`. The value of largest magnitude gets code 0, with its sign in the scale.
Codes symmetric_codes(const float* x, int half) {
  if (!all_finite(x)) return {kNanF16, kNanF16, {}};
  float largest = x[0];
  for (int j = 1; j < kWidth; ++j)
    if (std::fabs(x[j]) > std::fabs(largest)) largest = x[j];
  const float d = largest / static_cast<float>(-half);
  const float id = inverse(d);
  Codes codes{f32_to_f16(d), 0, {}};
  for (int j = 0; j < kWidth; ++j) codes.q[j] = cut(x[j] * id + (static_cast<float>(half) + 0.5f), 2 * half - 1);
  return codes;
}

// Codes 0 to top from the least value to the greatest.
Codes affine_codes(const float* x, int top) {
  if (!all_finite(x)) return {kNanF16, kNanF16, {}};
  const auto [least, greatest] = std::minmax_element(x, x + kWidth);
  const float d = (*greatest - *least) / static_cast<float>(top);
  const float id = inverse(d);
  Codes codes{f32_to_f16(d), f32_to_f16(*least), {}};
  for (int j = 0; j < kWidth; ++j) codes.q[j] = cut((x[j] - *least) * id + 0.5f, top);
  return codes;
}

void pack_nibbles(const Codes& codes, uint8_t (&qs)[16]) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>((codes.q[j] & 15) | (codes.q[j + 16] & 15) << 4);
}

void pack_fifth_bits(const Codes& codes, uint8_t (&qh)[4]) {
  for (int j = 0; j < kWidth; ++j) qh[j / 8] = static_cast<uint8_t>(qh[j / 8] | (codes.q[j] >> 4) << (j % 8));
}

void encode_block(const float* x, BlockQ4_0& b) {
  const Codes codes = symmetric_codes(x, 8);
  b.d = codes.d;
  pack_nibbles(codes, b.qs);
}

void encode_block(const float* x, BlockQ4_1& b) {
  const Codes codes = affine_codes(x, 15);
  b.d = codes.d;
  b.m = codes.m;
  pack_nibbles(codes, b.qs);
}

void encode_block(const float* x, BlockQ5_0& b) {
  const Codes codes = symmetric_codes(x, 16);
  b.d = codes.d;
  pack_fifth_bits(codes, b.qh);
  pack_nibbles(codes, b.qs);
}

void encode_block(const float* x, BlockQ5_1& b) {
  const Codes codes = affine_codes(x, 31);
  b.d = codes.d;
  b.m = codes.m;
  pack_fifth_bits(codes, b.qh);
  pack_nibbles(codes, b.qs);
}

void encode_block(const float* x, BlockQ8_0& b) {
  b.d = kNanF16;
  if (!all_finite(x)) return;
  float largest = 0;
  for (int j = 0; j < kWidth; ++j) largest = std::max(largest, std::fabs(x[j]));
  const float d = largest / 127.0f;
  const float id = inverse(d);
  b.d = f32_to_f16(d);
  for (int j = 0; j < kWidth; ++j) {
    const float rounded = std::round(x[j] * id);
    b.qs[j] = static_cast<int8_t>(std::isnan(rounded) ? 0.0f : std::clamp(rounded, -127.0f, 127.0f));
  }
}

template <class Block>
void encode_blocks(const float* x, std::byte* out, int64_t n) {
  const DefaultFloatEnvironment environment;  // scales of tiny values are subnormal on the way to a half
  for (int64_t i = 0; i < n; i += kWidth, out += sizeof(Block)) {
    Block block{};
    encode_block(x + i, block);
    std::memcpy(out, &block, sizeof block);  // it may lie at any address
  }
}

template <uint16_t (*convert)(float)>
void encode_halves(const float* x, std::byte* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = convert(x[i]);
    std::memcpy(out + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace

bool can_encode(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ8_0:
      return true;
    default:
      return false;
  }
}

void encode_row(DType type, const float* x, std::byte* out, int64_t n) {
  const int64_t width = info(type).block;
  CHECK(can_encode(type), "encode_row: no encoder for {}", name(type));
  CHECK(n >= 0 && n % width == 0, "a row of {} elements of {} (blocks of {})", n, name(type), width);
  if (n == 0) return;
  switch (type) {
    case DType::kF32:
      std::memcpy(out, x, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kF16:
      return encode_halves<f32_to_f16>(x, out, n);
    case DType::kBF16:
      return encode_halves<f32_to_bf16>(x, out, n);
    case DType::kQ4_0:
      return encode_blocks<BlockQ4_0>(x, out, n);
    case DType::kQ4_1:
      return encode_blocks<BlockQ4_1>(x, out, n);
    case DType::kQ5_0:
      return encode_blocks<BlockQ5_0>(x, out, n);
    case DType::kQ5_1:
      return encode_blocks<BlockQ5_1>(x, out, n);
    case DType::kQ8_0:
      return encode_blocks<BlockQ8_0>(x, out, n);
    default:
      break;
  }
}

}  // namespace godwit
