#include "ops/ops.h"

namespace godwit {
namespace {

// The forms of x that these weights read.
struct Forms {
  bool f32 = false, bf16 = false, codes = false;
};

Forms forms_of(const ProductArgs& args) {
  Forms forms;
  for (int i = 0; i < args.n_matrices; ++i) {
    const DType type = args.matrix[i].type;
    if (args.exact || type == DType::kF32 || type == DType::kF16) {
      forms.f32 = true;
    } else if (type == DType::kBF16) {
      forms.bf16 = true;
    } else {
      forms.codes = true;
    }
  }
  return forms;
}

Activations prepare(Context& cx, Tensor x, Forms forms) {
  Activations a;
  a.rows = x.rows();
  a.k = x.width();
  if (forms.f32) a.f32 = x.f32();
  if (forms.bf16) {
    auto* y = cx.arena.alloc_array<uint16_t>(x.size());
    run(cx, "round_bf16", cx.kernels.round_bf16, RoundBf16Args{.y = y, .x = x.f32(), .count = x.size()}, {});
    a.bf16 = y;
  }
  if (forms.codes) {
    CHECK(a.k % 32 == 0, "quantized product over {} channels", a.k);
    auto* codes = cx.arena.alloc_array<int8_t>(x.size());
    auto* scales = cx.arena.alloc_array<float>(x.size() / 32);
    auto* sums = cx.arena.alloc_array<int16_t>(x.size() / 16);
    run(cx, "quantize", cx.kernels.quantize,
        QuantizeArgs{.codes = codes, .scales = scales, .sums = sums, .x = x.f32(), .rows = a.rows, .width = a.k}, {});
    a.codes = codes;
    a.scales = scales;
    a.sums = sums;
  }
  return a;
}

}  // namespace

std::vector<Tensor> linear(Context& cx, Tensor x, std::span<const LinearWeight* const> weights) {
  CHECK(!weights.empty() && weights.size() <= 4, "{} matrices", weights.size());
  std::vector<Tensor> results;
  ProductArgs args;
  args.exact = cx.exact;
  for (const LinearWeight* w : weights) {
    CHECK(w->weight.width() == x.width(), "linear: x {} against weight {}", x.shape.text(), w->weight.shape.text());
    const int64_t n = w->weight.rows();
    CHECK(w->bias.empty() || w->bias.size() == n, "linear: bias {} for {} outputs", w->bias.shape.text(), n);
    results.push_back(empty(cx, {x.rows(), n}));
    args.matrix[args.n_matrices++] = {.type = w->weight.dtype,
                                      .w = w->weight.data,
                                      .y = results.back().f32(),
                                      .bias = w->bias.empty() ? nullptr : w->bias.f32(),
                                      .n = n};
    if (cx.meter == nullptr) continue;
    cx.meter->book(fmt::format("linear {}", name(w->weight.dtype)),
                   {.flops = 2 * x.rows() * n * x.width() + (w->bias.empty() ? 0 : x.rows() * n),
                    .weight_bytes = w->weight.bytes() + (w->bias.empty() ? 0 : w->bias.bytes())},
                   w == weights.front() ? 1 : 0);  // one list of tasks
  }
  ArenaScope scope(cx.arena);  // the rounded forms of x
  args.x = prepare(cx, x, forms_of(args));
  run(cx, [&](Launch& launch) { cx.kernels.product(args, launch, cx.kernels); });
  return results;
}

Tensor linear(Context& cx, Tensor x, const LinearWeight& weight) {
  const LinearWeight* list[] = {&weight};
  return linear(cx, x, list)[0];
}

}  // namespace godwit
