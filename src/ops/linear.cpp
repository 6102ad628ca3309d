#include "ops/activations.h"
#include "ops/ops.h"

namespace godwit {

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
  Forms forms;
  for (const LinearWeight* w : weights) forms.add(w->weight.dtype, cx.exact);
  args.x = prepare(cx, x, forms);
  run(cx, [&](Launch& launch) { cx.kernels.product(args, launch, cx.kernels); });
  return results;
}

Tensor linear(Context& cx, Tensor x, const LinearWeight& weight) {
  const LinearWeight* list[] = {&weight};
  return linear(cx, x, list)[0];
}

}  // namespace godwit
