// Products with stacks of matrices: mixtures of experts, and a matrix for each head. What is here hands out tiles; the
// tiles are those of the level in use, so this is the same code at every level.
#include <algorithm>
#include <cstring>

#include "kernels/levels.h"
#include "kernels/math.h"

namespace godwit::scalar {

namespace {

constexpr int64_t kPanel = 16;
constexpr int64_t kGroup = 32;       // activations that share a scale
constexpr int64_t kTileRows = 128;   // rows that meet a tile of weights at once
constexpr int64_t kWidestTile = 96;  // outputs of a tile; see product_many.simd.cpp
constexpr int64_t kFewRows = 8;      // up to here rows are prepared anew for every tile, so that wide ones pay
constexpr int64_t kWidestOfFew = 512;
static_assert(kFewRows * kWidestOfFew <= kTileRows * kWidestTile);
constexpr int64_t kMinTask = int64_t{1} << 17;  // multiply-adds that outweigh waking another thread

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

ProductTile tile_of(const Kernels& kernels, DType type, bool exact) {
  return (exact ? kernels.exact_product_tile : kernels.product_tile)[static_cast<int>(type)];
}

// Rows [first, first + n) of activations.
Activations rows_of(const Activations& x, int64_t first, int64_t n) {
  Activations part = x;
  part.rows = n;
  if (x.f32 != nullptr) part.f32 += first * x.k;
  if (x.bf16 != nullptr) part.bf16 += first * x.k;
  if (x.codes != nullptr) {
    part.codes += first * x.k;
    part.scales += first * (x.k / kGroup);
    part.sums += first * (x.k / 16);
  }
  return part;
}

// Outputs [first, first + n) of slice s as a matrix of its own, results in y [rows][n]. n_all: outputs of a slice.
ProductMatrix part_of(const ExpertMatrix& m, int64_t s, int64_t n_all, int64_t first, int64_t n, float* y) {
  const int64_t rows = is_packed(m.type) ? divide_up(n_all, kPanel) * kPanel : n_all;
  return {.type = m.type,
          .w = m.w + s * m.slice_bytes + first * (m.slice_bytes / rows),
          .y = y,
          .bias = m.bias == nullptr ? nullptr : m.bias + s * n_all + first,
          .n = n};
}

// ---------------------------------------------------------------- experts

// How outputs are cut: tiles of `width`, for each expert that any token chose.
struct Cut {
  int64_t width, tiles;
  bool on_caller;
};

Cut cut_hidden(const ExpertsArgs& a, int64_t most_rows, int64_t touched, int64_t slots, int64_t n_threads) {
  const int64_t even = divide_up(divide_up(touched * a.d_ff, 8 * n_threads), kGroup) * kGroup;
  const int64_t width = most_rows <= kFewRows ? std::clamp<int64_t>(even, 64, kWidestOfFew) : kWidestTile;
  return {width, divide_up(a.d_ff, width), n_threads <= 1 || slots * a.d_ff * a.d_model <= kMinTask};
}

Cut cut_outputs(const ExpertsArgs& a, int64_t most_rows, int64_t slots, int64_t n_threads) {
  // At least four tasks a thread, where there are outputs for so many; 48 is three panels.
  const int64_t even = divide_up(divide_up(a.d_model, 4 * n_threads), kPanel) * kPanel;
  const int64_t width = std::clamp<int64_t>(even, kPanel, most_rows <= kFewRows ? kWidestOfFew : 48);
  return {width, divide_up(a.d_model, width), n_threads <= 1 || slots * a.d_ff * a.d_model <= kMinTask};
}

template <class F>
void hand_out(const Cut& cut, int64_t n_tasks, Launch& launch, const F& task) {
  if (!cut.on_caller) return launch.parallel(n_tasks, task);
  for (int64_t i = 0; i < n_tasks; ++i) task(i);
}

// Whether the tokens of an expert lie side by side, as one row does, so that its rows of x need no copy.
bool side_by_side(const ExpertsArgs& a, int64_t e) {
  const int64_t first = a.first[e], n = a.first[e + 1] - first;
  return a.slot_token[first + n - 1] - a.slot_token[first] == n - 1;
}

template <class T>
void copy_row(const T* from, const T* to, int64_t width, int64_t from_row, int64_t to_row) {
  if (from == nullptr || to == nullptr) return;
  std::memcpy(const_cast<T*>(to) + to_row * width, from + from_row * width, static_cast<size_t>(width) * sizeof(T));
}

// Copies the rows that an expert's tokens have in x to where its slots are.
void gather(const ExpertsArgs& a, int64_t e) {
  if (side_by_side(a, e)) return;
  for (int64_t slot = a.first[e]; slot < a.first[e + 1]; ++slot) {
    const int64_t token = a.slot_token[slot], k = a.x.k;
    copy_row(a.x.f32, a.gathered.f32, k, token, slot);
    copy_row(a.x.bf16, a.gathered.bf16, k, token, slot);
    copy_row(a.x.codes, a.gathered.codes, k, token, slot);
    copy_row(a.x.scales, a.gathered.scales, k / kGroup, token, slot);
    copy_row(a.x.sums, a.gathered.sums, k / 16, token, slot);
  }
}

// Hidden values [first, first + n) of one slot, in the forms that down asks for.
void keep_hidden(const ExpertsArgs& a, const float* x, int64_t slot, int64_t first, int64_t n, const Kernels& kernels) {
  Launch here;
  if (a.hidden.f32 != nullptr)
    std::memcpy(const_cast<float*>(a.hidden.f32) + slot * a.d_ff + first, x, static_cast<size_t>(n) * sizeof(float));
  if (a.hidden.codes != nullptr) {
    kernels.quantize({.codes = const_cast<int8_t*>(a.hidden.codes) + slot * a.d_ff + first,
                      .scales = const_cast<float*>(a.hidden.scales) + (slot * a.d_ff + first) / kGroup,
                      .sums = const_cast<int16_t*>(a.hidden.sums) + (slot * a.d_ff + first) / 16,
                      .x = x,
                      .rows = 1,
                      .width = n},
                     here);
  }
  if (a.hidden.bf16 != nullptr)
    kernels.round_bf16({const_cast<uint16_t*>(a.hidden.bf16) + slot * a.d_ff + first, x, n}, here);
}

// Hidden values [first, first + n) of one expert, all its tokens.
void hidden_tile(const ExpertsArgs& a, int64_t e, int64_t first, int64_t n, const Kernels& kernels) {
  float gate[kTileRows * kWidestTile], up[kTileRows * kWidestTile], out[kTileRows * kWidestTile];
  Launch here;
  const bool in_place = side_by_side(a, e);
  for (int64_t slot = a.first[e]; slot < a.first[e + 1]; slot += kTileRows) {
    const int64_t rows = std::min(kTileRows, a.first[e + 1] - slot);
    const Activations x = in_place ? rows_of(a.x, a.slot_token[slot], rows) : rows_of(a.gathered, slot, rows);
    const auto multiply = [&](const ExpertMatrix& m, float* y) {
      tile_of(kernels, m.type, a.exact)(part_of(m, e, a.d_ff, first, n, y), x, 0, n);
    };
    multiply(a.up, up);
    if (a.gate.w != nullptr) multiply(a.gate, gate);
    kernels.gated({.y = out,
                   .gate = a.gate.w != nullptr ? gate : up,
                   .up = a.gate.w != nullptr ? up : nullptr,
                   .count = rows * n,
                   .activation = a.activation,
                   .limit = a.limit,
                   .alpha = a.alpha},
                  here);
    for (int64_t r = 0; r < rows; ++r) keep_hidden(a, out + r * n, slot + r, first, n, kernels);
  }
}

// Outputs [first, first + n) of all tokens.
void output_tile(const ExpertsArgs& a, int64_t first, int64_t n, const Kernels& kernels) {
  float out[kTileRows * kWidestTile];
  Launch here;
  for (int64_t t = 0; t < a.x.rows; ++t) std::fill_n(a.y + t * a.d_model + first, n, 0.0f);
  for (int64_t e = 0; e < a.n_experts; ++e) {
    for (int64_t slot = a.first[e]; slot < a.first[e + 1]; slot += kTileRows) {
      const int64_t rows = std::min(kTileRows, a.first[e + 1] - slot);
      tile_of(kernels, a.down.type, a.exact)(part_of(a.down, e, a.d_model, first, n, out),
                                             rows_of(a.hidden, slot, rows), 0, n);
      for (int64_t r = 0; r < rows; ++r) {
        float* y = a.y + int64_t{a.slot_token[slot + r]} * a.d_model + first;
        kernels.add({.y = y, .a = y, .b = out + r * n, .count = n, .scale = a.slot_weight[slot + r]}, here);
      }
    }
  }
}

void experts(const ExpertsArgs& a, Launch& launch, const Kernels& kernels) {
  int32_t touched[kMostExperts];
  int64_t n_touched = 0, most_rows = 0;
  for (int64_t e = 0; e < a.n_experts; ++e) {
    if (a.first[e + 1] == a.first[e]) continue;
    touched[n_touched++] = static_cast<int32_t>(e);
    most_rows = std::max(most_rows, a.first[e + 1] - a.first[e]);
  }
  const int64_t slots = a.first[a.n_experts];
  if (a.x.rows > 1) launch.parallel(n_touched, [&](int64_t i) { gather(a, touched[i]); });
  const Cut hidden = cut_hidden(a, most_rows, n_touched, slots, launch.n_threads);
  hand_out(hidden, n_touched * hidden.tiles, launch, [&](int64_t task) {
    const int64_t first = task % hidden.tiles * hidden.width;
    hidden_tile(a, touched[task / hidden.tiles], first, std::min(hidden.width, a.d_ff - first), kernels);
  });
  const Cut outputs = cut_outputs(a, most_rows, slots, launch.n_threads);
  hand_out(outputs, outputs.tiles, launch, [&](int64_t task) {
    const int64_t first = task * outputs.width;
    output_tile(a, first, std::min(outputs.width, a.d_model - first), kernels);
  });
}

// ---------------------------------------------------------------- stacks

void stack_product(const StackProductArgs& a, Launch& launch, const Kernels& kernels) {
  const int64_t k = a.x.k, work = a.slices * a.rows * a.n * k;
  // Whole slices when there are enough of them; else their outputs part, in whole panels.
  const int64_t parts = std::clamp<int64_t>(4 * launch.n_threads / std::max<int64_t>(1, a.slices), 1, 64);
  const int64_t width = divide_up(divide_up(a.n, parts), kPanel) * kPanel, tiles = divide_up(a.n, width);
  const Cut cut{width, tiles, launch.n_threads <= 1 || work <= kMinTask};
  hand_out(cut, a.slices * tiles, launch, [&](int64_t task) {
    const int64_t s = task / tiles, first = task % tiles * width, n = std::min(width, a.n - first);
    ProductMatrix matrix = part_of(a.w, s, a.n, 0, a.n, a.y + s * a.rows * a.n);
    tile_of(kernels, a.w.type, a.exact)(matrix, rows_of(a.x, s * a.rows, a.rows), first, n);
  });
}

void sigmoid(const SigmoidArgs& a, Launch&) {
  for (int64_t i = 0; i < a.count; ++i) a.y[i] = scalar::sigmoid(a.x[i]);
}

}  // namespace

void add_experts(Kernels& kernels) {
  kernels.experts = experts;
  kernels.stack_product = stack_product;
  kernels.sigmoid = sigmoid;
  add_routing(kernels);
}

}  // namespace godwit::scalar
