#include "ops/experts.h"

#include <cmath>
#include <cstring>

#include "ops/activations.h"

namespace godwit {
namespace {

// Stacks of x16 types are whole panels, matrix by matrix.
ExpertMatrix matrix_of(Tensor stack, Tensor bias = {}) {
  if (stack.empty()) return {};
  return {.type = stack.dtype,
          .w = stack.data,
          .slice_bytes = matrix_bytes(stack.dtype, stack.shape[1], stack.width()),
          .bias = bias.empty() ? nullptr : bias.f32()};
}

struct Touched {
  int64_t least, most;
  double expected;
};

// How many experts of a layer a step reads.
Touched touched_by(const Context& cx, const Routing& r, const int64_t* first) {
  if (!cx.dry) {
    int64_t n = 0;
    for (int64_t e = 0; e < r.n_experts; ++e) n += first[e + 1] > first[e] ? 1 : 0;
    return {n, n, static_cast<double>(n)};
  }
  return {r.top_k, std::min(r.n_experts, r.tokens * r.top_k), expected_experts(r.n_experts, r.top_k, r.tokens)};
}

// One entry of the meter for each type of matrix.
void book(Context& cx, const Routing& r, const ExpertWeights& w, const Touched& touched) {
  struct Part {
    Tensor matrix, bias;
  };
  bool first = true;
  for (const Part& p : {Part{w.gate, w.gate_bias}, Part{w.up, w.up_bias}, Part{w.down, w.down_bias}}) {
    if (p.matrix.empty()) continue;
    const int64_t n = p.matrix.shape[1], bytes = matrix_bytes(p.matrix.dtype, n, p.matrix.width()) +
                                                 (p.bias.empty() ? 0 : n * static_cast<int64_t>(sizeof(float)));
    const int64_t expected = std::llround(touched.expected * static_cast<double>(bytes));
    cx.meter->book(fmt::format("experts {}", name(p.matrix.dtype)),
                   {.flops = r.tokens * r.top_k * (2 * n * p.matrix.width() + (p.bias.empty() ? 0 : n)),
                    .weight_bytes = expected,
                    .fewer_bytes = expected - touched.least * bytes,
                    .more_bytes = touched.most * bytes - expected},
                   first ? 2 : 0);  // two lists of tasks in all
    first = false;
  }
  const int64_t flops = w.gate.empty() ? 4 : 5;
  cx.meter->book("activation", {.flops = flops * r.tokens * r.top_k * w.up.shape[1]}, 0);
  cx.meter->book("combine", {.flops = 2 * r.tokens * r.top_k * w.down.shape[1]}, 0);
}

void check_shapes(Tensor x, const Routing& r, const ExpertWeights& w) {
  const int64_t d = x.width(), f = w.up.shape[1];
  CHECK(
      x.rows() == r.tokens && w.up.shape == Shape({r.n_experts, f, d}) && w.down.shape == Shape({r.n_experts, d, f}) &&
          (w.gate.empty() || w.gate.shape == w.up.shape) && r.n_experts <= kMostExperts,
      "experts: x {}, up {}, down {}, {} experts", x.shape.text(), w.up.shape.text(), w.down.shape.text(), r.n_experts);
}

// x [a, b, n] to y [b, a, n].
void swap_leading(Context& cx, Tensor x, Tensor y) {
  const int64_t a = x.shape[0], b = x.shape[1], n = x.shape[2];
  run(cx, [&](Launch& launch) {
    launch.parallel(b, [&](int64_t j) {
      for (int64_t i = 0; i < a; ++i)
        std::memcpy(y.f32() + (j * a + i) * n, x.f32() + (i * b + j) * n, static_cast<size_t>(n) * sizeof(float));
    });
  });
}

}  // namespace

Routing route(Context& cx, Tensor logits, Tensor bias, const RouterSpec& spec) {
  CHECK(logits.width() == spec.n_experts && spec.n_experts <= kMostExperts && spec.top_k >= 1 &&
            spec.n_experts % spec.n_groups == 0 &&
            spec.top_k <= spec.n_experts / spec.n_groups * std::min(spec.n_groups, spec.groups_used) &&
            (bias.empty() || bias.size() == spec.n_experts),
        "route: logits {}, top {} of {} experts, {} of {} groups", logits.shape.text(), spec.top_k, spec.n_experts,
        spec.groups_used, spec.n_groups);
  const int64_t tokens = logits.rows();
  auto* chosen = cx.arena.alloc_array<int32_t>(tokens * spec.top_k);
  auto* weights = cx.arena.alloc_array<float>(tokens * spec.top_k);
  Routing r{.tokens = tokens, .top_k = spec.top_k, .n_experts = spec.n_experts, .experts = chosen, .weights = weights};
  run(cx, "route", cx.kernels.route,
      RouteArgs{.experts = chosen,
                .weights = weights,
                .invalid = &r.invalid,
                .z = logits.f32(),
                .bias = bias.empty() ? nullptr : bias.f32(),
                .tokens = tokens,
                .n_experts = spec.n_experts,
                .top_k = spec.top_k,
                .score = spec.score,
                .n_groups = spec.n_groups,
                .groups_used = spec.groups_used,
                .group_score = spec.group_score,
                .normalise = spec.normalise,
                .epsilon = spec.epsilon,
                .scale = spec.scale},
      {.flops = tokens * spec.n_experts, .weight_bytes = bias.empty() ? 0 : bias.bytes()});
  return r;
}

Tensor experts(Context& cx, Tensor x, const Routing& r, const ExpertWeights& w, const ExpertActivation& activation) {
  check_shapes(x, r, w);
  const int64_t d = x.width(), f = w.up.shape[1], slots = r.tokens * r.top_k;
  Tensor y = empty(cx, x.shape);
  ArenaScope scope(cx.arena);
  auto* first = cx.arena.alloc_array<int64_t>(r.n_experts + 1);
  auto* slot_token = cx.arena.alloc_array<int32_t>(slots);
  auto* slot_weight = cx.arena.alloc_array<float>(slots);
  run(cx, "group", cx.kernels.group,
      GroupArgs{.first = first,
                .slot_token = slot_token,
                .slot_weight = slot_weight,
                .experts = r.experts,
                .weights = r.weights,
                .tokens = r.tokens,
                .n_experts = r.n_experts,
                .top_k = r.top_k},
      {});
  Forms in, hidden;
  in.add(w.up.dtype, cx.exact);
  if (!w.gate.empty()) in.add(w.gate.dtype, cx.exact);
  hidden.add(w.down.dtype, cx.exact);
  const ExpertsArgs args{.y = y.f32(),
                         .x = prepare(cx, x, in),
                         .gate = matrix_of(w.gate, w.gate_bias),
                         .up = matrix_of(w.up, w.up_bias),
                         .down = matrix_of(w.down, w.down_bias),
                         .activation = activation.function,
                         .limit = activation.limit,
                         .alpha = activation.alpha,
                         .n_experts = r.n_experts,
                         .d_model = d,
                         .d_ff = f,
                         .first = first,
                         .slot_token = slot_token,
                         .slot_weight = slot_weight,
                         .exact = cx.exact,
                         .gathered = room_for(cx, r.tokens > 1 ? slots : 0, d, in),
                         .hidden = room_for(cx, slots, f, hidden)};
  if (cx.meter != nullptr || cx.expert_use != nullptr) {
    const Touched touched = touched_by(cx, r, first);
    if (cx.meter != nullptr) book(cx, r, w, touched);
    if (cx.expert_use != nullptr && !cx.dry) cx.expert_use->add(r.tokens, touched.least);
  }
  run(cx, [&](Launch& launch) { cx.kernels.experts(args, launch, cx.kernels); });
  return y;
}

double expected_experts(int64_t n_experts, int64_t top_k, int64_t tokens) {
  const auto all = static_cast<double>(n_experts);
  return all * (1.0 - std::pow(1.0 - static_cast<double>(top_k) / all, static_cast<double>(tokens)));
}

Tensor stack_linear(Context& cx, Tensor x, Tensor stack) {
  const int64_t tokens = x.shape[0], s = stack.shape[0], n = stack.shape[1];
  CHECK(x.shape.rank == 3 && stack.shape.rank == 3 && x.shape[1] == s && x.width() == stack.width(),
        "stack_linear: x {} against {}", x.shape.text(), stack.shape.text());
  Tensor y = empty(cx, {tokens, s, n});
  ArenaScope scope(cx.arena);
  const bool one = tokens == 1 || s == 1;  // both orders are the same
  Tensor in = x.view({s, tokens, x.width()}), out = y.view({s, tokens, n});
  if (!one) {
    in = empty(cx, in.shape);
    out = empty(cx, out.shape);
    swap_leading(cx, x, in);
  }
  Forms forms;
  forms.add(stack.dtype, cx.exact);
  const StackProductArgs args{.y = out.f32(),
                              .x = prepare(cx, in, forms),
                              .w = matrix_of(stack),
                              .slices = s,
                              .rows = tokens,
                              .n = n,
                              .exact = cx.exact};
  if (cx.meter != nullptr)
    cx.meter->book(fmt::format("linear {}", name(stack.dtype)),
                   {.flops = 2 * tokens * s * n * x.width(), .weight_bytes = stack.bytes()});
  run(cx, [&](Launch& launch) { cx.kernels.stack_product(args, launch, cx.kernels); });
  if (!one) swap_leading(cx, out, y);
  return y;
}

Tensor sigmoid(Context& cx, Tensor x) {
  Tensor y = empty(cx, x.shape);
  run(cx, "sigmoid", cx.kernels.sigmoid, SigmoidArgs{.y = y.f32(), .x = x.f32(), .count = x.size()},
      {.flops = 4 * x.size()});
  return y;
}

}  // namespace godwit
