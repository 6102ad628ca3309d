// Products with F32, F16 and BF16 weights in register tiles: several rows times four outputs, one accumulator of 16
// lanes each, over the whole of k; so a tile's shape never shows in the bits. Equal to float_product.scalar.cpp.
#include "kernels/chunks.h"
#include "kernels/levels.h"
#include "kernels/simd.h"

namespace godwit::GODWIT_LEVEL {

namespace {

// Rows and outputs of a tile: as many accumulators as leave registers for the operands. Pairs need a mask besides.
#if defined(GODWIT_LEVEL_avx512)
constexpr int kLanesRows = 6;
constexpr int kPairsRows = 6;
constexpr int kTileOutputs = 4;
#else
constexpr int kLanesRows = 3;
constexpr int kPairsRows = 2;
constexpr int kTileOutputs = 2;
#endif
constexpr int64_t kRowBytes = 512 * 1024;  // of activations that are kept in L2 while all outputs pass

constexpr int64_t kAheadBytes = 16 * 1024;  // weights are asked into L2 at least so long before their use

/// Both factors at the same place of k, in 16 lanes of f32; `n` lanes where fewer are left.
struct F32 {
  using W = float;
  static Vec at(const float* p) { return load(p); }
  static Vec at(const float* p, int n) { return load(p, n); }
};
struct F16 {
  using W = uint16_t;
  static Vec at(const uint16_t* p) { return load_f16(p); }
  static Vec at(const uint16_t* p, int n) { return load_f16(p, n); }
};
struct WideBF16 {
  using W = uint16_t;
  static Vec at(const uint16_t* p) { return load_bf16(p); }
  static Vec at(const uint16_t* p, int n) { return load_bf16(p, n); }
};

/// A step of 16 elements of k: weights of one type against f32.
template <class Type>
struct Lanes {
  using W = typename Type::W;
  using X = float;
  static constexpr int kStep = kLanes;
  static constexpr int kTileRows = kLanesRows;
  static const X* rows(const Activations& x) { return x.f32; }

  template <int kRows, int kOutputs>
  static void step(const W* w, const X* x, int64_t k, Vec (&sum)[kRows][kOutputs]) {
    Vec weight[kOutputs];
    for (int o = 0; o < kOutputs; ++o) weight[o] = Type::at(w + o * k);
    for (int r = 0; r < kRows; ++r) {
      const Vec factor = load(x + r * k);
      for (int o = 0; o < kOutputs; ++o) sum[r][o] = fma(weight[o], factor, sum[r][o]);
    }
  }
  template <int kRows, int kOutputs>
  static void last_step(const W* w, const X* x, int64_t k, int n, Vec (&sum)[kRows][kOutputs]) {
    for (int o = 0; o < kOutputs; ++o) {
      const Vec weight = Type::at(w + o * k, n);
      for (int r = 0; r < kRows; ++r) sum[r][o] = fma(weight, load(x + r * k, n), sum[r][o]);
    }
  }
};

/// A step of 32 elements of k: 16 dwords of pairs, the odd elements' fma before the even ones'.
struct Pairs {
  using W = uint16_t;
  using X = uint16_t;
  static constexpr int kStep = 2 * kLanes;
  static constexpr int kTileRows = kPairsRows;
  static const X* rows(const Activations& x) { return x.bf16; }

  static Vec odd(Bits pairs) { return from_bits(pairs & splat_bits<Vec>(0xffff0000)); }
  static Vec even(Bits pairs) { return from_bits(shift_left<16>(pairs)); }

  template <int kRows, int kOutputs>
  static void step(const W* w, const X* x, int64_t k, Vec (&sum)[kRows][kOutputs]) {
    Vec weight[kOutputs];
    for (int o = 0; o < kOutputs; ++o) weight[o] = odd(load_bits(w + o * k));
    for (int r = 0; r < kRows; ++r) {
      const Vec factor = odd(load_bits(x + r * k));
      for (int o = 0; o < kOutputs; ++o) sum[r][o] = fma(weight[o], factor, sum[r][o]);
    }
    for (int o = 0; o < kOutputs; ++o) weight[o] = even(load_bits(w + o * k));
    for (int r = 0; r < kRows; ++r) {
      const Vec factor = even(load_bits(x + r * k));
      for (int o = 0; o < kOutputs; ++o) sum[r][o] = fma(weight[o], factor, sum[r][o]);
    }
  }
  template <int kRows, int kOutputs>
  static void last_step(const W* w, const X* x, int64_t k, int n, Vec (&sum)[kRows][kOutputs]) {
    W padded_w[kOutputs * kStep] = {};
    X padded_x[kRows * kStep] = {};
    const size_t bytes = sizeof(W) * static_cast<size_t>(n);
    for (int o = 0; o < kOutputs; ++o) std::memcpy(padded_w + o * kStep, w + o * k, bytes);
    for (int r = 0; r < kRows; ++r) std::memcpy(padded_x + r * kStep, x + r * k, bytes);
    step(padded_w, padded_x, kStep, sum);
  }
};

/// y[r][o] for kRows rows and kOutputs outputs.
template <class Step, int kRows, int kOutputs>
void tile(const ProductMatrix& m, const typename Step::X* x, int64_t k, int64_t row, int64_t output) {
  const auto* w = reinterpret_cast<const typename Step::W*>(m.w) + output * k;
  x += row * k;
  Vec sum[kRows][kOutputs];
  for (int r = 0; r < kRows; ++r) {
    for (int o = 0; o < kOutputs; ++o) sum[r][o] = zero();
  }
  // The next outputs follow these in memory, so a fixed distance of whole groups reaches each of their lines once. Only
  // the first rows ask for them; for the others the lines named are those in use.
  const int64_t group = kOutputs * k;
  const int64_t enough = kAheadBytes / static_cast<int64_t>(sizeof(*w));
  const auto* ahead = row > 0 ? w : w + (group < enough ? (enough + group - 1) / group * group : group);
  int64_t i = 0;
  for (; i + Step::kStep <= k; i += Step::kStep) {
    for (int o = 0; o < kOutputs; ++o) __builtin_prefetch(ahead + o * k + i, 0, 2);
    Step::step(w + i, x + i, k, sum);
  }
  if (i < k) Step::last_step(w + i, x + i, k, static_cast<int>(k - i), sum);
  for (int r = 0; r < kRows; ++r) {
    float* y = m.y + (row + r) * m.n + output;
    for (int o = 0; o < kOutputs; ++o) {
      const float total = tree_sum(sum[r][o]);
      y[o] = m.bias != nullptr ? total + m.bias[output + o] : total;
    }
  }
}

/// The same for a number of rows that is not known at compile time, 1 to kRows.
template <class Step, int kOutputs, int kRows = Step::kTileRows>
void tile_of(int64_t rows, const ProductMatrix& m, const typename Step::X* x, int64_t k, int64_t row, int64_t output) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_of<Step, kOutputs, kRows - 1>(rows, m, x, k, row, output);
  }
  tile<Step, kRows, kOutputs>(m, x, k, row, output);
}

/// Rows [first_row, end_row) of some outputs, cut into tiles of nearly equal height.
template <class Step, int kOutputs>
void column(const ProductMatrix& m, const typename Step::X* x, int64_t k, int64_t first_row, int64_t end_row,
            int64_t output) {
  int64_t tiles = (end_row - first_row + Step::kTileRows - 1) / Step::kTileRows;
  for (int64_t row = first_row; row < end_row; --tiles) {
    const int64_t rows = (end_row - row + tiles - 1) / tiles;
    tile_of<Step, kOutputs>(rows, m, x, k, row, output);
    row += rows;
  }
}

template <class Step>
void product_tile(const ProductMatrix& m, const Activations& a, int64_t first, int64_t count) {
  const typename Step::X* x = Step::rows(a);
  const int64_t row_bytes = a.k * static_cast<int64_t>(sizeof(*x));
  const int64_t fitting = row_bytes > 0 ? kRowBytes / row_bytes : a.rows;
  const int64_t block = fitting < Step::kTileRows ? Step::kTileRows : fitting;
  for (int64_t row = 0; row < a.rows; row += block) {
    const int64_t end_row = a.rows - row < block ? a.rows : row + block;
    int64_t o = first;
    for (; o + kTileOutputs <= first + count; o += kTileOutputs) {
      column<Step, kTileOutputs>(m, x, a.k, row, end_row, o);
    }
    for (; o < first + count; ++o) column<Step, 1>(m, x, a.k, row, end_row, o);
  }
}

void round_bf16(const RoundBf16Args& a, Launch& launch) {
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    int64_t i = first;
    for (; i + kLanes <= end; i += kLanes) store_bf16(a.y + i, load(a.x + i));
    if (i < end) store_bf16(a.y + i, load(a.x + i, static_cast<int>(end - i)), static_cast<int>(end - i));
  });
}

}  // namespace

void add_float_products(Kernels& kernels) {
  const auto set = [](ProductTile* table, DType type, ProductTile tile) { table[static_cast<int>(type)] = tile; };
  set(kernels.product_tile, DType::kF32, product_tile<Lanes<F32>>);
  set(kernels.product_tile, DType::kF16, product_tile<Lanes<F16>>);
  set(kernels.product_tile, DType::kBF16, product_tile<Pairs>);
  set(kernels.exact_product_tile, DType::kF32, product_tile<Lanes<F32>>);
  set(kernels.exact_product_tile, DType::kF16, product_tile<Lanes<F16>>);
  set(kernels.exact_product_tile, DType::kBF16, product_tile<Lanes<WideBF16>>);
  kernels.round_bf16 = round_bf16;
}

}  // namespace godwit::GODWIT_LEVEL
