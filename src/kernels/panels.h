// How the SIMD levels read panels of 16 outputs (tensor/repack.h has the layouts): codes as unsigned bytes, 16 outputs
// x 4 elements of k a vector, and scales and minimums as 16 floats. Everything lives in the level's namespace.
#pragma once

#include <utility>

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace godwit::GODWIT_LEVEL {

inline constexpr int64_t kPanel = 16;
inline constexpr int64_t kGroup = 32;      // activations that share a scale
inline constexpr int64_t kStepBytes = 64;  // 16 outputs x 4 elements

// ---------------------------------------------------------------- integers

/// Four activation codes, in every lane.
[[gnu::always_inline]] inline int32_t load_int(const int8_t* p) {
  int32_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

#if defined(GODWIT_LEVEL_avx512)
[[gnu::always_inline]] inline Bits splat_int(int32_t x) { return {_mm512_set1_epi32(x)}; }
[[gnu::always_inline]] inline void store_bits(void* p, Bits a) { _mm512_storeu_si512(p, a.v); }
[[gnu::always_inline]] inline Vec load_int8(const void* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))))};
}
[[gnu::always_inline]] inline Bits load_uint8(const void* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)))};
}
[[gnu::always_inline]] inline Bits max_int(Bits a, Bits b) { return {_mm512_max_epi32(a.v, b.v)}; }
/// table[i] for every byte i < 16.
[[gnu::always_inline]] inline Bits look_up(const uint8_t (&table)[16], Bits i) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), i.v)};
}
/// The dots of 16 outputs with one row.
struct Dots {
  Bits sum;
};
/// Adds step `n` of a dot, the four products of each lane: codes of kBits unsigned bits, x signed; exact.
template <int kBits>
[[gnu::always_inline]] inline void add_step(Dots& dots, int, Bits codes, Bits x) {
  dots.sum.v = _mm512_dpbusd_epi32(dots.sum.v, codes.v, x.v);
}
inline constexpr bool kSignedBytes = false;
inline constexpr int64_t kMaxFewRowsOf16 = 8, kMaxFewRowsOf32 = 16;  // see kMaxFewRows
#else
[[gnu::always_inline]] inline Bits splat_int(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
[[gnu::always_inline]] inline void store_bits(void* p, Bits a) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), a.lo);
  _mm256_storeu_si256(static_cast<__m256i*>(p) + 1, a.hi);
}
[[gnu::always_inline]] inline Vec load_int8(const void* p) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}
[[gnu::always_inline]] inline Bits load_uint8(const void* p) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
[[gnu::always_inline]] inline Bits max_int(Bits a, Bits b) {
  return {_mm256_max_epi32(a.lo, b.lo), _mm256_max_epi32(a.hi, b.hi)};
}
/// table[i] for every byte i < 16.
[[gnu::always_inline]] inline Bits look_up(const uint8_t (&table)[16], Bits i) {
  const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(entries, i.lo), _mm256_shuffle_epi8(entries, i.hi)};
}
/// The dots of 16 outputs with one row: `pairs` are 16-bit sums of the steps that `sum` does not have yet.
struct Dots {
  Bits sum, pairs;
};
/// Codes of 8 bits meet their activations as signed ones: the products need no offset.
inline constexpr bool kSignedBytes = true;
inline constexpr int64_t kMaxFewRowsOf16 = 2, kMaxFewRowsOf32 = 8;  // see kMaxFewRows
/// Steps whose products fit in 16 bits together: 2 x 15 x 127 fits eight times.
template <int kBits>
inline constexpr int kStepsInPairs = kBits == 8 ? 1 : 32767 / (2 * 127 * ((1 << kBits) - 1));

template <int kBits>
[[gnu::always_inline]] inline void add_step(__m256i& sum, __m256i& pairs, int n, __m256i codes, __m256i x) {
  if constexpr (kBits == 8) {  // |code| <= 128, as 2 x 255 x 127 would not fit
    const __m256i code = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
    x = _mm256_sign_epi8(x, code);
    codes = _mm256_abs_epi8(code);
  }
  const __m256i products = _mm256_maddubs_epi16(codes, x);
  pairs = n % kStepsInPairs<kBits> == 0 ? products : _mm256_add_epi16(pairs, products);
  asm volatile("" : "+x"(pairs));  // else the compiler keeps all products until the end, in memory
  if (n % kStepsInPairs<kBits> == kStepsInPairs<kBits> - 1) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    asm volatile("" : "+x"(sum));
  }
}
template <int kBits>
[[gnu::always_inline]] inline void add_step(Dots& dots, int n, Bits codes, Bits x) {
  add_step<kBits>(dots.sum.lo, dots.pairs.lo, n, codes.lo, x.lo);
  add_step<kBits>(dots.sum.hi, dots.pairs.hi, n, codes.hi, x.hi);
}
#endif

// ---------------------------------------------------------------- formats
//
// A block's codes are read in stretches of kGroups groups of 32. Iteration i < kIterations of a stretch gives kOut
// vectors; vector v is step step(i, v) (four elements of k) of group group(v) of the stretch. A block has kBytes, and
// kTail bytes behind the codes of kTogether blocks.

/// Where a block's parts lie.
struct BlockPlace {
  const uint8_t* codes;
  const uint8_t* tail;  // the block's scales, where they stand behind the codes of a few blocks
};

template <class Format>
[[gnu::always_inline]] inline BlockPlace block_place(const std::byte* panel, int64_t b, int64_t n_blocks) {
  const auto* p = reinterpret_cast<const uint8_t*>(panel);
  if constexpr (Format::kTail == 0) {
    return {p + b * Format::kBytes, nullptr};
  } else {
    const int64_t at = b & (Format::kTogether - 1), first = b - at;
    const uint8_t* start = p + first * (Format::kBytes + Format::kTail);
    const int64_t together = n_blocks - first < Format::kTogether ? n_blocks - first : Format::kTogether;
    return {start + at * Format::kBytes, start + together * Format::kBytes + at * Format::kTail};
  }
}

/// Bytes of a panel with rows of n_blocks blocks.
template <class Format>
[[gnu::always_inline]] inline int64_t panel_bytes(int64_t n_blocks) {
  return n_blocks * (Format::kBytes + Format::kTail);
}

[[gnu::always_inline]] inline Vec half_floats(const uint8_t* p) {
  return load_f16(reinterpret_cast<const uint16_t*>(p));
}

[[gnu::always_inline]] inline Bits low_nibbles(Bits a) { return a & splat_int(0x0f0f0f0f); }
[[gnu::always_inline]] inline Bits high_nibbles(Bits a) { return shift_right<4>(a) & splat_int(0x0f0f0f0f); }

struct PanelsQ4_0 {
  static constexpr DType kType = DType::kQ4_0x16;
  static constexpr int64_t kBlock = 32, kBytes = 256, kSub = 32;
  static constexpr int64_t kTail = 32, kTogether = 2;
  static constexpr bool kMinimum = false;
  static constexpr int32_t kOffset = 8;
  static constexpr int kBits = 4, kGroups = 1, kIterations = 4, kOut = 2, kStretchBytes = 256;
  static constexpr int group(int) { return 0; }
  static constexpr int step(int i, int v) { return i + 4 * v; }
  [[gnu::always_inline]] static void codes(const uint8_t* p, int i, Bits* out) {
    const Bits both = load_bits(p + kStepBytes * i);
    out[0] = low_nibbles(both);
    out[1] = high_nibbles(both);
  }
  [[gnu::always_inline]] static void scales(const BlockPlace& p, Vec* scale, Vec*) { scale[0] = half_floats(p.tail); }
};

struct PanelsQ4_1 {
  static constexpr DType kType = DType::kQ4_1x16;
  static constexpr int64_t kBlock = 32, kBytes = 320, kSub = 32;
  static constexpr int64_t kTail = 0, kTogether = 1;
  static constexpr bool kMinimum = true;
  static constexpr int32_t kOffset = 0;
  static constexpr int kBits = 4, kGroups = 1, kIterations = 4, kOut = 2, kStretchBytes = 256;
  static constexpr int group(int) { return 0; }
  static constexpr int step(int i, int v) { return i + 4 * v; }
  [[gnu::always_inline]] static void codes(const uint8_t* p, int i, Bits* out) {
    const Bits both = load_bits(p + kStepBytes * i);
    out[0] = low_nibbles(both);
    out[1] = high_nibbles(both);
  }
  [[gnu::always_inline]] static void scales(const BlockPlace& p, Vec* scale, Vec* minimum) {
    scale[0] = half_floats(p.codes + 256);
    minimum[0] = -half_floats(p.codes + 288);
  }
};

struct PanelsQ5_0 {
  static constexpr DType kType = DType::kQ5_0x16;
  static constexpr int64_t kBlock = 32, kBytes = 320, kSub = 32;
  static constexpr int64_t kTail = 32, kTogether = 2;
  static constexpr bool kMinimum = false;
  static constexpr int32_t kOffset = 16;
  static constexpr int kBits = 5, kGroups = 1, kIterations = 4, kOut = 2, kStretchBytes = 256;
  static constexpr int group(int) { return 0; }
  static constexpr int step(int i, int v) { return i + 4 * v; }
  [[gnu::always_inline]] static void codes(const uint8_t* p, int i, Bits* out) {
    const Bits both = load_bits(p + kStepBytes * i), fifth = load_bits(p + 256);
    const Bits low = i == 0   ? shift_left<4>(fifth)
                     : i == 1 ? shift_left<3>(fifth)
                     : i == 2 ? shift_left<2>(fifth)
                              : shift_left<1>(fifth);
    const Bits high = i == 0   ? fifth
                      : i == 1 ? shift_right<1>(fifth)
                      : i == 2 ? shift_right<2>(fifth)
                               : shift_right<3>(fifth);
    out[0] = low_nibbles(both) | (low & splat_int(0x10101010));
    out[1] = high_nibbles(both) | (high & splat_int(0x10101010));
  }
  [[gnu::always_inline]] static void scales(const BlockPlace& p, Vec* scale, Vec*) { scale[0] = half_floats(p.tail); }
};

struct PanelsQ8_0 {
  static constexpr DType kType = DType::kQ8_0x16;
  static constexpr int64_t kBlock = 32, kBytes = 512, kSub = 32;
  static constexpr int64_t kTail = 32, kTogether = 2;
  static constexpr bool kMinimum = false;
  static constexpr int32_t kOffset = 128;
  static constexpr int kBits = 8, kGroups = 1, kIterations = 8, kOut = 1, kStretchBytes = 512;
  static constexpr int group(int) { return 0; }
  static constexpr int step(int i, int) { return i; }
  [[gnu::always_inline]] static void codes(const uint8_t* p, int i, Bits* out) {
    out[0] = load_bits(p + kStepBytes * i);
  }
  [[gnu::always_inline]] static void scales(const BlockPlace& p, Vec* scale, Vec*) { scale[0] = half_floats(p.tail); }
};

struct PanelsQ4_K {
  static constexpr DType kType = DType::kQ4_Kx16;
  static constexpr int64_t kBlock = 256, kBytes = 2304, kSub = 32;
  static constexpr int64_t kTail = 0, kTogether = 1;
  static constexpr bool kMinimum = true;
  static constexpr int32_t kOffset = 0;
  static constexpr int kBits = 4, kGroups = 2, kIterations = 8, kOut = 2, kStretchBytes = 512;
  static constexpr int group(int v) { return v; }
  static constexpr int step(int i, int) { return i; }
  [[gnu::always_inline]] static void codes(const uint8_t* p, int i, Bits* out) {
    const Bits both = load_bits(p + kStepBytes * i);
    out[0] = low_nibbles(both);
    out[1] = high_nibbles(both);
  }
  // Field kIndex of the three dwords: five of six bits in each.
  template <int kIndex>
  [[gnu::always_inline]] static Vec field(const Bits* words) {
    return int_to_float(shift_right<6 * (kIndex % 5)>(words[kIndex / 5]) & splat_int(63));
  }
  template <int... kIndex>
  [[gnu::always_inline]] static void scales(const BlockPlace& p, Vec* scale, Vec* minimum,
                                            std::integer_sequence<int, kIndex...>) {
    const Bits words[3] = {load_bits(p.codes + 2048), load_bits(p.codes + 2112), load_bits(p.codes + 2176)};
    const Vec d = half_floats(p.codes + 2240), dmin = half_floats(p.codes + 2272);
    ((kIndex < 8 ? scale[kIndex] = d * field<kIndex>(words) : minimum[kIndex - 8] = dmin * field<kIndex>(words)), ...);
    const Bits last = shift_right<30>(words[0]) | (shift_right<28>(words[1]) & splat_int(12)) |
                      (shift_right<26>(words[2]) & splat_int(48));
    minimum[7] = dmin * int_to_float(last);
  }
  [[gnu::always_inline]] static void scales(const BlockPlace& p, Vec* scale, Vec* minimum) {
    scales(p, scale, minimum, std::make_integer_sequence<int, 15>());
  }
};

struct PanelsQ6_K {
  static constexpr DType kType = DType::kQ6_Kx16;
  static constexpr int64_t kBlock = 256, kBytes = 3328, kSub = 16;
  static constexpr int64_t kTail = 32, kTogether = 2;
  static constexpr bool kMinimum = false;
  static constexpr int32_t kOffset = 32;
  static constexpr int kBits = 6, kGroups = 4, kIterations = 8, kOut = 4, kStretchBytes = 1536;
  static constexpr int group(int v) { return v; }
  static constexpr int step(int i, int) { return i; }
  [[gnu::always_inline]] static void codes(const uint8_t* p, int i, Bits* out) {
    const Bits a = load_bits(p + 192 * i), b = load_bits(p + 192 * i + 64), high = load_bits(p + 192 * i + 128);
    const Bits two = splat_int(0x30303030);
    out[0] = low_nibbles(a) | (shift_left<4>(high) & two);
    out[1] = low_nibbles(b) | (shift_left<2>(high) & two);
    out[2] = high_nibbles(a) | (high & two);
    out[3] = high_nibbles(b) | (shift_right<2>(high) & two);
  }
  [[gnu::always_inline]] static void scales(const BlockPlace& p, Vec* scale, Vec*) {
    const Vec d = half_floats(p.tail);
    for (int g = 0; g < 16; ++g) scale[g] = d * load_int8(p.codes + 3072 + 16 * g);
  }
};

struct PanelsMXFP4 {
  static constexpr DType kType = DType::kMXFP4x16;
  static constexpr int64_t kBlock = 32, kBytes = 256, kSub = 32;
  static constexpr int64_t kTail = 16, kTogether = 4;
  static constexpr bool kMinimum = false;
  static constexpr int32_t kOffset = 12;
  static constexpr int kBits = 5, kGroups = 1, kIterations = 4, kOut = 2, kStretchBytes = 256;
  static constexpr int group(int) { return 0; }
  static constexpr int step(int i, int v) { return i + 4 * v; }
  // Twice the values of E2M1 by nibble, plus the offset.
  static constexpr uint8_t kCodes[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
  [[gnu::always_inline]] static void codes(const uint8_t* p, int i, Bits* out) {
    const Bits both = load_bits(p + kStepBytes * i);
    out[0] = look_up(kCodes, low_nibbles(both));
    out[1] = look_up(kCodes, high_nibbles(both));
  }
  // 2^(e - 128): (e - 1) << 23 as a float's bits, but subnormal for e of 0 and 1, where the other terms are larger.
  [[gnu::always_inline]] static void scales(const BlockPlace& p, Vec* scale, Vec*) {
    const Bits e = load_uint8(p.tail);
    const Bits normal = shift_left<23>(e - splat_int(1));
    scale[0] = from_bits(max_int(normal, max_int(shift_left<22>(e), splat_int(0x00200000))));
  }
};

/// What dots are above those of the codes' values, times the sum of the activations' codes.
template <class Format>
inline constexpr int32_t kDotOffset = (kSignedBytes && Format::kBits == 8) ? 0 : Format::kOffset;

// ---------------------------------------------------------------- the ways to multiply

/// A few rows, straight from packed codes: unpacked groups stay in registers. k at most kMaxFewCodes.
template <class Format>
void few_rows_tile(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count);
/// Up to here it is the faster way. Groups of 16 leave registers for two rows at once only.
template <class Format>
inline constexpr int64_t kMaxFewRows = Format::kSub == kGroup ? kMaxFewRowsOf32 : kMaxFewRowsOf16;
inline constexpr int64_t kMaxFewCodes = 65536;  // activation codes that meet one unpacked group: k times rows at once

/// Any rows and k, any quantized type: blocks of k of some panels are unpacked into L1 and meet all rows.
void many_rows_tile(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count);
/// The same with decoded weights and f32 activations.
void exact_rows_tile(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count);

/// Outputs [o, o + 16) of one row, as far as they exist: the chain, less the minimums' chain, plus the bias.
template <bool kMinimum>
[[gnu::always_inline]] inline void finish_row(const ProductMatrix& matrix, int64_t row, int64_t o, Vec sum,
                                              Vec minimum) {
  if constexpr (kMinimum) sum = sum - minimum;
  float* y = matrix.y + row * matrix.n + o;
  if (matrix.n - o >= kPanel) {
    if (matrix.bias != nullptr) sum = sum + load(matrix.bias + o);
    store(y, sum);
  } else {
    const auto rest = static_cast<int>(matrix.n - o);
    if (matrix.bias != nullptr) sum = sum + load(matrix.bias + o, rest);
    store(y, sum, rest);
  }
}

}  // namespace godwit::GODWIT_LEVEL
