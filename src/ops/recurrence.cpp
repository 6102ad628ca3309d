#include "ops/recurrence.h"

namespace godwit {
namespace {

/// Rows of the batch with what make(row) adds, in the arena; none in a dry pass.
template <class RowArgs, class Make>
RowArgs* rows_of(Context& cx, const StepInput& in, const Make& make) {
  const auto& rows = in.step.batch.rows;
  auto* out = reinterpret_cast<RowArgs*>(cx.arena.alloc(static_cast<int64_t>(rows.size() * sizeof(RowArgs))));
  for (size_t i = 0; !cx.dry && i < rows.size(); ++i) out[i] = make(rows[i]);
  return out;
}

int64_t n_rows(const StepInput& in) { return static_cast<int64_t>(in.step.batch.rows.size()); }

StatePart rows_since(const char* name, int64_t width) {
  return {.name = name, .keep = Keep::kSinceEdge, .shape = {width}, .dtype = DType::kF32};
}

}  // namespace

std::vector<StatePart> conv_state(int64_t channels, int64_t taps, const std::vector<StatePart>& then) {
  std::vector<StatePart> parts = {
      {.name = "conv", .keep = Keep::kEdge, .shape = {std::max<int64_t>(taps - 1, 1), channels}, .dtype = DType::kF32},
      rows_since("conv_in", channels)};
  parts.insert(parts.end(), then.begin(), then.end());
  return parts;
}

Tensor short_conv(Context& cx, Tensor x, int64_t first, const ConvWeight& w, bool silu, const StepInput& in,
                  size_t part) {
  const int64_t channels = w.weight.shape[0], taps = w.weight.shape[1];
  CHECK(first >= 0 && first + channels <= x.width() && taps >= 1 && taps <= kMostTaps, "convolution {} of {} from {}",
        w.weight.shape.text(), x.shape.text(), first);
  Tensor y = empty(cx, {x.rows(), channels});
  const auto* rows = rows_of<ConvRow>(cx, in, [&](const Row& row) {
    return ConvRow{row.first, row.count, row.past, in.edge(row, part), in.since_edge(row, part + 1, 0)};
  });
  run(cx, "short_conv", cx.kernels.short_conv,
      ShortConvArgs{.y = y.f32(),
                    .x = x.f32() + first,
                    .w = w.weight.f32(),
                    .bias = w.bias.empty() ? nullptr : w.bias.f32(),
                    .rows = rows,
                    .n_rows = n_rows(in),
                    .x_step = x.width(),
                    .channels = channels,
                    .taps = taps,
                    .silu = silu},
      {.flops = (2 * taps + (w.bias.empty() ? 0 : 1) + (silu ? 4 : 0)) * y.size(),
       .weight_bytes = w.weight.bytes() + (w.bias.empty() ? 0 : w.bias.bytes()),
       .state_bytes = n_rows(in) * (taps - 1) * channels * 4});
  return y;
}

std::vector<StatePart> scan_state(int64_t channels, int64_t d_state) {
  return {{.name = "h", .keep = Keep::kNow, .shape = {d_state, channels}, .dtype = DType::kF32},
          rows_since("dt", channels),
          rows_since("x", channels),
          rows_since("b", d_state)};
}

Tensor selective_scan(Context& cx, Tensor x, Tensor dt, Tensor b, Tensor c, const ScanWeight& w, const StepInput& in,
                      size_t part) {
  const int64_t tokens = x.rows(), channels = x.width(), d_state = b.width();
  CHECK(x.shape == dt.shape && b.shape == c.shape && b.rows() == tokens && d_state <= kMostDiagonal &&
            w.a_log.shape == Shape({channels, d_state}) && w.d.size() == channels && w.dt_bias.size() == channels,
        "selective scan: x {}, dt {}, b {}, c {}, A {}", x.shape.text(), dt.shape.text(), b.shape.text(),
        c.shape.text(), w.a_log.shape.text());
  Tensor y = empty(cx, {tokens, channels});
  const auto* rows = rows_of<ScanRow>(cx, in, [&](const Row& row) {
    return ScanRow{row.first,
                   row.count,
                   row.past,
                   row.state->now_at,
                   in.now(row, part),
                   in.edge(row, part),
                   in.since_edge(row, part + 1, 0),
                   in.since_edge(row, part + 2, 0),
                   in.since_edge(row, part + 3, 0)};
  });
  run(cx, "selective_scan", cx.kernels.selective_scan,
      SelectiveScanArgs{.y = y.f32(),
                        .x = x.f32(),
                        .dt = dt.f32(),
                        .b = b.f32(),
                        .c = c.f32(),
                        .a_log = w.a_log.f32(),
                        .d = w.d.f32(),
                        .dt_bias = w.dt_bias.f32(),
                        .rows = rows,
                        .n_rows = n_rows(in),
                        .channels = channels,
                        .d_state = d_state,
                        .b_step = d_state,
                        .c_step = d_state},
      // Of a channel the bias and softplus of its time step, that times x, and D x added.
      {.flops = tokens * channels * (6 * d_state + 1 + 4 + 1 + 2),
       .weight_bytes = w.a_log.bytes() + w.d.bytes() + w.dt_bias.bytes(),
       .state_bytes = n_rows(in) * channels * d_state * 4});
  return y;
}

std::vector<StatePart> rg_lru_state(int64_t width) {
  return {{.name = "h", .keep = Keep::kNow, .shape = {width}, .dtype = DType::kF32},
          rows_since("decay", width),
          rows_since("in", width)};
}

Tensor rg_lru(Context& cx, Tensor x, Tensor input_gate, Tensor recurrent_gate, const RgLruWeight& w,
              const StepInput& in, size_t part) {
  const int64_t width = x.width();
  CHECK(input_gate.size() == x.size() && recurrent_gate.size() == x.size() && w.input_bias.size() == width &&
            w.recurrent_bias.size() == width && w.lambda.size() == width,
        "rg_lru: x {}, gates {} and {}", x.shape.text(), input_gate.shape.text(), recurrent_gate.shape.text());
  Tensor y = empty(cx, x.shape);
  const auto* rows = rows_of<RgLruRow>(cx, in, [&](const Row& row) {
    return RgLruRow{row.first,
                    row.count,
                    row.past,
                    row.state->now_at,
                    in.now(row, part),
                    in.edge(row, part),
                    in.since_edge(row, part + 1, 0),
                    in.since_edge(row, part + 2, 0)};
  });
  run(cx, "rg_lru", cx.kernels.rg_lru,
      RgLruArgs{.y = y.f32(),
                .x = x.f32(),
                .r_raw = recurrent_gate.f32(),
                .i_raw = input_gate.f32(),
                .r_bias = w.recurrent_bias.f32(),
                .i_bias = w.input_bias.f32(),
                .lambda = w.lambda.f32(),
                .rows = rows,
                .n_rows = n_rows(in),
                .width = width},
      // Two gates of a bias and a sigmoid each; the decay's logarithm, what is left of its square, its root, the input
      // times its gate and that, one fma.
      {.flops = (2 * (1 + 4) + 1 + 2 + 1 + 2 + 2) * x.size(),
       .weight_bytes = w.input_bias.bytes() + w.recurrent_bias.bytes() + w.lambda.bytes(),
       .state_bytes = n_rows(in) * width * 4});
  return y;
}

std::vector<StatePart> ssd_state(const SsdSpec& s) {
  return {{.name = "ssm", .keep = Keep::kEdge, .shape = {s.heads, s.d_state, s.head_dim}, .dtype = DType::kF32},
          rows_since("x", s.inner()),
          rows_since("b", s.groups * s.d_state),
          rows_since("dt", s.heads)};
}

Tensor ssd(Context& cx, Tensor xbc, Tensor dt, int64_t dt_first, const SsdWeight& w, const SsdSpec& s,
           const StepInput& in, size_t part) {
  CHECK(xbc.width() == s.channels() && dt_first + s.heads <= dt.width() && xbc.rows() == dt.rows() &&
            w.a_log.size() == s.heads && w.d.size() == s.heads && w.dt_bias.size() == s.heads &&
            s.heads % s.groups == 0,
        "ssd: {} and {} for {} heads of {}", xbc.shape.text(), dt.shape.text(), s.heads, s.head_dim);
  const int64_t tokens = xbc.rows(), shared = s.groups * s.d_state;
  Tensor y = empty(cx, {tokens, s.inner()});
  const ArenaScope scope(cx.arena);
  const Tensor g = empty(cx, {tokens, s.groups, kEdgeTokens});
  const auto* rows = rows_of<SsdRow>(cx, in, [&](const Row& row) {
    return SsdRow{row.first,
                  row.count,
                  row.past,
                  in.edge(row, part),
                  in.since_edge(row, part + 1, 0),
                  in.since_edge(row, part + 2, 0),
                  in.since_edge(row, part + 3, 0)};
  });
  run(cx, "ssd", cx.kernels.ssd,
      SsdArgs{.y = y.f32(),
              .x = xbc.f32(),
              .b = xbc.f32() + s.inner(),
              .c = xbc.f32() + s.inner() + shared,
              .dt = dt.f32() + dt_first,
              .a_log = w.a_log.f32(),
              .d = w.d.f32(),
              .dt_bias = w.dt_bias.f32(),
              .rows = rows,
              .n_rows = n_rows(in),
              .x_step = xbc.width(),
              .dt_step = dt.width(),
              .heads = s.heads,
              .head_dim = s.head_dim,
              .d_state = s.d_state,
              .groups = s.groups,
              .dt_low = s.dt_low,
              .dt_high = s.dt_high,
              .g = g.f32()},
      // The mean over a chunk: half of one lies between a token and the last edge.
      {.flops = tokens * (s.inner() * (4 * s.d_state + kEdgeTokens + 2) + shared * kEdgeTokens),
       .weight_bytes = w.a_log.bytes() + w.d.bytes() + w.dt_bias.bytes(),
       .state_bytes = n_rows(in) * (s.inner() * s.d_state + kEdgeTokens / 2 * (s.inner() + shared + s.heads)) * 4});
  return y;
}

}  // namespace godwit
