// The two products of attention, scores = q x K and output = p x V, as one register-tiled kernel: lanes are outputs and
// each output is one ascending chain of fmas. And the decoding of a page's keys or values to f32.
#pragma once

#include <type_traits>

#include "kernels/attention_layout.h"
#include "kernels/simd.h"
#include "tensor/float16.h"

namespace godwit::GODWIT_LEVEL {

inline constexpr int64_t kTileRows = 6;  // rows of the register tile

// What the right-hand side is made of. Scratch is f32 that was just written: nothing is prefetched for it.
struct ScratchElements {
  using Element = float;
  static Vec get(const float* p) { return load(p); }
};
struct F32Elements {
  using Element = float;
  static Vec get(const float* p) { return load(p); }
};
struct F16Elements {
  using Element = uint16_t;
  static Vec get(const uint16_t* p) { return load_f16(p); }
};
struct Bf16Elements {
  using Element = uint16_t;
  static Vec get(const uint16_t* p) { return load_bf16(p); }
};

/// c[r][n] = chain over k ascending of fma(a[r][k], b[k][n], .), from +0, or from c where `add`.
struct TileProduct {
  float* c;  // [rows][c_step]
  int64_t c_step;
  const float* const* a;  // [rows]: k floats each, from a_first on
  int64_t rows;
  const std::byte* b;  // [k][b_step] elements
  int64_t b_step;
  int64_t k;
  int64_t columns;  // a multiple of 16
  bool add;
  const std::byte* ahead;  // what will be read next in the shape of b: prefetched in step with b; or null
  int64_t a_first = 0;
};

template <class B, int kRows, int kVecs>
void product_tile(const TileProduct& p, int64_t row, int64_t column) {
  using Element = typename B::Element;
  constexpr int64_t kLine = 64 / sizeof(Element);
  const float* a[kRows];
  Vec acc[kRows][kVecs];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    a[r] = p.a[row + r] + p.a_first;
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; ++v) {
      acc[r][v] = p.add ? load(p.c + (row + r) * p.c_step + column + v * kLanes) : zero();
    }
  }
  const Element* b = reinterpret_cast<const Element*>(p.b) + column;
  const Element* ahead = p.ahead == nullptr ? b : reinterpret_cast<const Element*>(p.ahead) + column;
  for (int64_t k = 0; k < p.k; ++k, b += p.b_step, ahead += p.b_step) {
    if constexpr (!std::is_same_v<B, ScratchElements>) {
#pragma GCC unroll 8
      for (int64_t i = 0; i < kVecs * kLanes; i += kLine) __builtin_prefetch(ahead + i, 0, 2);
    }
    Vec values[kVecs];
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; ++v) values[v] = B::get(b + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec factor = set1(a[r][k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVecs; ++v) acc[r][v] = fma(factor, values[v], acc[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; ++v) store(p.c + (row + r) * p.c_step + column + v * kLanes, acc[r][v]);
  }
}

/// Vectors side by side that leave room in the registers: 32 of 16 lanes at avx512, 16 of 8 lanes at avx2.
constexpr int widest_tile(int rows) {
#if defined(GODWIT_LEVEL_avx512)
  return rows > 0 ? 4 : 0;
#else
  return rows == 1 ? 4 : rows <= 3 ? 2 : 1;
#endif
}

template <class B, int kRows>
void product_columns(const TileProduct& p, int64_t row, int64_t column, int64_t end) {
  constexpr int kVecs = widest_tile(kRows);
  for (; column + kVecs * kLanes <= end; column += kVecs * kLanes) product_tile<B, kRows, kVecs>(p, row, column);
  if constexpr (kVecs > 2) {
    if (column + 2 * kLanes <= end) {
      product_tile<B, kRows, 2>(p, row, column);
      column += 2 * kLanes;
    }
  }
  if constexpr (kVecs > 1) {
    if (column + kLanes <= end) product_tile<B, kRows, 1>(p, row, column);
  }
}

template <class B>
void product_rows(const TileProduct& p, int64_t row, int64_t count, int64_t column, int64_t end) {
  switch (count) {
    case 1:
      return product_columns<B, 1>(p, row, column, end);
    case 2:
      return product_columns<B, 2>(p, row, column, end);
    case 3:
      return product_columns<B, 3>(p, row, column, end);
    case 4:
      return product_columns<B, 4>(p, row, column, end);
    case 5:
      return product_columns<B, 5>(p, row, column, end);
    default:
      return product_columns<B, 6>(p, row, column, end);
  }
}

/// Columns outside, 64 at a time, so that their part of b stays in L1 while the rows pass.
template <class B>
void product(const TileProduct& p) {
  constexpr int64_t kColumns = 64;
  for (int64_t column = 0; column < p.columns; column += kColumns) {
    const int64_t end = column + kColumns < p.columns ? column + kColumns : p.columns;
    for (int64_t row = 0; row < p.rows;) {
      const int64_t left = p.rows - row;
      const int64_t count = left <= kTileRows ? left : left < 2 * kTileRows ? (left + 1) / 2 : kTileRows;
      product_rows<B>(p, row, count, column, end);
      row += count;
    }
  }
}

/// The product over b as a page holds it in `type` (not Q8_0).
inline void product_of(DType type, const TileProduct& p) {
  switch (type) {
    case DType::kF16:
      return product<F16Elements>(p);
    case DType::kBF16:
      return product<Bf16Elements>(p);
    default:
      return product<F32Elements>(p);
  }
}

// ---------------------------------------------------------------- decoding to f32

inline Vec load_int8(const int8_t* p) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
#if defined(GODWIT_LEVEL_avx512)
  return int_to_float(Bits{_mm512_cvtepi8_epi32(codes)});
#else
  return int_to_float(Bits{_mm256_cvtepi8_epi32(codes), _mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8))});
#endif
}

template <class B>
void decode_run(const typename B::Element* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += kLanes) store(out + i, B::get(x + i));
}

/// All keys of a page's head: [dim][64] in `type` -> f32 [dim][64]. Slots not yet written give garbage.
inline void decode_keys(const std::byte* keys, DType type, int64_t dim, float* out) {
  const auto* half = reinterpret_cast<const uint16_t*>(keys);
  if (type == DType::kF16) return decode_run<F16Elements>(half, dim * kPageTokens, out);
  if (type == DType::kBF16) return decode_run<Bf16Elements>(half, dim * kPageTokens, out);
  if (type == DType::kF32) return decode_run<F32Elements>(reinterpret_cast<const float*>(keys), dim * kPageTokens, out);
  const auto* codes = reinterpret_cast<const int8_t*>(keys);
  const auto* scales = reinterpret_cast<const uint16_t*>(keys + dim * kPageTokens);
  for (int64_t slot = 0; slot < kPageTokens; slot += kLanes) {
    for (int64_t d = 0; d < dim; d += kScaleChannels) {
      const Vec scale = load_f16(scales + d / kScaleChannels * kPageTokens + slot);
      for (int64_t i = d; i < d + kScaleChannels; ++i) {
        store(out + i * kPageTokens + slot, load_int8(codes + i * kPageTokens + slot) * scale);
      }
    }
  }
}

/// The last, partial vector of a row of values, n channels and +0.
inline Vec partial_values(const std::byte* values, DType type, int64_t index, int n) {
  const auto* half = reinterpret_cast<const uint16_t*>(values) + index;
  return type == DType::kF16    ? load_f16(half, n)
         : type == DType::kBF16 ? load_bf16(half, n)
                                : load(reinterpret_cast<const float*>(values) + index, n);
}

inline void decode_value(const std::byte* values, DType type, int64_t dim, int64_t slot, float* out) {
  const int64_t whole = dim / kLanes * kLanes;
  const auto* half = reinterpret_cast<const uint16_t*>(values) + slot * dim;
  if (type == DType::kQ8_0) {
    const auto* codes = reinterpret_cast<const int8_t*>(values) + slot * dim;
    const auto* scales = reinterpret_cast<const uint16_t*>(values + dim * kPageTokens) + slot * (dim / kScaleChannels);
    for (int64_t d = 0; d < dim; d += kLanes) {
      store(out + d, load_int8(codes + d) * set1(f16_to_f32(scales[d / kScaleChannels])));
    }
    return;
  }
  if (type == DType::kF16) {
    decode_run<F16Elements>(half, whole, out);
  } else if (type == DType::kBF16) {
    decode_run<Bf16Elements>(half, whole, out);
  } else {
    decode_run<F32Elements>(reinterpret_cast<const float*>(values) + slot * dim, whole, out);
  }
  if (whole < dim) {
    store(out + whole, partial_values(values, type, slot * dim + whole, static_cast<int>(dim - whole)));
  }
}

/// Values of slots [first, last) of a page's head: [64][dim] in `type` -> f32 [64][step], padded with +0 to whole
/// vectors.
inline void decode_values(const std::byte* values, DType type, int64_t dim, KeyRange slots, float* out, int64_t step) {
  for (int64_t slot = slots.first; slot < slots.last; ++slot) {
    decode_value(values, type, dim, slot, out + slot * step);
  }
}

// ---------------------------------------------------------------- values as keys

inline constexpr int64_t kTurnedChannels = 64;  // turned at once: with 64 slots they stay in L1

/// Stores 8 rows of 8 floats as columns: out[j * kPageTokens + i] = x[i][j].
inline void store_turned(const __m256* x, float* out) {
  __m256 pairs[8], fours[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    _mm256_storeu_ps(out + j * kPageTokens, _mm256_permute2f128_ps(fours[j], fours[j + 4], 0x20));
    _mm256_storeu_ps(out + (j + 4) * kPageTokens, _mm256_permute2f128_ps(fours[j], fours[j + 4], 0x31));
  }
}

/// Turns what lanes(slot, d) gives, channels [d, d + 16) of a slot's value, into out [count][64]; count is rounded up
/// to whole vectors.
template <class Lanes>
void turn(const Lanes& lanes, int64_t count, float* out) {
  for (int64_t slot = 0; slot < kPageTokens; slot += 8) {
    for (int64_t d = 0; d < count; d += kLanes) {
      __m256 low[8], high[8];
#pragma GCC unroll 8
      for (int64_t i = 0; i < 8; ++i) {
        const Vec x = lanes(slot + i, d);
        low[i] = low_half(x);
        high[i] = high_half(x);
      }
      store_turned(low, out + d * kPageTokens + slot);
      store_turned(high, out + (d + 8) * kPageTokens + slot);
    }
  }
}

/// Channels of a page's values, to be turned: [first, first + count) of [64][dim] in `type`.
struct TurnedValues {
  const std::byte* values;
  DType type;
  int64_t dim, first, count;
  const std::byte* ahead;  // the values that will be turned next: prefetched in step; or null
};

template <class B>
void turn_as(const TurnedValues& t, float* out) {
  using Element = typename B::Element;
  const auto* x = reinterpret_cast<const Element*>(t.values) + t.first;
  const auto* ahead = t.ahead == nullptr ? x : reinterpret_cast<const Element*>(t.ahead) + t.first;
  const int64_t whole = t.count / kLanes * kLanes;
  const auto lanes = [&](int64_t slot, int64_t d) {
    const int64_t at = slot * t.dim + d;
    if (d % (64 / static_cast<int64_t>(sizeof(Element))) == 0) __builtin_prefetch(ahead + at, 0, 2);
    return d < whole ? B::get(x + at)
                     : partial_values(t.values, t.type, t.first + at, static_cast<int>(t.count - whole));
  };
  turn(lanes, t.count, out);
}

/// The values as keys: f32 [count][64], with rows up to whole vectors written. Slots not yet written give garbage.
inline void turn_values(const TurnedValues& t, float* out) {
  if (t.type == DType::kF16) return turn_as<F16Elements>(t, out);
  if (t.type == DType::kBF16) return turn_as<Bf16Elements>(t, out);
  if (t.type == DType::kF32) return turn_as<F32Elements>(t, out);
  const auto* codes = reinterpret_cast<const int8_t*>(t.values) + t.first;
  const auto* scales = reinterpret_cast<const uint16_t*>(t.values + t.dim * kPageTokens) + t.first / kScaleChannels;
  const auto* ahead = t.ahead == nullptr ? codes : reinterpret_cast<const int8_t*>(t.ahead) + t.first;
  const auto lanes = [&](int64_t slot, int64_t d) {
    if (d % 64 == 0) __builtin_prefetch(ahead + slot * t.dim + d, 0, 2);
    const float scale = f16_to_f32(scales[slot * (t.dim / kScaleChannels) + d / kScaleChannels]);
    return load_int8(codes + slot * t.dim + d) * set1(scale);
  };
  turn(lanes, t.count, out);
}

}  // namespace godwit::GODWIT_LEVEL
