#include "ops/activations.h"

namespace godwit {

void Forms::add(DType type, bool exact) {
  if (exact || type == DType::kF32 || type == DType::kF16) {
    f32 = true;
  } else if (type == DType::kBF16) {
    bf16 = true;
  } else {
    codes = true;
  }
}

Activations room_for(Context& cx, int64_t rows, int64_t k, Forms forms) {
  Activations a;
  a.rows = rows;
  a.k = k;
  if (forms.f32) a.f32 = cx.arena.alloc_array<float>(rows * k);
  if (forms.bf16) a.bf16 = cx.arena.alloc_array<uint16_t>(rows * k);
  if (forms.codes) {
    CHECK(k % 32 == 0, "quantized product over {} channels", k);
    a.codes = cx.arena.alloc_array<int8_t>(rows * k);
    a.scales = cx.arena.alloc_array<float>(rows * k / 32);
    a.sums = cx.arena.alloc_array<int16_t>(rows * k / 16);
  }
  return a;
}

Activations prepare(Context& cx, Tensor x, Forms forms) {
  Activations a = room_for(cx, x.rows(), x.width(), {.f32 = false, .bf16 = forms.bf16, .codes = forms.codes});
  if (forms.f32) a.f32 = x.f32();
  if (forms.bf16)
    run(cx, "round_bf16", cx.kernels.round_bf16,
        RoundBf16Args{.y = const_cast<uint16_t*>(a.bf16), .x = x.f32(), .count = x.size()}, {});
  if (forms.codes)
    run(cx, "quantize", cx.kernels.quantize,
        QuantizeArgs{.codes = const_cast<int8_t*>(a.codes),
                     .scales = const_cast<float*>(a.scales),
                     .sums = const_cast<int16_t*>(a.sums),
                     .x = x.f32(),
                     .rows = a.rows,
                     .width = a.k},
        {});
  return a;
}

}  // namespace godwit
