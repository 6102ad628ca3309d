// Products with F32, F16 and BF16 weights, one output at a time: the definition that every other level equals. Order of
// sums: docs/numerics.md, Products with weights.
#include "kernels/chunks.h"
#include "kernels/levels.h"
#include "kernels/simd.h"

namespace godwit::scalar {

namespace {

float weight(const float* w, int64_t i) { return w[i]; }

struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};
float weight(const F16* w, int64_t i) { return f16_to_f32(w[i].bits); }
float weight(const BF16* w, int64_t i) { return bf16_to_f32(w[i].bits); }

/// 16 lanes over k and the tree.
template <class W>
float dot(const W* w, const float* x, int64_t k) {
  float lanes[kLanes] = {};
  const int64_t padded = (k + kLanes - 1) / kLanes * kLanes;
  for (int64_t i = 0; i < padded; ++i) {
    lanes[i % kLanes] = fma(i < k ? weight(w, i) : 0.0f, i < k ? x[i] : 0.0f, lanes[i % kLanes]);
  }
  return tree_sum(lanes);
}

/// Pairs (k even, k odd), lane = pair mod 16; per pair the odd element's fma comes first.
float dot(const BF16* w, const uint16_t* x, int64_t k) {
  const auto at = [k](const uint16_t* p, int64_t i) { return i < k ? bf16_to_f32(p[i]) : 0.0f; };
  const auto* bits = reinterpret_cast<const uint16_t*>(w);
  float lanes[kLanes] = {};
  const int64_t padded = (k + 2 * kLanes - 1) / (2 * kLanes) * (2 * kLanes);
  for (int64_t i = 0; i < padded; i += 2) {
    float& lane = lanes[i / 2 % kLanes];
    lane = fma(at(bits, i + 1), at(x, i + 1), lane);
    lane = fma(at(bits, i), at(x, i), lane);
  }
  return tree_sum(lanes);
}

template <class W, class X>
void tile(const ProductMatrix& m, const X* x, int64_t rows, int64_t k, int64_t first, int64_t count) {
  const auto* w = reinterpret_cast<const W*>(m.w);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t o = first; o < first + count; ++o) {
      const float sum = dot(w + o * k, x + row * k, k);
      m.y[row * m.n + o] = m.bias != nullptr ? sum + m.bias[o] : sum;
    }
  }
}

template <class W>
void tile_f32(const ProductMatrix& m, const Activations& x, int64_t first, int64_t count) {
  tile<W>(m, x.f32, x.rows, x.k, first, count);
}

void tile_bf16(const ProductMatrix& m, const Activations& x, int64_t first, int64_t count) {
  tile<BF16>(m, x.bf16, x.rows, x.k, first, count);
}

void round_bf16(const RoundBf16Args& a, Launch& launch) {
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) a.y[i] = round_to_bf16(a.x[i]);
  });
}

}  // namespace

void add_float_products(Kernels& kernels) {
  const auto set = [](ProductTile* table, DType type, ProductTile tile) { table[static_cast<int>(type)] = tile; };
  set(kernels.product_tile, DType::kF32, tile_f32<float>);
  set(kernels.product_tile, DType::kF16, tile_f32<F16>);
  set(kernels.product_tile, DType::kBF16, tile_bf16);
  set(kernels.exact_product_tile, DType::kF32, tile_f32<float>);
  set(kernels.exact_product_tile, DType::kF16, tile_f32<F16>);
  set(kernels.exact_product_tile, DType::kBF16, tile_f32<BF16>);
  kernels.round_bf16 = round_bf16;
}

}  // namespace godwit::scalar
