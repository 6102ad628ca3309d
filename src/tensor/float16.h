// The two 16-bit float types, converted by integer arithmetic: the same bits on every CPU, whatever flush-to-zero,
// denormals-are-zero and the rounding mode say. Everything is always inlined, so that a file compiled for a CPU level
// leaves no copy of these functions for the linker to hand to others.
#pragma once

#include <cstdint>

#define GODWIT_INLINE [[gnu::always_inline]] constexpr

namespace godwit {

GODWIT_INLINE uint32_t float_bits(float x) { return __builtin_bit_cast(uint32_t, x); }
GODWIT_INLINE float float_from_bits(uint32_t bits) { return __builtin_bit_cast(float, bits); }

/// The value of an IEEE half (1 sign, 5 exponent, 10 fraction bits): exact. A NaN keeps its payload and becomes quiet,
/// as VCVTPH2PS does.
GODWIT_INLINE float f16_to_f32(uint16_t h) {
  const uint32_t sign = (h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 31;
  const uint32_t fraction = h & 0x3ffu;
  if (exponent == 31) return float_from_bits(sign | 0x7f800000u | (fraction != 0 ? 0x400000u : 0u) | fraction << 13);
  if (exponent != 0) return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  if (fraction == 0) return float_from_bits(sign);
  // A subnormal half is a normal float: move its first 1 to bit 10, where it is the implied one.
  const auto shift = static_cast<uint32_t>(__builtin_clz(fraction)) - 21;
  return float_from_bits(sign | (113 - shift) << 23 | ((fraction << shift) & 0x3ffu) << 13);
}

/// The nearest half, ties to even; from 65520 on infinity. A NaN keeps the top of its payload and becomes quiet, as
/// VCVTPS2PH does.
GODWIT_INLINE uint16_t f32_to_f16(float x) {
  const uint32_t bits = float_bits(x);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520: halfway to 2^16, rounds up
  if (magnitude >= 0x38800000u) {                                              // 2^-14: a normal half
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1);
    return static_cast<uint16_t>(sign | (rounded - (112u << 23)) >> 13);
  }
  if (magnitude <= 0x33000000u) return static_cast<uint16_t>(sign);  // 2^-25: halfway to the least subnormal, to even
  // A subnormal half counts units of 2^-24; the float is significand * 2^(exponent - 150).
  const uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
  const uint32_t shift = 126 - (magnitude >> 23);  // 14 to 24
  const uint32_t whole = significand >> shift;
  const uint32_t rest = significand & ((1u << shift) - 1);
  const uint32_t half = 1u << (shift - 1);
  return static_cast<uint16_t>(sign | (whole + (rest > half || (rest == half && (whole & 1) != 0) ? 1 : 0)));
}

/// The value of a bfloat16, the upper half of a float: exact.
GODWIT_INLINE float bf16_to_f32(uint16_t b) { return float_from_bits(static_cast<uint32_t>(b) << 16); }

/// The nearest bfloat16, ties to even, subnormals included; a NaN is cut and made quiet. This is how files are written;
/// activations are rounded by a kernel, which maps every NaN to 0x7fc0.
GODWIT_INLINE uint16_t f32_to_bf16(float x) {
  const uint32_t bits = float_bits(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 64);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

}  // namespace godwit

#undef GODWIT_INLINE
