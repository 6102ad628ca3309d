// Short convolutions, selective scans, the real-gated linear recurrence and the state-space dual: the definition, in
// the order of docs/numerics.md. Every other level equals these bit for bit.
#include "kernels/recurrence.h"

#include "kernels/levels.h"
#include "kernels/math.h"

namespace godwit::scalar {

namespace {

// ---------------------------------------------------------------- short convolution

/// The input of a position, as far back as taps - 1 before the last edge at or before `past`.
const float* conv_input(const ShortConvArgs& a, const ConvRow& row, int64_t position) {
  if (position >= row.past) return a.x + (row.first + position - row.past) * a.x_step;
  const int64_t edge = last_edge(row.past);
  if (position >= edge) return row_since(row.since, position, a.channels);
  return row.tail + (position - (edge - (a.taps - 1))) * a.channels;
}

void short_conv_row(const ShortConvArgs& a, const ConvRow& row) {
  for (int64_t t = 0; t < row.count; ++t) {
    for (int64_t c = 0; c < a.channels; ++c) {
      float sum = 0.0f;
      for (int64_t j = 0; j < a.taps; ++j)
        sum = fma(a.w[c * a.taps + j], conv_input(a, row, row.past + t - a.taps + 1 + j)[c], sum);
      if (a.bias != nullptr) sum = sum + a.bias[c];
      a.y[(row.first + t) * a.channels + c] = a.silu ? silu(sum) : sum;
    }
  }
  const int64_t edge = last_edge(row.past + row.count);
  if (edge > row.past)
    for (int64_t j = 0; j < a.taps - 1; ++j)  // ascending: what is read lies further on
      std::memmove(row.tail + j * a.channels, conv_input(a, row, edge - (a.taps - 1) + j),
                   static_cast<size_t>(a.channels) * sizeof(float));
  keep_since(row.since, a.x + row.first * a.x_step, a.x_step, a.channels, row.past, row.count);
}

void short_conv(const ShortConvArgs& a, Launch& launch) {
  launch.parallel(a.n_rows, [&](int64_t i) { short_conv_row(a, a.rows[i]); });
}

// ---------------------------------------------------------------- selective scan

float scan_step(const SelectiveScanArgs& a, int64_t channel, float* h, float dt, float x, const float* b,
                const float* c) {
  const float u = dt * x;
  float y = 0.0f;
  for (int64_t n = 0; n < a.d_state; ++n) {
    const float decay = exp(dt * -exp(a.a_log[channel * a.d_state + n]));
    float& state = h[n * a.channels + channel];
    state = fma(decay, state, u * b[n]);
    if (c != nullptr) y = fma(c[n], state, y);
  }
  return fma(a.d[channel], x, y);
}

void selective_scan_row(const SelectiveScanArgs& a, const ScanRow& row) {
  for (int64_t c = 0; c < a.channels; ++c) {
    for (int64_t p = row.now_at; p < row.past; ++p)
      scan_step(a, c, row.now, row_since(row.dt_since, p, a.channels)[c], row_since(row.x_since, p, a.channels)[c],
                row_since(row.b_since, p, a.d_state), nullptr);
    for (int64_t t = 0; t < row.count; ++t) {
      const int64_t at = row.first + t, i = at * a.channels + c;
      const float dt = softplus(a.dt[i] + a.dt_bias[c]);
      a.y[i] = scan_step(a, c, row.now, dt, a.x[i], a.b + at * a.b_step, a.c + at * a.c_step);
      row_since(row.dt_since, row.past + t, a.channels)[c] = dt;
      if ((row.past + t + 1) % kEdgeTokens != 0) continue;
      for (int64_t n = 0; n < a.d_state; ++n) row.edge[n * a.channels + c] = row.now[n * a.channels + c];
    }
  }
  keep_since(row.x_since, a.x + row.first * a.channels, a.channels, a.channels, row.past, row.count);
  keep_since(row.b_since, a.b + row.first * a.b_step, a.b_step, a.d_state, row.past, row.count);
}

void selective_scan(const SelectiveScanArgs& a, Launch& launch) {
  launch.parallel(a.n_rows, [&](int64_t i) { selective_scan_row(a, a.rows[i]); });
}

// ---------------------------------------------------------------- real-gated linear recurrence

void rg_lru_row(const RgLruArgs& a, const RgLruRow& row) {
  for (int64_t c = 0; c < a.width; ++c) {
    float h = row.now[c];
    for (int64_t p = row.now_at; p < row.past; ++p)
      h = fma(row_since(row.a_since, p, a.width)[c], h, row_since(row.in_since, p, a.width)[c]);
    const float slope = -8.0f * softplus(a.lambda[c]);
    for (int64_t t = 0; t < row.count; ++t) {
      const int64_t i = (row.first + t) * a.width + c, position = row.past + t;
      const float r = sigmoid(a.r_raw[i] + a.r_bias[c]), gate = sigmoid(a.i_raw[i] + a.i_bias[c]);
      const float log_decay = slope * r;
      float decay = exp(log_decay), in = gate * a.x[i];
      if (position == 0) {
        decay = 0.0f;
      } else {
        const float half = tanh(log_decay);
        in = sqrt(-2.0f * half / (1.0f - half)) * in;
      }
      a.y[i] = h = fma(decay, h, in);
      row_since(row.a_since, position, a.width)[c] = decay;
      row_since(row.in_since, position, a.width)[c] = in;
      if ((position + 1) % kEdgeTokens == 0) row.edge[c] = h;
    }
    row.now[c] = h;
  }
}

void rg_lru(const RgLruArgs& a, Launch& launch) {
  launch.parallel(a.n_rows, [&](int64_t i) { rg_lru_row(a, a.rows[i]); });
}

// ---------------------------------------------------------------- state-space dual

/// One chunk of one head: what came in, by token of the chunk.
struct SsdChunk {
  const float *x[kEdgeTokens], *b[kEdgeTokens];
  float dt[kEdgeTokens], cum[kEdgeTokens];
};

SsdChunk gather(const SsdArgs& a, const SsdRow& row, int64_t head, const Chunk& chunk) {
  SsdChunk in;
  const int64_t group = head / (a.heads / a.groups), x_width = a.heads * a.head_dim, b_width = a.groups * a.d_state;
  const float slope = -exp(a.a_log[head]);
  float cum = 0.0f;
  for (int64_t j = 0; j < chunk.to; ++j) {
    const int64_t position = chunk.start + j, at = row.first + position - row.past;
    const bool kept = j < chunk.from;
    in.x[j] = (kept ? row.x_since + j * x_width : a.x + at * a.x_step) + head * a.head_dim;
    in.b[j] = (kept ? row.b_since + j * b_width : a.b + at * a.x_step) + group * a.d_state;
    in.dt[j] = kept ? row.dt_since[j * a.heads + head]
                    : min(a.dt_high, max(a.dt_low, softplus(a.dt[at * a.dt_step + head] + a.dt_bias[head])));
    in.cum[j] = cum = cum + in.dt[j] * slope;
  }
  return in;
}

void ssd_token(const SsdArgs& a, const SsdRow& row, int64_t head, const SsdChunk& in, int64_t t, int64_t at) {
  const float* c = a.c + at * a.x_step + head / (a.heads / a.groups) * a.d_state;
  const float* state = row.state + head * a.d_state * a.head_dim;
  float* y = a.y + (at * a.heads + head) * a.head_dim;
  for (int64_t p = 0; p < a.head_dim; ++p) {
    float sum = 0.0f;
    for (int64_t n = 0; n < a.d_state; ++n) sum = fma(c[n], state[n * a.head_dim + p], sum);
    y[p] = sum * exp(in.cum[t]);
  }
  for (int64_t j = 0; j <= t; ++j) {
    float g = 0.0f;
    for (int64_t n = 0; n < a.d_state; ++n) g = fma(c[n], in.b[j][n], g);
    const float weight = g * in.dt[j] * exp(in.cum[t] - in.cum[j]);
    for (int64_t p = 0; p < a.head_dim; ++p) y[p] = fma(weight, in.x[j][p], y[p]);
  }
  for (int64_t p = 0; p < a.head_dim; ++p) y[p] = fma(a.d[head], in.x[t][p], y[p]);
}

void ssd_edge(const SsdArgs& a, const SsdRow& row, int64_t head, const SsdChunk& in) {
  float* state = row.state + head * a.d_state * a.head_dim;
  const float all = in.cum[kEdgeTokens - 1];
  float weight[kEdgeTokens];
  for (int64_t j = 0; j < kEdgeTokens; ++j) weight[j] = in.dt[j] * exp(all - in.cum[j]);
  for (int64_t n = 0; n < a.d_state; ++n) {
    for (int64_t p = 0; p < a.head_dim; ++p) {
      float s = exp(all) * state[n * a.head_dim + p];
      for (int64_t j = 0; j < kEdgeTokens; ++j) s = fma(in.b[j][n], weight[j] * in.x[j][p], s);
      state[n * a.head_dim + p] = s;
    }
  }
}

void ssd_row(const SsdArgs& a, const SsdRow& row) {
  for (int64_t head = 0; head < a.heads; ++head) {
    for (int64_t i = 0; i < n_chunks(row.past, row.count); ++i) {
      const Chunk chunk = chunk_at(row.past, row.count, i);
      const SsdChunk in = gather(a, row, head, chunk);
      for (int64_t t = chunk.from; t < chunk.to; ++t)
        ssd_token(a, row, head, in, t, row.first + chunk.start + t - row.past);
      for (int64_t t = chunk.from; t < chunk.to; ++t) row.dt_since[t * a.heads + head] = in.dt[t];
      if (chunk.complete()) ssd_edge(a, row, head, in);
    }
  }
  keep_since(row.x_since, a.x + row.first * a.x_step, a.x_step, a.heads * a.head_dim, row.past, row.count);
  keep_since(row.b_since, a.b + row.first * a.x_step, a.x_step, a.groups * a.d_state, row.past, row.count);
}

void ssd(const SsdArgs& a, Launch& launch) {
  launch.parallel(a.n_rows, [&](int64_t i) { ssd_row(a, a.rows[i]); });
}

}  // namespace

void add_recurrences(Kernels& kernels) {
  kernels.short_conv = short_conv;
  kernels.selective_scan = selective_scan;
  kernels.rg_lru = rg_lru;
  kernels.ssd = ssd;
}

}  // namespace godwit::scalar
