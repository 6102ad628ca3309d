// Products with quantized weights, literally as docs/numerics.md says; and what all levels share: the task list of a
// product over several matrices, and the lookup of rows.
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/levels.h"
#include "kernels/quantize.h"
#include "kernels/quantized.h"
#include "tensor/float16.h"

namespace godwit::scalar {

namespace {

constexpr int64_t kGroup = 32;       // activations that share a scale
constexpr int64_t kRowsAtOnce = 16;  // rows that one unpacked block meets

struct Chains {
  float sum, minimum;
};

// One block of one output meets one row, from element `at` of it on.
void add_block(const BlockFormat& format, const UnpackedBlock& block, const Activations& x, int64_t row, int64_t at,
               Chains& chains) {
  const int8_t* codes = x.codes + row * x.k + at;
  const float* scales = x.scales + row * (x.k / kGroup) + at / kGroup;
  const int16_t* sums = x.sums + row * (x.k / 16) + at / 16;
  const int group = format.group;
  for (int g = 0; g * group < format.block; ++g) {
    int32_t dot = 0;
    for (int i = g * group; i < (g + 1) * group; ++i) dot += block.codes[i] * codes[i];
    const float scale = scales[g * group / kGroup];
    chains.sum = std::fma(block.scale[g] * scale, static_cast<float>(dot), chains.sum);
    if (format.has_minimum) {
      const int code_sum = group == 16 ? sums[g] : sums[2 * g] + sums[2 * g + 1];
      chains.minimum = std::fma(block.minimum[g], scale * static_cast<float>(code_sum), chains.minimum);
    }
  }
}

void finish(const ProductMatrix& matrix, const BlockFormat& format, int64_t row, int64_t o, const Chains& chains) {
  float y = format.has_minimum ? chains.sum - chains.minimum : chains.sum;
  if (matrix.bias != nullptr) y += matrix.bias[o];
  matrix.y[row * matrix.n + o] = y;
}

// Calls add(format, block, row, element of k, chains) for every block that an output and a row share, k ascending.
template <class Add>
void for_each_block(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count, const Add& add) {
  const BlockFormat& format = block_format(matrix.type);
  UnpackedBlock block;
  for (int64_t row = 0; row < x.rows; row += kRowsAtOnce) {
    const int64_t rows = x.rows - row < kRowsAtOnce ? x.rows - row : kRowsAtOnce;
    for (int64_t o = first; o < first + count; ++o) {
      Chains chains[kRowsAtOnce] = {};
      for (int64_t b = 0; b < x.k / format.block; ++b) {
        unpack_output_block(matrix.type, matrix.w, x.k, o, b, block);
        for (int64_t r = 0; r < rows; ++r) add(format, block, row + r, b * format.block, chains[r]);
      }
      for (int64_t r = 0; r < rows; ++r) finish(matrix, format, row + r, o, chains[r]);
    }
  }
}

void tile(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count) {
  for_each_block(matrix, x, first, count,
                 [&](const BlockFormat& format, const UnpackedBlock& block, int64_t row, int64_t at, Chains& chains) {
                   add_block(format, block, x, row, at, chains);
                 });
}

// Element i of a block as a float, rounded once.
float decoded(const BlockFormat& format, const UnpackedBlock& block, int64_t i) {
  const int64_t g = i / format.group;
  const auto code = static_cast<float>(block.codes[i]);
  return format.has_minimum ? std::fma(code, block.scale[g], -block.minimum[g]) : code * block.scale[g];
}

void exact_tile(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count) {
  for_each_block(matrix, x, first, count,
                 [&](const BlockFormat& format, const UnpackedBlock& block, int64_t row, int64_t at, Chains& chains) {
                   const float* values = x.f32 + row * x.k + at;
                   for (int64_t i = 0; i < format.block; ++i) {
                     const float weight = decoded(format, block, i);
                     chains.sum = std::fma(weight, values[i], chains.sum);
                   }
                   chains.minimum = 0.0f;
                 });
}

// ---------------------------------------------------------------- the driver

constexpr int64_t kMinTask =
    int64_t{1} << 17;  // multiply-adds below which waking another thread costs more than it gives
constexpr int64_t kMaxTask = int64_t{1} << 20;
constexpr int64_t kPanel = 16;

struct TaskList {
  bool on_caller = false;  // not worth waking anybody
  int64_t panels_per_task = 1;
  int64_t end[4] = {};  // tasks of the matrices up to and including this one
};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Splits outputs into tasks by their work: few enough that each outweighs its hand-out, several a thread so that a late
// thread's share goes to the others. One thread, or little work: on the caller.
TaskList plan(const ProductArgs& a, int64_t n_threads) {
  int64_t panels = 0;
  for (int32_t m = 0; m < a.n_matrices; ++m) panels += ceil_div(a.matrix[m].n, kPanel);
  const int64_t panel_work = kPanel * a.x.k * a.x.rows;
  const int64_t work = panels * panel_work;
  int64_t target = work / (4 * n_threads);
  target = target < kMinTask ? kMinTask : target > kMaxTask ? kMaxTask : target;
  TaskList list;
  list.panels_per_task = panel_work > 0 ? ceil_div(target, panel_work) : 1;
  const int64_t multiple = a.x.rows > 1 ? 6 : 4;  // panels that the fastest tiles take at once, times two
  list.panels_per_task = ceil_div(list.panels_per_task, multiple) * multiple;
  list.on_caller = work <= kMinTask || n_threads <= 1;
  // More rows than the kernels take at once: a task's panels stay in L2 while they meet the rows in turn.
  if (list.on_caller && a.x.rows <= 4) list.panels_per_task = panels > 0 ? panels : 1;
  for (int32_t m = 0, sum = 0; m < a.n_matrices; ++m) {
    sum += ceil_div(ceil_div(a.matrix[m].n, kPanel), list.panels_per_task);
    list.end[m] = sum;
  }
  return list;
}

void product(const ProductArgs& a, Launch& launch, const Kernels& kernels) {
  const TaskList list = plan(a, launch.n_threads);
  const int64_t n_tasks = a.n_matrices > 0 ? list.end[a.n_matrices - 1] : 0;
  const auto task = [&](int64_t index) {
    int32_t m = 0;
    while (index >= list.end[m]) ++m;
    const ProductMatrix& matrix = a.matrix[m];
    const int64_t first = (index - (m > 0 ? list.end[m - 1] : 0)) * list.panels_per_task * kPanel;
    const int64_t most = list.panels_per_task * kPanel;
    const int64_t count = matrix.n - first < most ? matrix.n - first : most;
    const ProductTile* tiles = a.exact ? kernels.exact_product_tile : kernels.product_tile;
    tiles[static_cast<int>(matrix.type)](matrix, a.x, first, count);
  };
  if (list.on_caller) {
    for (int64_t i = 0; i < n_tasks; ++i) task(i);
  } else {
    launch.parallel(n_tasks, task);
  }
}

// ---------------------------------------------------------------- rows of a table

void look_up_16_bit(const EmbedArgs& a, int64_t id, float* y) {
  for (int64_t i = 0; i < a.width; ++i) {
    uint16_t bits;
    std::memcpy(&bits, a.table + 2 * (id * a.width + i), 2);
    y[i] = a.type == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
  }
}

void look_up_blocks(const EmbedArgs& a, int64_t id, float* y) {
  const BlockFormat& format = block_format(a.type);
  UnpackedBlock block;
  for (int64_t b = 0; b < a.width / format.block; ++b) {
    unpack_output_block(a.type, a.table, a.width, id, b, block);
    for (int64_t i = 0; i < format.block; ++i) y[b * format.block + i] = decoded(format, block, i);
  }
}

void embed(const EmbedArgs& a, Launch& launch) {
  constexpr int64_t kTaskElements = 16384;
  const int64_t ids_per_task = a.width >= kTaskElements ? 1 : kTaskElements / (a.width > 0 ? a.width : 1);
  launch.parallel(ceil_div(a.n_ids, ids_per_task), [&](int64_t task) {
    const int64_t end = a.n_ids < (task + 1) * ids_per_task ? a.n_ids : (task + 1) * ids_per_task;
    for (int64_t i = task * ids_per_task; i < end; ++i) {
      float* y = a.y + i * a.width;
      if (a.type == DType::kF32) {
        std::memcpy(y, a.table + 4 * int64_t{a.ids[i]} * a.width, 4 * a.width);
      } else if (a.type == DType::kF16 || a.type == DType::kBF16) {
        look_up_16_bit(a, a.ids[i], y);
      } else {
        look_up_blocks(a, a.ids[i], y);
      }
      if (a.scale == 1.0f) continue;
      for (int64_t j = 0; j < a.width; ++j) y[j] *= a.scale;
    }
  });
}

}  // namespace

void add_quantized_products(Kernels& kernels) {
  kernels.quantize = quantize;
  kernels.product = product;
  kernels.embed = embed;
  for (int t = 0; t < kDTypeCount; ++t) {
    if (!is_quantized(static_cast<DType>(t))) continue;
    kernels.product_tile[t] = tile;
    kernels.exact_product_tile[t] = exact_tile;
  }
}

}  // namespace godwit::scalar
