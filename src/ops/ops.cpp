#include "ops/ops.h"

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
  CHECK(x.width() == gain.size(), "rms_norm: x {} against gain {}", x.shape.text(), gain.shape.text());
  Tensor y = empty(cx, x.shape);
  run(cx, "rms_norm", cx.kernels.rms_norm,
      RmsNormArgs{.y = y.f32(),
                  .x = x.f32(),
                  .gain = gain.f32(),
                  .rows = x.rows(),
                  .width = x.width(),
                  .eps = eps,
                  .gain_plus_one = gain_plus_one},
      {.flops = 4 * x.size(), .weight_bytes = gain.bytes()});
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
  const int64_t per_key =
      l.n_kv_heads * (kv_head_bytes(l.k_type, l.k_dim) + kv_head_bytes(l.v_type, l.v_dim)) / kPageTokens;
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

}  // namespace

Tensor attention(Context& cx, Tensor q, Tensor k, Tensor v, float scale, const StepInput& in) {
  const auto& parts = in.step.layout.places[static_cast<size_t>(in.place)];
  CHECK(parts.size() == 2, "attention at place {} with {} parts", in.place, parts.size());
  const StatePart &kp = parts[0].part, &vp = parts[1].part;
  CHECK(k.shape[1] == kp.shape[0] && k.shape[2] == kp.shape[1] && v.shape[2] == vp.shape[1] &&
            q.shape[2] == k.shape[2] && q.shape[1] % k.shape[1] == 0 && k.shape[2] <= kMaxHeadDim &&
            v.shape[2] <= kMaxHeadDim,
        "attention: q {}, k {}, v {}", q.shape.text(), k.shape.text(), v.shape.text());
  const KvLayout layout{.k_offset = parts[0].offset,
                        .v_offset = parts[1].offset,
                        .n_kv_heads = k.shape[1],
                        .k_dim = k.shape[2],
                        .v_dim = v.shape[2],
                        .k_type = kp.dtype,
                        .v_type = vp.dtype};
  const std::vector<KvRow>& rows = in.step.kv_rows(parts[0].group);
  run(cx, "kv_store", cx.kernels.kv_store,
      KvStoreArgs{.k = k.f32(),
                  .v = v.f32(),
                  .rows = rows.data(),
                  .n_rows = static_cast<int64_t>(rows.size()),
                  .layout = layout},
      {});
  Tensor y = empty(cx, {q.shape[0], q.shape[1], v.shape[2]});
  const AttentionArgs args{.y = y.f32(),
                           .q = q.f32(),
                           .rows = rows.data(),
                           .n_rows = static_cast<int64_t>(rows.size()),
                           .layout = layout,
                           .n_heads = q.shape[1],
                           .window = kp.window,
                           .scale = scale};
  run(cx, "attention", cx.kernels.attention, args, attention_cost(args));
  return y;
}

Tensor gated(Context& cx, Tensor gate, Tensor up, Activation activation) {
  CHECK(gate.shape == up.shape, "gated: {} against {}", gate.shape.text(), up.shape.text());
  Tensor y = empty(cx, gate.shape);
  run(cx, "gated", cx.kernels.gated,
      GatedArgs{.y = y.f32(), .gate = gate.f32(), .up = up.f32(), .count = gate.size(), .activation = activation},
      {.flops = 5 * gate.size()});
  return y;
}

Tensor residual(Context& cx, Tensor a, Tensor b, Tensor out) {
  CHECK(a.shape == b.shape && a.shape == out.shape, "residual: {} + {} -> {}", a.shape.text(), b.shape.text(),
        out.shape.text());
  run(cx, "residual", cx.kernels.add, AddArgs{.y = out.f32(), .a = a.f32(), .b = b.f32(), .count = a.size()},
      {.flops = a.size()});
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
