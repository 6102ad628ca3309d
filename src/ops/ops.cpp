#include "ops/ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace godwit {

Tensor embed(Context& cx, std::span<const int32_t> ids, Tensor table, float scale) {
  const auto n = static_cast<int64_t>(ids.size());
  Tensor y = empty(cx, {n, table.width()});
  for (int32_t id : ids) CHECK(id >= 0 && id < table.rows(), "embed: id {} of {}", id, table.rows());
  run(cx, "embed", cx.kernels.embed,
      EmbedArgs{.y = y.f32(),
                .ids = ids.data(),
                .table = table.data,
                .type = table.dtype,
                .n_ids = n,
                .width = table.width(),
                .n_rows = table.rows(),
                .scale = scale},
      // Of packed types a row is a sixteenth of a panel.
      {.flops = 0, .weight_bytes = n * (matrix_bytes(table.dtype, 16, table.width()) / 16)});
  return y;
}

Tensor gather_rows(Context& cx, Tensor x, std::span<const int32_t> index) {
  Tensor y = empty(cx, {static_cast<int64_t>(index.size()), x.width()});
  for (size_t i = 0; i < index.size(); ++i) {
    CHECK(index[i] >= 0 && index[i] < x.rows(), "gather: row {} of {}", index[i], x.rows());
    if (!cx.dry)
      std::memcpy(y.f32() + static_cast<int64_t>(i) * x.width(), x.f32() + index[i] * x.width(),
                  static_cast<size_t>(x.width()) * sizeof(float));
  }
  return y;
}

Tensor rms_norm(Context& cx, Tensor x, Tensor gain, float eps, bool gain_plus_one) {
  const int64_t weight_bytes = gain.empty() ? 0 : gain.bytes();
  if (gain.empty()) {
    gain = empty(cx, {x.width()});
    if (!cx.dry) std::fill_n(gain.f32(), x.width(), gain_plus_one ? 0.0f : 1.0f);
  }
  const int64_t gain_rows = gain.rows();
  CHECK(x.width() == gain.width() && x.rows() % gain_rows == 0, "rms_norm: x {} against gain {}", x.shape.text(),
        gain.shape.text());
  Tensor y = empty(cx, x.shape);
  run(cx, "rms_norm", cx.kernels.rms_norm,
      RmsNormArgs{.y = y.f32(),
                  .x = x.f32(),
                  .gain = gain.f32(),
                  .rows = x.rows(),
                  .width = x.width(),
                  .eps = eps,
                  .gain_plus_one = gain_plus_one,
                  .gain_rows = gain_rows},
      {.flops = 4 * x.size(), .weight_bytes = weight_bytes});
  return y;
}

Tensor rope(Context& cx, Tensor x, const RopeSpec& spec, const Step& step) {
  CHECK(x.shape.rank == 3 && x.shape[0] == step.n_tokens() && 2 * spec.n_pairs <= x.width(), "rope: x {}, {} pairs",
        x.shape.text(), spec.n_pairs);
  Tensor y = empty(cx, x.shape);
  run(cx, "rope", cx.kernels.rope,
      RopeArgs{.y = y.f32(),
               .x = x.f32(),
               .table = step.rope_table(spec.table).f32(),
               .tokens = x.shape[0],
               .heads = x.shape[1],
               .head_dim = x.shape[2],
               .n_pairs = spec.n_pairs,
               .interleaved = spec.interleaved},
      {.flops = 6 * x.shape[0] * x.shape[1] * spec.n_pairs});
  return y;
}

namespace {

// Keys that position i reads.
int64_t visible(int64_t i, int64_t window) { return window > 0 && window < i + 1 ? window : i + 1; }

Cost attention_cost(const AttentionArgs& a) {
  const KvLayout& l = a.layout;
  Cost cost;
  const int64_t per_key = (l.k_bytes() + l.v_bytes()) / kPageTokens;
  for (int64_t r = 0; r < a.n_rows; ++r) {
    const KvRow& row = a.rows[r];
    for (int64_t t = 0; t < row.count; ++t)
      cost.flops += visible(row.past + t, a.window) * a.n_heads * 2 * (l.k_dim + l.v_dim);
    const int64_t last = row.past + row.count - 1;
    const int64_t first = a.window > 0 ? std::max<int64_t>(0, row.past - a.window + 1) : 0;
    cost.state_bytes += (last - first + 1) * per_key;
  }
  return cost;
}

// Stores k and v, then attends: both as the layout says.
Tensor store_and_attend(Context& cx, Tensor q, Tensor k, Tensor v, const KvLayout& layout,
                        const AttentionOptions& options, const StepInput& in) {
  const PlacedPart& part = in.step.layout.places[static_cast<size_t>(in.place)][0];
  const std::vector<KvRow>& rows = in.step.kv_rows(part.group);
  const auto n_rows = static_cast<int64_t>(rows.size());
  run(cx, "kv_store", cx.kernels.kv_store,
      KvStoreArgs{.k = k.f32(), .v = v.f32(), .rows = rows.data(), .n_rows = n_rows, .layout = layout}, {});
  Tensor y = empty(cx, {q.shape[0], q.shape[1], layout.v_dim});
  const AttentionArgs args{.y = y.f32(),
                           .q = q.f32(),
                           .rows = rows.data(),
                           .n_rows = n_rows,
                           .layout = layout,
                           .n_heads = q.shape[1],
                           .window = part.part.window,
                           .scale = options.scale,
                           .softcap = options.softcap,
                           .sinks = options.sinks.empty() ? nullptr : options.sinks.f32()};
  Cost cost = attention_cost(args);
  if (!options.sinks.empty()) cost.weight_bytes = options.sinks.bytes();
  run(cx, "attention", cx.kernels.attention, args, cost);
  return y;
}

}  // namespace

Tensor attention(Context& cx, Tensor q, Tensor k, Tensor v, const AttentionOptions& options, const StepInput& in) {
  const KvLayout layout = kv_layout(in.step.layout.places[static_cast<size_t>(in.place)]);
  const int64_t n = in.step.n_tokens();
  CHECK(layout.shared_dim == 0 && k.shape == Shape({n, layout.n_kv_heads, layout.k_dim}) &&
            v.shape == Shape({n, layout.n_kv_heads, layout.v_dim}) && q.shape == Shape({n, q.shape[1], layout.k_dim}) &&
            q.shape[1] % layout.n_kv_heads == 0 && layout.k_dim <= kMaxHeadDim && layout.v_dim <= kMaxHeadDim,
        "attention: q {}, k {}, v {}", q.shape.text(), k.shape.text(), v.shape.text());
  CHECK(options.sinks.empty() || options.sinks.size() == q.shape[1], "attention: {} sinks for q {}",
        options.sinks.size(), q.shape.text());
  return store_and_attend(cx, q, k, v, layout, options, in);
}

Tensor latent_attention(Context& cx, Tensor q, Tensor c, Tensor k_pe, float scale, const StepInput& in) {
  const KvLayout layout = kv_layout(in.step.layout.places[static_cast<size_t>(in.place)]);
  const int64_t n = in.step.n_tokens();
  CHECK(layout.shared_dim > 0 && c.shape == Shape({n, layout.v_dim}) && k_pe.shape == Shape({n, layout.own_k_dim()}) &&
            q.shape == Shape({n, q.shape[1], layout.k_dim}) && layout.v_dim <= kMaxHeadDim &&
            layout.own_k_dim() <= kMaxHeadDim,
        "latent attention: q {}, c {}, k_pe {}", q.shape.text(), c.shape.text(), k_pe.shape.text());
  return store_and_attend(cx, q, k_pe, c, layout, {.scale = scale}, in);
}

Tensor gated(Context& cx, Tensor gate, Tensor up, Activation activation, float limit, float alpha) {
  const bool alone = up.shape.rank == 0;
  const int64_t flops = (activation == Activation::kIdentity ? 0 : 4) + (alone ? 0 : 1);
  CHECK(alone ? activation != Activation::kSwigluClamped : gate.shape == up.shape, "gated: {} against {}",
        gate.shape.text(), up.shape.text());
  Tensor y = empty(cx, gate.shape);
  run(cx, "gated", cx.kernels.gated,
      GatedArgs{.y = y.f32(),
                .gate = gate.f32(),
                .up = alone ? nullptr : up.f32(),
                .count = gate.size(),
                .activation = activation,
                .limit = limit,
                .alpha = alpha},
      {.flops = flops * gate.size()});
  return y;
}

Tensor scale_rows(Context& cx, Tensor x, Tensor factors) {
  CHECK(x.shape.rank > 0 && factors.size() == x.shape[0] && x.shape[0] > 0, "scale_rows: {} by {}", x.shape.text(),
        factors.shape.text());
  Tensor y = empty(cx, x.shape);
  run(cx, "scale_rows", cx.kernels.scale_rows,
      ScaleRowsArgs{
          .y = y.f32(), .x = x.f32(), .factors = factors.f32(), .rows = x.shape[0], .width = x.size() / x.shape[0]},
      {.flops = x.size()});
  return y;
}

namespace {

// The shape with another last size.
Shape with_width(Shape shape, int64_t width) {
  shape.sizes[static_cast<size_t>(shape.rank - 1)] = width;
  return shape;
}

}  // namespace

Tensor columns(Context& cx, Tensor x, int64_t first, int64_t count) {
  CHECK(x.shape.rank > 0 && first >= 0 && count > 0 && first + count <= x.width(), "columns {}+{} of {}", first, count,
        x.shape.text());
  Tensor y = empty(cx, with_width(x.shape, count));
  run(cx, "columns", cx.kernels.copy_columns,
      CopyColumnsArgs{
          .y = y.f32(), .x = x.f32() + first, .y_step = count, .x_step = x.width(), .rows = x.rows(), .count = count},
      {});
  return y;
}

Tensor concat(Context& cx, Tensor a, Tensor b) {
  CHECK(a.shape.rank > 0 && b.shape.rank == a.shape.rank && a.shape == with_width(b.shape, a.width()),
        "concat: {} and {}", a.shape.text(), b.shape.text());
  Tensor y = empty(cx, with_width(a.shape, a.width() + b.width()));
  const auto put = [&](Tensor x, int64_t first) {
    run(cx, "concat", cx.kernels.copy_columns,
        CopyColumnsArgs{.y = y.f32() + first,
                        .x = x.f32(),
                        .y_step = y.width(),
                        .x_step = x.width(),
                        .rows = x.rows(),
                        .count = x.width()},
        {});
  };
  put(a, 0);
  put(b, a.width());
  return y;
}

Tensor clamp(Context& cx, Tensor x, float limit) {
  CHECK(limit > 0.0f, "clamp to {}", limit);
  Tensor y = empty(cx, x.shape);
  run(cx, "clamp", cx.kernels.clamp, ClampArgs{.y = y.f32(), .x = x.f32(), .count = x.size(), .limit = limit},
      {.flops = 2 * x.size()});
  return y;
}

Tensor scaled(Context& cx, Tensor x, float factor) {
  Tensor factors = empty(cx, {x.shape[0]});
  if (!cx.dry) std::fill_n(factors.f32(), factors.size(), factor);
  return scale_rows(cx, x, factors);
}

Tensor residual(Context& cx, Tensor a, Tensor b, Tensor out, float scale) {
  CHECK(a.shape == b.shape && a.shape == out.shape, "residual: {} + {} -> {}", a.shape.text(), b.shape.text(),
        out.shape.text());
  run(cx, "residual", cx.kernels.add,
      AddArgs{.y = out.f32(), .a = a.f32(), .b = b.f32(), .count = a.size(), .scale = scale}, {.flops = a.size()});
  return out;
}

Tensor softcap(Context& cx, Tensor x, float cap) {
  Tensor y = empty(cx, x.shape);
  run(cx, "softcap", cx.kernels.softcap, SoftcapArgs{.y = y.f32(), .x = x.f32(), .count = x.size(), .cap = cap},
      {.flops = 3 * x.size()});
  return y;
}

std::vector<double> log_probabilities(Context& cx, Tensor x, std::span<const int32_t> targets) {
  CHECK(static_cast<int64_t>(targets.size()) == x.rows(), "{} targets for {}", targets.size(), x.shape.text());
  ArenaScope scope(cx.arena);
  Tensor max = empty(cx, {x.rows()}), sum = empty(cx, {x.rows()});
  run(cx, "softmax", cx.kernels.softmax,
      SoftmaxArgs{
          .y = nullptr, .x = x.f32(), .max_out = max.f32(), .sum_out = sum.f32(), .rows = x.rows(), .width = x.width()},
      {.flops = 3 * x.size()});
  std::vector<double> result(targets.size(), 0.0);
  for (size_t i = 0; !cx.dry && i < targets.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    CHECK(targets[i] >= 0 && targets[i] < x.width(), "target {} of {}", targets[i], x.width());
    result[i] = static_cast<double>(x.f32()[row * x.width() + targets[i]]) - static_cast<double>(max.f32()[i]) -
                std::log(static_cast<double>(sum.f32()[i]));
  }
  return result;
}

}  // namespace godwit
