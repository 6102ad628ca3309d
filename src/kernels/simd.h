// Vec: 16 float lanes, at whichever level the including file is compiled for: one zmm register at avx512, two ymm at
// avx2. The same operations exist for plain float, so that a template (math.h) performs identical steps with identical
// roundings on both. Everything lives in the level's namespace (`scalar` where no level is set): an inline function
// shared between levels could be linked in its AVX-512 form for everyone.
//
// Denormals: every thread runs with flush-to-zero and denormals-are-zero; conversions from and to 16 bits work on bits
// and are not touched by that.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/float16.h"

#ifndef GODWIT_LEVEL
#define GODWIT_LEVEL scalar
#else
#include <immintrin.h>
#endif

namespace godwit::GODWIT_LEVEL {

inline constexpr int kLanes = 16;

// ---------------------------------------------------------------- one lane

inline float fma(float a, float b, float c) { return std::fma(a, b, c); }
inline float sqrt(float x) { return std::sqrt(x); }
/// The second operand when they compare equal or either is NaN, as the SSE instructions do: max(x, so_far) skips a NaN
/// x.
inline float max(float a, float b) { return a > b ? a : b; }
inline float min(float a, float b) { return a < b ? a : b; }
inline bool less(float a, float b) { return a < b; }
inline bool less_equal(float a, float b) { return a <= b; }
inline float select(bool mask, float a, float b) { return mask ? a : b; }

/// The 32-bit pattern of a float, and back.
inline uint32_t to_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float from_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
/// The pattern read as int32, as a float.
inline float int_to_float(uint32_t bits) { return static_cast<float>(static_cast<int32_t>(bits)); }
template <int kCount>
uint32_t shift_left(uint32_t x) {
  return x << kCount;
}
template <int kCount>
uint32_t shift_right(uint32_t x) {
  return x >> kCount;
}

/// The same constant in every lane of type V.
template <class V>
V splat(float x);
template <>
inline float splat<float>(float x) {
  return x;
}
/// The same 32-bit pattern in every lane that goes with type V.
template <class V>
auto splat_bits(uint32_t bits) {
  return to_bits(splat<V>(from_bits(bits)));
}

/// How activations become bf16: nearest even, by integer arithmetic; NaN becomes 0x7fc0, overflow gives infinity,
/// denormals are rounded as bits.
/// denormals are rounded as bits.
inline uint16_t round_to_bf16(float x) {
  const uint32_t bits = to_bits(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// 16 partial sums to one, the order that every sum along lanes ends with: lane i += lane i + 8, then 4, 2, 1.
inline float tree_sum(const float* lanes) {
  float s[8];
  for (int i = 0; i < 8; ++i) s[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; ++i) s[i] = s[i] + s[i + 4];
  for (int i = 0; i < 2; ++i) s[i] = s[i] + s[i + 2];
  return s[0] + s[1];
}

// ---------------------------------------------------------------- 16 lanes, avx512

#if defined(GODWIT_LEVEL_avx512)

struct Vec {
  __m512 v;
};
struct Bits {  // 16 lanes of 32 bits
  __m512i v;
};
struct Mask {
  __mmask16 v;
};

/// The first n lanes, 0 <= n <= 16.
inline __mmask16 first_lanes(int n) { return static_cast<__mmask16>((1u << n) - 1); }

inline Vec set1(float x) { return {_mm512_set1_ps(x)}; }
inline Vec zero() { return {_mm512_setzero_ps()}; }
inline Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
/// n lanes, the others +0; memory past them is not touched.
inline Vec load(const float* p, int n) { return {_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
inline void store(float* p, Vec a, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), a.v); }
inline Bits load_bits(const void* p) { return {_mm512_loadu_si512(p)}; }
inline Vec load_f16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline Vec load_f16(const uint16_t* p, int n) { return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p))}; }
inline Vec widen_bf16(__m256i b) { return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16))}; }
inline Vec load_bf16(const uint16_t* p) { return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline Vec load_bf16(const uint16_t* p, int n) { return widen_bf16(_mm256_maskz_loadu_epi16(first_lanes(n), p)); }

inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec operator-(Vec a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec sqrt(Vec a) { return {_mm512_sqrt_ps(a.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Mask less(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask less_equal(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
inline Vec select(Mask m, Vec a, Vec b) { return {_mm512_mask_blend_ps(m.v, b.v, a.v)}; }

inline Bits to_bits(Vec a) { return {_mm512_castps_si512(a.v)}; }
inline Vec from_bits(Bits a) { return {_mm512_castsi512_ps(a.v)}; }
inline Vec int_to_float(Bits a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline Bits operator+(Bits a, Bits b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline Bits operator-(Bits a, Bits b) { return {_mm512_sub_epi32(a.v, b.v)}; }
inline Bits operator&(Bits a, Bits b) { return {_mm512_and_si512(a.v, b.v)}; }
inline Bits operator|(Bits a, Bits b) { return {_mm512_or_si512(a.v, b.v)}; }
template <int kCount>
Bits shift_left(Bits a) {
  return {_mm512_slli_epi32(a.v, kCount)};
}
template <int kCount>
Bits shift_right(Bits a) {
  return {_mm512_srli_epi32(a.v, kCount)};
}

inline __m256i narrow_to_bf16(Vec a) {
  const Bits bits = to_bits(a);
  const Bits odd = shift_right<16>(bits) & Bits{_mm512_set1_epi32(1)};
  const Bits rounded = shift_right<16>(bits + Bits{_mm512_set1_epi32(0x7fff)} + odd);
  const __m512i magnitude = _mm512_and_si512(bits.v, _mm512_set1_epi32(0x7fffffff));
  const __mmask16 nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
  return _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(nan, rounded.v, _mm512_set1_epi32(0x7fc0)));
}
inline void store_bf16(uint16_t* p, Vec a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow_to_bf16(a)); }
inline void store_bf16(uint16_t* p, Vec a, int n) { _mm256_mask_storeu_epi16(p, first_lanes(n), narrow_to_bf16(a)); }
inline void store_f16(uint16_t* p, Vec a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
inline void store_f16(uint16_t* p, Vec a, int n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}

/// Reads 16 pairs: the first members to a, the second ones to b.
inline void load_pairs(const float* p, Vec& a, Vec& b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512 low = _mm512_loadu_ps(p);
  const __m512 high = _mm512_loadu_ps(p + 16);
  a.v = _mm512_permutex2var_ps(low, even, high);
  b.v = _mm512_permutex2var_ps(low, odd, high);
}
/// Writes 16 pairs, the inverse.
inline void store_pairs(float* p, Vec a, Vec b) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  _mm512_storeu_ps(p, _mm512_permutex2var_ps(a.v, low, b.v));
  _mm512_storeu_ps(p + 16, _mm512_permutex2var_ps(a.v, high, b.v));
}

inline __m256 low_half(Vec a) { return _mm512_castps512_ps256(a.v); }
inline __m256 high_half(Vec a) { return _mm512_extractf32x8_ps(a.v, 1); }

#endif

// ---------------------------------------------------------------- 16 lanes, avx2

#if defined(GODWIT_LEVEL_avx2)

struct Vec {
  __m256 lo, hi;
};
struct Bits {
  __m256i lo, hi;
};
struct Mask {
  __m256 lo, hi;
};

/// A mask of the first n of 8 lanes; any n, clamped.
inline __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline Vec set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
inline Vec load(const float* p, int n) {
  return {_mm256_maskload_ps(p, first_lanes(n)), _mm256_maskload_ps(p + 8, first_lanes(n - 8))};
}
inline void store(float* p, Vec a, int n) {
  _mm256_maskstore_ps(p, first_lanes(n), a.lo);
  _mm256_maskstore_ps(p + 8, first_lanes(n - 8), a.hi);
}
inline Bits load_bits(const void* p) {
  const auto* q = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
inline Vec load_f16(const uint16_t* p) {
  const auto* q = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}
inline Vec load_bf16(const uint16_t* p) {
  const auto* q = reinterpret_cast<const __m128i*>(p);
  const __m256i lo = _mm256_cvtepu16_epi32(_mm_loadu_si128(q));
  const __m256i hi = _mm256_cvtepu16_epi32(_mm_loadu_si128(q + 1));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16))};
}
inline Vec load_f16(const uint16_t* p, int n) {
  uint16_t padded[kLanes] = {};
  std::memcpy(padded, p, sizeof(uint16_t) * static_cast<size_t>(n));
  return load_f16(padded);
}
inline Vec load_bf16(const uint16_t* p, int n) {
  uint16_t padded[kLanes] = {};
  std::memcpy(padded, p, sizeof(uint16_t) * static_cast<size_t>(n));
  return load_bf16(padded);
}

inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
inline Vec operator-(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
}
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
inline Vec sqrt(Vec a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
inline Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
inline Mask less(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
inline Mask less_equal(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LE_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LE_OQ)};
}
inline Vec select(Mask m, Vec a, Vec b) {
  return {_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}

inline Bits to_bits(Vec a) { return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)}; }
inline Vec from_bits(Bits a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
inline Vec int_to_float(Bits a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
inline Bits operator+(Bits a, Bits b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
inline Bits operator-(Bits a, Bits b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
inline Bits operator&(Bits a, Bits b) { return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
inline Bits operator|(Bits a, Bits b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
template <int kCount>
Bits shift_left(Bits a) {
  return {_mm256_slli_epi32(a.lo, kCount), _mm256_slli_epi32(a.hi, kCount)};
}
template <int kCount>
Bits shift_right(Bits a) {
  return {_mm256_srli_epi32(a.lo, kCount), _mm256_srli_epi32(a.hi, kCount)};
}

inline __m256i rounded_to_bf16(__m256i bits) {  // in 32-bit lanes
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i biased = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff));
  const __m256i nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f800000));
  return _mm256_blendv_epi8(_mm256_srli_epi32(biased, 16), _mm256_set1_epi32(0x7fc0), nan);
}
inline void store_bf16(uint16_t* p, Vec a) {
  const Bits bits = to_bits(a);
  const __m256i packed = _mm256_packus_epi32(rounded_to_bf16(bits.lo), rounded_to_bf16(bits.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
inline void store_f16(uint16_t* p, Vec a) {
  auto* q = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(q, _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(q + 1, _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}
inline void store_bf16(uint16_t* p, Vec a, int n) {
  uint16_t all[kLanes];
  store_bf16(all, a);
  std::memcpy(p, all, sizeof(uint16_t) * static_cast<size_t>(n));
}
inline void store_f16(uint16_t* p, Vec a, int n) {
  uint16_t all[kLanes];
  store_f16(all, a);
  std::memcpy(p, all, sizeof(uint16_t) * static_cast<size_t>(n));
}

/// Reads 8 pairs: the first members to a, the second ones to b.
inline void split_pairs(__m256 low, __m256 high, __m256& a, __m256& b) {
  const __m256 x = _mm256_permute2f128_ps(low, high, 0x20);  // pairs 0 1 | 4 5
  const __m256 y = _mm256_permute2f128_ps(low, high, 0x31);  // pairs 2 3 | 6 7
  a = _mm256_shuffle_ps(x, y, 0x88);
  b = _mm256_shuffle_ps(x, y, 0xdd);
}
inline void load_pairs(const float* p, Vec& a, Vec& b) {
  split_pairs(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8), a.lo, b.lo);
  split_pairs(_mm256_loadu_ps(p + 16), _mm256_loadu_ps(p + 24), a.hi, b.hi);
}
inline void join_pairs(float* p, __m256 a, __m256 b) {
  const __m256 x = _mm256_unpacklo_ps(a, b);  // pairs 0 1 | 4 5
  const __m256 y = _mm256_unpackhi_ps(a, b);  // pairs 2 3 | 6 7
  _mm256_storeu_ps(p, _mm256_permute2f128_ps(x, y, 0x20));
  _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(x, y, 0x31));
}
inline void store_pairs(float* p, Vec a, Vec b) {
  join_pairs(p, a.lo, b.lo);
  join_pairs(p + 16, a.hi, b.hi);
}

inline __m256 low_half(Vec a) { return a.lo; }
inline __m256 high_half(Vec a) { return a.hi; }

#endif

// ---------------------------------------------------------------- 16 lanes, both

#if defined(GODWIT_LEVEL_avx512) || defined(GODWIT_LEVEL_avx2)

template <>
inline Vec splat<Vec>(float x) {
  return set1(x);
}

/// Elements of the block of lanes that starts at i, of `end` in all.
inline int lanes_at(int64_t i, int64_t end) { return end - i < kLanes ? static_cast<int>(end - i) : kLanes; }

/// n lanes, 1 <= n <= 16; whole blocks take the plain instruction.
inline Vec load_lanes(const float* p, int n) { return n == kLanes ? load(p) : load(p, n); }
inline void store_lanes(float* p, Vec a, int n) { n == kLanes ? store(p, a) : store(p, a, n); }

/// The tree over the lanes: lane i += lane i + 8, then 4, 2, 1.
inline float tree_sum(Vec a) {
  const __m256 s8 = _mm256_add_ps(low_half(a), high_half(a));
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

/// The largest lane; no lane may be NaN.
inline float max_lane(Vec a) {
  const __m256 s8 = _mm256_max_ps(low_half(a), high_half(a));
  const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}

#endif

}  // namespace godwit::GODWIT_LEVEL
