// Products of a few rows, decoding above all: every weight is read once, in one linear stream, and unpacked in
// registers.
#include "kernels/panels.h"

namespace godwit::GODWIT_LEVEL {

namespace {

// Bytes ahead that are fetched into L1 and L2. Formats with blocks of 256 spend more on unpacking than a second
// prefetch of every line gives back: they have one.
template <class F>
constexpr int64_t kNear = F::kBlock == 32 ? 2048 : 4096;
constexpr int64_t kFar = 12288;

// kRows rows of activations, interleaved, so that one pointer and constant offsets reach them all.
template <int kRows>
struct FewRows {
  alignas(64) int32_t codes[kMaxFewCodes / 4];  // [k / 4][kRows] dwords of four codes
  float scales[kMaxFewCodes / kGroup];          // [k / 32][kRows]
  float scaled_sums[kMaxFewCodes / kGroup];     // [k / 32][kRows]: scale times the sum of 32 codes
  int32_t offsets[kMaxFewCodes / 16];           // [k / sub-group][kRows]: minus the code offset times the sum of codes
};

template <class F, int kRows>
void fill(FewRows<kRows>& out, const Activations& x, int64_t row) {
  for (int64_t r = 0; r < kRows; ++r) {
    const int8_t* codes = x.codes + (row + r) * x.k;
    for (int64_t i = 0; i < x.k / 4; ++i) out.codes[i * kRows + r] = load_int(codes + 4 * i);
    const float* scales = x.scales + (row + r) * (x.k / kGroup);
    const int16_t* sums = x.sums + (row + r) * (x.k / 16);
    for (int64_t g = 0; g < x.k / kGroup; ++g) {
      const int32_t sum = sums[2 * g] + sums[2 * g + 1];
      out.scales[g * kRows + r] = scales[g];
      out.scaled_sums[g * kRows + r] = scales[g] * static_cast<float>(sum);
      if constexpr (F::kSub == kGroup) out.offsets[g * kRows + r] = -kDotOffset<F> * sum;
    }
    if constexpr (F::kSub == 16) {
      for (int64_t g = 0; g < x.k / 16; ++g) out.offsets[g * kRows + r] = -kDotOffset<F> * sums[g];
    }
  }
}

template <class F, int64_t kBytes>
[[gnu::always_inline]] inline void prefetch(const uint8_t* p) {
#pragma GCC unroll 64
  for (int64_t i = 0; i < kBytes; i += 64) {
    __builtin_prefetch(p + kNear<F> + i, 0, 3);
    if (F::kBlock == 32) __builtin_prefetch(p + kFar + i, 0, 2);
  }
}

// One stretch of a block (panels.h): kGroups groups of 32, whose first is group g of the row.
template <class F, int kRows>
[[gnu::always_inline]] inline void add_stretch(const uint8_t* codes, const Vec* scale, const Vec* minimum,
                                               const FewRows<kRows>& x, int64_t g, Vec* sum, Vec* minimum_sum) {
  constexpr int kParts = kGroup / F::kSub, kDots = F::kGroups * kParts;
  Dots dots[kRows][kDots];
#pragma GCC unroll 8
  for (int d = 0; d < kDots; ++d) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      dots[r][d].sum = kDotOffset<F> == 0 ? splat_int(0) : splat_int(x.offsets[(g * kParts + d) * kRows + r]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < F::kIterations; ++i) {
    Bits unpacked[F::kOut];
    F::codes(codes, i, unpacked);
#pragma GCC unroll 4
    for (int v = 0; v < F::kOut; ++v) {
      const int step = F::step(i, v), d = F::group(v) * kParts + step * kParts / 8;
      const int n = F::kGroups == 1 ? i * F::kOut + v : i % (8 / kParts);  // steps that this dot has already
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Bits activations = splat_int(x.codes[((g + F::group(v)) * 8 + step) * kRows + r]);
        add_step<F::kBits>(dots[r][d], n, unpacked[v], activations);
      }
    }
  }
#pragma GCC unroll 8
  for (int d = 0; d < kDots; ++d) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const int64_t at = (g + d / kParts) * kRows + r;
      sum[r] = fma(scale[d] * set1(x.scales[at]), int_to_float(dots[r][d].sum), sum[r]);
      if constexpr (F::kMinimum) minimum_sum[r] = fma(minimum[d], set1(x.scaled_sums[at]), minimum_sum[r]);
    }
  }
}

template <class F, int kRows>
void few_rows(const ProductMatrix& matrix, const Activations& x, int64_t row, int64_t first, int64_t count) {
  constexpr int64_t kScales = F::kBlock / F::kSub, kStretches = F::kBlock / kGroup / F::kGroups;
  FewRows<kRows> rows;
  fill<F>(rows, x, row);
  const int64_t n_blocks = x.k / F::kBlock;
  for (int64_t o = first; o < first + count; o += kPanel) {
    const std::byte* panel = matrix.w + o / kPanel * panel_bytes<F>(n_blocks);
    Vec sum[kRows], minimum_sum[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r] = minimum_sum[r] = zero();
    for (int64_t b = 0; b < n_blocks; ++b) {
      const BlockPlace place = block_place<F>(panel, b, n_blocks);
      Vec scale[kScales], minimum[kScales];
      F::scales(place, scale, minimum);
      for (int64_t s = 0; s < kStretches; ++s) {
        const uint8_t* codes = place.codes + s * F::kStretchBytes;
        prefetch<F, (F::kBytes + F::kTail) / kStretches>(codes);
        add_stretch<F, kRows>(codes, scale + s * (kScales / kStretches), minimum + s * (kScales / kStretches), rows,
                              (b * kStretches + s) * F::kGroups, sum, minimum_sum);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) finish_row<F::kMinimum>(matrix, row + r, o, sum[r], minimum_sum[r]);
  }
}

}  // namespace

template <class F>
void few_rows_tile(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count) {
  int64_t row = 0;
  if constexpr (F::kSub == kGroup) {
    for (; x.rows - row >= 4 && 4 * x.k <= kMaxFewCodes; row += 4) few_rows<F, 4>(matrix, x, row, first, count);
  }
  for (; x.rows - row >= 2 && 2 * x.k <= kMaxFewCodes; row += 2) few_rows<F, 2>(matrix, x, row, first, count);
  for (; row < x.rows; ++row) few_rows<F, 1>(matrix, x, row, first, count);
}

template void few_rows_tile<PanelsQ4_0>(const ProductMatrix&, const Activations&, int64_t, int64_t);
template void few_rows_tile<PanelsQ4_1>(const ProductMatrix&, const Activations&, int64_t, int64_t);
template void few_rows_tile<PanelsQ5_0>(const ProductMatrix&, const Activations&, int64_t, int64_t);
template void few_rows_tile<PanelsQ8_0>(const ProductMatrix&, const Activations&, int64_t, int64_t);
template void few_rows_tile<PanelsQ4_K>(const ProductMatrix&, const Activations&, int64_t, int64_t);
template void few_rows_tile<PanelsQ6_K>(const ProductMatrix&, const Activations&, int64_t, int64_t);
template void few_rows_tile<PanelsMXFP4>(const ProductMatrix&, const Activations&, int64_t, int64_t);

}  // namespace godwit::GODWIT_LEVEL
