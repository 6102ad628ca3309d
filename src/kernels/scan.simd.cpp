// Short convolutions, selective scans and the real-gated linear recurrence in 16 lanes of channels: the same operations
// as recurrence.scalar.cpp, so the same bits.
#include "kernels/levels.h"
#include "kernels/math.h"
#include "kernels/recurrence.h"

namespace godwit::GODWIT_LEVEL {

namespace {

/// Calls f(channel, n) for blocks of 16 channels or what is left of them, one task a few blocks.
template <class F>
void over_channels(int64_t channels, int64_t blocks_per_task, Launch& launch, const F& f) {
  const int64_t width = blocks_per_task * kLanes, tasks = (channels + width - 1) / width;
  launch.parallel(tasks, [&](int64_t task) {
    const int64_t end = task * width + width < channels ? task * width + width : channels;
    for (int64_t c = task * width; c < end; c += kLanes) f(c, lanes_at(c, end));
  });
}

/// Where [n][count] values with columns `columns` apart begin, as [count][16]: padded lanes are 0.
void transpose_block(const float* x, int64_t columns, int64_t count, int n, float* y) {
  for (int64_t i = 0; i < count; ++i)
    for (int lane = 0; lane < kLanes; ++lane) y[i * kLanes + lane] = lane < n ? x[lane * columns + i] : 0.0f;
}

// ---------------------------------------------------------------- short convolution

/// Of channels [channel, channel + lanes); kFull: lanes is all.
template <bool kFull>
void conv_block(const ShortConvArgs& a, const ConvRow& row, int64_t channel, int lanes, const float* taps, Vec bias) {
  const int n = kFull ? kLanes : lanes;
  const int64_t edge = last_edge(row.past), before = a.taps - 1;
  const float* x = a.x + row.first * a.x_step + channel;
  const auto input = [&](int64_t position) {  // of a position before this step's
    return position >= edge ? row_since(row.since, position, a.channels) + channel
                            : row.tail + (position - (edge - before)) * a.channels + channel;
  };
  for (int64_t t = 0; t < row.count; ++t) {
    Vec sum = zero();
    int64_t j = 0;
    for (; j < before - t; ++j)
      sum = fma(load(taps + j * kLanes), load_lanes(input(row.past + t - before + j), n), sum);
    for (const float* p = x + (t - before + j) * a.x_step; j <= before; ++j, p += a.x_step)
      sum = fma(load(taps + j * kLanes), load_lanes(p, n), sum);
    if (a.bias != nullptr) sum = sum + bias;
    store_lanes(a.y + (row.first + t) * a.channels + channel, a.silu ? silu(sum) : sum, n);
  }
  const int64_t next = last_edge(row.past + row.count);
  if (next > row.past) {
    for (int64_t j = 0; j < before; ++j) {  // no input that is read here is older than the edge before
      const int64_t back = next - before + j - row.past;
      const Vec value = load_lanes(back >= 0 ? x + back * a.x_step : input(row.past + back), n);
      store_lanes(row.tail + j * a.channels + channel, value, n);
    }
  }
  for (int64_t p = next > row.past ? next : row.past; p < row.past + row.count; ++p)
    store_lanes(row_since(row.since, p, a.channels) + channel, load_lanes(x + (p - row.past) * a.x_step, n), n);
}

void short_conv(const ShortConvArgs& a, Launch& launch) {
  over_channels(a.channels, 8, launch, [&](int64_t channel, int n) {
    float taps[kMostTaps * kLanes];
    transpose_block(a.w + channel * a.taps, a.taps, a.taps, n, taps);
    const Vec bias = a.bias != nullptr ? load_lanes(a.bias + channel, n) : zero();
    for (int64_t i = 0; i < a.n_rows; ++i) {
      if (n == kLanes)
        conv_block<true>(a, a.rows[i], channel, n, taps, bias);
      else
        conv_block<false>(a, a.rows[i], channel, n, taps, bias);
    }
  });
}

// ---------------------------------------------------------------- selective scan

struct ScanBlock {
  int64_t channel;
  int n;
  const float* a;  // [d_state][16]: -exp(a_log)
  float* h;        // [d_state][16]
};

Vec scan_step(const SelectiveScanArgs& a, const ScanBlock& block, Vec dt, Vec x, const float* b, const float* c) {
  const Vec u = dt * x;
  Vec y = zero();
  for (int64_t n = 0; n < a.d_state; ++n) {
    const Vec decay = exp(dt * load(block.a + n * kLanes));
    const Vec h = fma(decay, load(block.h + n * kLanes), u * set1(b[n]));
    store(block.h + n * kLanes, h);
    if (c != nullptr) y = fma(set1(c[n]), h, y);
  }
  return y;
}

void scan_block(const SelectiveScanArgs& a, const ScanRow& row, const ScanBlock& block) {
  const int64_t channel = block.channel;
  const int lanes = block.n;
  const auto keep = [&](float* state) {
    for (int64_t n = 0; n < a.d_state; ++n)
      store_lanes(state + n * a.channels + channel, load(block.h + n * kLanes), lanes);
  };
  for (int64_t n = 0; n < a.d_state; ++n)
    store(block.h + n * kLanes, load_lanes(row.now + n * a.channels + channel, lanes));
  for (int64_t p = row.now_at; p < row.past; ++p)
    scan_step(a, block, load_lanes(row_since(row.dt_since, p, a.channels) + channel, lanes),
              load_lanes(row_since(row.x_since, p, a.channels) + channel, lanes), row_since(row.b_since, p, a.d_state),
              nullptr);
  const Vec bias = load_lanes(a.dt_bias + channel, lanes), d = load_lanes(a.d + channel, lanes);
  for (int64_t t = 0; t < row.count; ++t) {
    const int64_t at = row.first + t, i = at * a.channels + channel, position = row.past + t;
    const Vec dt = softplus(load_lanes(a.dt + i, lanes) + bias), x = load_lanes(a.x + i, lanes);
    const Vec y = scan_step(a, block, dt, x, a.b + at * a.b_step, a.c + at * a.c_step);
    store_lanes(a.y + i, fma(d, x, y), lanes);
    store_lanes(row_since(row.dt_since, position, a.channels) + channel, dt, lanes);
    if ((position + 1) % kEdgeTokens == 0) keep(row.edge);
  }
  keep(row.now);
}

void selective_scan(const SelectiveScanArgs& a, Launch& launch) {
  over_channels(a.channels, 4, launch, [&](int64_t channel, int n) {
    float slopes[kMostDiagonal * kLanes], h[kMostDiagonal * kLanes];
    transpose_block(a.a_log + channel * a.d_state, a.d_state, a.d_state, n, slopes);
    for (int64_t i = 0; i < a.d_state; ++i) store(slopes + i * kLanes, -exp(load(slopes + i * kLanes)));
    for (int64_t i = 0; i < a.n_rows; ++i) scan_block(a, a.rows[i], {channel, n, slopes, h});
  });
  for (int64_t i = 0; i < a.n_rows; ++i) {
    const ScanRow& row = a.rows[i];
    keep_since(row.x_since, a.x + row.first * a.channels, a.channels, a.channels, row.past, row.count);
    keep_since(row.b_since, a.b + row.first * a.b_step, a.b_step, a.d_state, row.past, row.count);
  }
}

// ---------------------------------------------------------------- real-gated linear recurrence

void rg_lru_block(const RgLruArgs& a, const RgLruRow& row, int64_t channel, int n) {
  const auto at = [&](const float* p) { return load_lanes(p + channel, n); };
  Vec h = at(row.now);
  for (int64_t p = row.now_at; p < row.past; ++p)
    h = fma(at(row_since(row.a_since, p, a.width)), h, at(row_since(row.in_since, p, a.width)));
  const Vec slope = set1(-8.0f) * softplus(at(a.lambda)), r_bias = at(a.r_bias), i_bias = at(a.i_bias);
  for (int64_t t = 0; t < row.count; ++t) {
    const int64_t i = (row.first + t) * a.width, position = row.past + t;
    const Vec r = sigmoid(at(a.r_raw + i) + r_bias), gate = sigmoid(at(a.i_raw + i) + i_bias);
    const Vec log_decay = slope * r;
    Vec decay = exp(log_decay), in = gate * at(a.x + i);
    if (position == 0) {
      decay = zero();
    } else {
      const Vec half = tanh(log_decay);
      in = sqrt(set1(-2.0f) * half / (set1(1.0f) - half)) * in;
    }
    h = fma(decay, h, in);
    store_lanes(a.y + i + channel, h, n);
    store_lanes(row_since(row.a_since, position, a.width) + channel, decay, n);
    store_lanes(row_since(row.in_since, position, a.width) + channel, in, n);
    if ((position + 1) % kEdgeTokens == 0) store_lanes(row.edge + channel, h, n);
  }
  store_lanes(row.now + channel, h, n);
}

void rg_lru(const RgLruArgs& a, Launch& launch) {
  over_channels(a.width, 8, launch, [&](int64_t channel, int n) {
    for (int64_t i = 0; i < a.n_rows; ++i) rg_lru_block(a, a.rows[i], channel, n);
  });
}

}  // namespace

void add_recurrences(Kernels& kernels) {
  kernels.short_conv = short_conv;
  kernels.selective_scan = selective_scan;
  kernels.rg_lru = rg_lru;
  add_state_space_dual(kernels);
}

}  // namespace godwit::GODWIT_LEVEL
