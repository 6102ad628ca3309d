// The four recurrences as the tests see them: random shapes, weights and sequences, the kernel's call, and the
// definition in double, with bounds on what rounding may do that come from the data.
#pragma once

#include <algorithm>
#include <deque>

#include "kernels/elementwise_harness.h"

namespace godwit::test {

/// Floats of one token in an input, and between tokens.
struct Stream {
  int64_t width, step;
};

/// One array of a sequence's record: a state, or rows of tokens since the edge.
struct Part {
  int64_t rows, width;
  bool since;
};

/// Inputs [n][width] of one sequence, one array a stream.
struct Sequence {
  int64_t n;
  std::vector<std::vector<float>> inputs;
};

/// Tokens of one sequence in a batch, and its record.
struct BatchRow {
  int32_t first, count;
  int64_t past, now_at;
  std::vector<float*> parts;
};

struct Exact {
  double value, bound;
};

using Memories = std::deque<Fenced<float>>;

/// log(1 + e^(raw + bias)).
inline Exact softplus_of(double raw, double bias) {
  const double x = raw + bias, value = x > 40 ? x : std::log1p(std::exp(x));
  return {value, kEps * (std::fabs(x) / (1 + std::exp(-x)) + 8 * value)};
}

/// 1 / (1 + e^-(raw + bias)).
inline Exact sigmoid_of(double raw, double bias) {
  const double x = raw + bias, value = 1 / (1 + std::exp(-x));
  return {value, kEps * (std::fabs(x) * value * (1 - value) + 8 * value)};
}

/// One layer of some kind: shape and weights.
struct Recurrence {
  virtual ~Recurrence() = default;
  virtual void run(const Kernels& kernels, Launch& launch, float* y, const Memories& inputs,
                   const std::vector<BatchRow>& rows, int64_t tokens) const = 0;
  /// Of every output of a sequence, from its first token.
  virtual std::vector<Exact> definition(const Sequence& s) const = 0;

  Sequence sequence(Random& random, int64_t n, float scale = 1.0f, int64_t one_awkward_in = 0) const {
    Sequence s{n, {}};
    for (const Stream& stream : streams)
      s.inputs.push_back(filled(static_cast<size_t>(n * stream.width), [&] {
        return one_awkward_in > 0 && random.below(one_awkward_in) == 0 ? random.awkward() : scale * random.normal();
      }));
    return s;
  }
  double in(const Sequence& s, size_t stream, int64_t token, int64_t i) const {
    return s.inputs[stream][static_cast<size_t>(token * streams[stream].width + i)];
  }
  double weight(size_t i, int64_t at) const { return weights[i][static_cast<size_t>(at)]; }
  template <class F>
  void add_weight(int64_t n, F f) {
    weights.emplace_back(filled(static_cast<size_t>(n), f));
  }

  std::vector<Stream> streams;
  std::vector<Part> parts;
  int64_t width = 0;     // of a token's output
  bool replays = false;  // parts 0 and 1 are the state now and at the edge
  Memories weights;
};

struct ShortConvCase : Recurrence {
  int64_t channels, taps;
  bool silu, with_bias;

  explicit ShortConvCase(Random& r)
      : channels(1 + r.below(150)),
        taps(r.below(2) == 0 ? 4 : 1 + r.below(kMostTaps)),
        silu(r.below(2) == 0),
        with_bias(r.below(2) == 0) {
    streams = {{channels, channels + r.below(9)}};
    parts = {{taps - 1, channels, false}, {kEdgeTokens, channels, true}};
    width = channels;
    add_weight(channels * taps, [&] { return r.normal(); });
    add_weight(channels, [&] { return r.normal(); });
  }

  void run(const Kernels& kernels, Launch& launch, float* y, const Memories& in, const std::vector<BatchRow>& rows,
           int64_t) const override {
    std::vector<ConvRow> of;
    for (const BatchRow& b : rows) of.push_back({b.first, b.count, b.past, b.parts[0], b.parts[1]});
    kernels.short_conv({y, in[0].data(), weights[0].data(), with_bias ? weights[1].data() : nullptr, of.data(),
                        static_cast<int64_t>(of.size()), streams[0].step, channels, taps, silu},
                       launch);
  }

  std::vector<Exact> definition(const Sequence& s) const override {
    std::vector<Exact> all;
    for (int64_t t = 0; t < s.n; ++t) {
      for (int64_t c = 0; c < channels; ++c) {
        double sum = with_bias ? weight(1, c) : 0, size = std::fabs(sum);
        for (int64_t j = std::max<int64_t>(0, taps - 1 - t); j < taps; ++j) {
          const double term = weight(0, c * taps + j) * in(s, 0, t - taps + 1 + j, c);
          sum += term, size += std::fabs(term);
        }
        const double bound = static_cast<double>(taps + 1) * kEps * size, y = sum / (1 + std::exp(-sum));
        all.push_back(silu ? Exact{y, 1.1 * bound + 8 * kEps * std::fabs(y)} : Exact{sum, bound});
      }
    }
    return all;
  }
};

struct SelectiveScanCase : Recurrence {
  int64_t channels, d_state;

  explicit SelectiveScanCase(Random& r) {
    const bool deep = r.below(6) == 0;
    channels = 1 + r.below(deep ? 20 : 150), d_state = deep ? kMostDiagonal - r.below(2) : 1 + r.below(20);
    set(d_state + r.below(5), d_state + r.below(5));
    add_weight(channels * d_state, [&] { return r.uniform(-3, 3); });
    for (int i = 0; i < 2; ++i) add_weight(channels, [&] { return r.normal(); });
  }
  /// With weights to be added: a_log, d, dt_bias.
  SelectiveScanCase(int64_t n_channels, int64_t n_states) : channels(n_channels), d_state(n_states) {
    set(d_state, d_state);
  }
  void set(int64_t b_step, int64_t c_step) {
    streams = {{channels, channels}, {channels, channels}, {d_state, b_step}, {d_state, c_step}};  // x, dt, b, c
    parts = {{d_state, channels, false},
             {d_state, channels, false},
             {kEdgeTokens, channels, true},
             {kEdgeTokens, channels, true},
             {kEdgeTokens, d_state, true}};
    width = channels;
    replays = true;
  }

  void run(const Kernels& kernels, Launch& launch, float* y, const Memories& in, const std::vector<BatchRow>& rows,
           int64_t) const override {
    std::vector<ScanRow> of;
    for (const BatchRow& b : rows)
      of.push_back({b.first, b.count, b.past, b.now_at, b.parts[0], b.parts[1], b.parts[2], b.parts[3], b.parts[4]});
    kernels.selective_scan({y, in[0].data(), in[1].data(), in[2].data(), in[3].data(), weights[0].data(),
                            weights[1].data(), weights[2].data(), of.data(), static_cast<int64_t>(of.size()), channels,
                            d_state, streams[2].step, streams[3].step},
                           launch);
  }

  std::vector<Exact> definition(const Sequence& s) const override {
    const auto n_states = static_cast<size_t>(d_state);
    std::vector<Exact> all(static_cast<size_t>(s.n * channels));
    for (int64_t c = 0; c < channels; ++c) {
      std::vector<double> h(n_states, 0.0), off(n_states, 0.0);
      for (int64_t t = 0; t < s.n; ++t) {
        const double x = in(s, 0, t, c);
        const Exact dt = softplus_of(in(s, 1, t, c), weight(2, c));
        double y = weight(1, c) * x, size = std::fabs(y), error = kFlushed;
        for (size_t n = 0; n < n_states; ++n) {
          const auto i = static_cast<int64_t>(n);
          const double a = -std::exp(weight(0, c * d_state + i)), arg = dt.value * a, decay = std::exp(arg);
          const double decay_off = decay * ((6 * std::fabs(arg) + 4) * kEps - a * dt.bound) + kFlushed;
          const double b = in(s, 2, t, i), add = dt.value * x * b, old = h[n];
          h[n] = decay * old + add;
          off[n] = (decay + decay_off) * off[n] + std::fabs(old) * decay_off + std::fabs(x * b) * dt.bound +
                   kEps * (3 * std::fabs(add) + std::fabs(h[n])) + kFlushed;
          const double term = in(s, 3, t, i) * h[n];
          y += term, size += std::fabs(term), error += std::fabs(in(s, 3, t, i)) * off[n];
        }
        all[static_cast<size_t>(t * channels + c)] = {y, error + static_cast<double>(d_state + 2) * kEps * size};
      }
    }
    return all;
  }
};

struct RgLruCase : Recurrence {
  explicit RgLruCase(Random& r) {
    width = 1 + r.below(150);
    streams.assign(3, {width, width});  // x, r, i
    parts = {{1, width, false}, {1, width, false}, {kEdgeTokens, width, true}, {kEdgeTokens, width, true}};
    replays = true;
    for (int i = 0; i < 2; ++i) add_weight(width, [&] { return r.normal(); });
    add_weight(width, [&] { return r.uniform(-6, 3); });
  }

  void run(const Kernels& kernels, Launch& launch, float* y, const Memories& in, const std::vector<BatchRow>& rows,
           int64_t) const override {
    std::vector<RgLruRow> of;
    for (const BatchRow& b : rows)
      of.push_back({b.first, b.count, b.past, b.now_at, b.parts[0], b.parts[1], b.parts[2], b.parts[3]});
    kernels.rg_lru({y, in[0].data(), in[1].data(), in[2].data(), weights[0].data(), weights[1].data(),
                    weights[2].data(), of.data(), static_cast<int64_t>(of.size()), width},
                   launch);
  }

  std::vector<Exact> definition(const Sequence& s) const override {
    std::vector<Exact> all(static_cast<size_t>(s.n * width));
    for (int64_t c = 0; c < width; ++c) {
      const double slope = -8 * softplus_of(weight(2, c), 0).value;
      double h = 0, off = 0;
      for (int64_t t = 0; t < s.n; ++t) {
        const Exact r = sigmoid_of(in(s, 1, t, c), weight(0, c)), gate = sigmoid_of(in(s, 2, t, c), weight(1, c));
        const double x = in(s, 0, t, c), arg = slope * r.value, decay = t == 0 ? 0 : std::exp(arg);
        const double decay_off = decay * ((12 * std::fabs(arg) + 4) * kEps - slope * r.bound) + kFlushed;
        const double square = 1 - decay * decay, m = std::sqrt(square);
        const double m_off = (decay_off * (2 * decay + decay_off) + kEps * square) / m + 2 * kEps * m;
        const double add = m * gate.value * x, old = h;
        h = decay * old + add;
        off = (decay + decay_off) * off + std::fabs(old) * decay_off + std::fabs(gate.value * x) * m_off +
              m * std::fabs(x) * gate.bound + kEps * (3 * std::fabs(add) + std::fabs(h)) + kFlushed;
        all[static_cast<size_t>(t * width + c)] = {h, off};
      }
    }
    return all;
  }
};

struct SsdCase : Recurrence {
  int64_t heads, head_dim, d_state, groups;
  float dt_low = 0, dt_high = std::numeric_limits<float>::infinity();

  explicit SsdCase(Random& r) {
    groups = 1 + r.below(3), heads = groups * (1 + r.below(3));
    head_dim = r.below(2) == 0 ? 1 + r.below(20) : 64 + r.below(40);
    d_state = r.below(2) == 0 ? 1 + r.below(20) : 60 + r.below(75);
    if (r.below(2) == 0) dt_low = 0.05f, dt_high = 0.8f;
    set(r.below(7), r.below(4));
    add_weight(heads, [&] { return r.uniform(-4, 3); });
    for (int i = 0; i < 2; ++i) add_weight(heads, [&] { return r.normal(); });
  }
  /// With weights to be added: a_log, d, dt_bias.
  SsdCase(int64_t n_heads, int64_t width_of_head, int64_t n_states, int64_t n_groups)
      : heads(n_heads), head_dim(width_of_head), d_state(n_states), groups(n_groups) {
    set(0, 0);
  }
  void set(int64_t x_padding, int64_t dt_padding) {
    width = heads * head_dim;
    const int64_t all = width + 2 * groups * d_state;
    streams = {{all, all + x_padding}, {heads, heads + dt_padding}};  // x with b with c; dt
    parts = {{heads * d_state, head_dim, false},
             {kEdgeTokens, width, true},
             {kEdgeTokens, groups * d_state, true},
             {kEdgeTokens, heads, true}};
  }

  void run(const Kernels& kernels, Launch& launch, float* y, const Memories& in, const std::vector<BatchRow>& rows,
           int64_t tokens) const override {
    std::vector<SsdRow> of;
    for (const BatchRow& b : rows)
      of.push_back({b.first, b.count, b.past, b.parts[0], b.parts[1], b.parts[2], b.parts[3]});
    Fenced<float> scratch(static_cast<size_t>(tokens * groups * kEdgeTokens));
    const float *x = in[0].data(), *b = x + width;
    kernels.ssd({y, x, b, b + groups * d_state, in[1].data(), weights[0].data(), weights[1].data(), weights[2].data(),
                 of.data(), static_cast<int64_t>(of.size()), streams[0].step, streams[1].step, heads, head_dim, d_state,
                 groups, dt_low, dt_high, scratch.data()},
                launch);
  }

  /// The plain recurrence S = exp(dt a) S + b (dt x), y = c S + d x. The bound follows the sizes of S's terms through
  /// the chunks' sums: decays come from sums since the edge, and an edge rounds once more.
  std::vector<Exact> definition(const Sequence& s) const override {
    std::vector<Exact> all(static_cast<size_t>(s.n * width));
    for (int64_t head = 0; head < heads; ++head) {
      std::vector<double> state(static_cast<size_t>(d_state * head_dim), 0.0), size = state, off = state;
      const double a = -std::exp(weight(0, head));
      const int64_t b0 = width + head / (heads / groups) * d_state, c0 = b0 + groups * d_state;
      double cum = 0;
      for (int64_t t = 0; t < s.n; ++t) {
        Exact dt = softplus_of(in(s, 1, t, head), weight(2, head));
        dt.value = std::clamp<double>(dt.value, dt_low, dt_high);
        const double arg = dt.value * a, decay = std::exp(arg);
        cum = t % kEdgeTokens == 0 ? arg : cum + arg;
        const double decay_off = (6 * std::fabs(arg) + std::fabs(cum)) * kEps - a * dt.bound;
        const double read_off = (static_cast<double>(d_state) + 40 + 2 * std::fabs(cum)) * kEps;
        const bool at_edge = (t + 1) % kEdgeTokens == 0;
        Exact* y = &all[static_cast<size_t>(t * width + head * head_dim)];
        for (int64_t p = 0; p < head_dim; ++p) {
          const double through = weight(1, head) * in(s, 0, t, head * head_dim + p);
          y[p] = {through, 2 * kEps * std::fabs(through) + kFlushed};
        }
        for (int64_t n = 0; n < d_state; ++n) {
          const double b = in(s, 0, t, b0 + n), c = in(s, 0, t, c0 + n);
          for (int64_t p = 0; p < head_dim; ++p) {
            const double bx = b * in(s, 0, t, head * head_dim + p);
            double &at = state[static_cast<size_t>(n * head_dim + p)],
                   &of = size[static_cast<size_t>(n * head_dim + p)],
                   &error = off[static_cast<size_t>(n * head_dim + p)];
            at = decay * at + dt.value * bx;
            error = decay * (error + decay_off * of) + std::fabs(bx) * (dt.bound + 4 * kEps * dt.value) + kFlushed;
            of = decay * of + std::fabs(dt.value * bx);
            y[p].value += c * at;
            y[p].bound += std::fabs(c) * (error + of * read_off);
            if (at_edge) error += of * (40 + 2 * std::fabs(cum)) * kEps;
          }
        }
      }
    }
    return all;
  }
};

}  // namespace godwit::test
