// The state-space dual in 16 lanes: scores g with lanes along the chunk's tokens, everything else with lanes along the
// head's channels. The same operations as recurrence.scalar.cpp, so the same bits.
#include <utility>

#include "kernels/levels.h"
#include "kernels/math.h"
#include "kernels/recurrence.h"

namespace godwit::GODWIT_LEVEL {

namespace {

constexpr int kHalf = 2;  // vectors that hold a value for each token of a chunk
static_assert(kHalf * kLanes == kEdgeTokens);
constexpr int64_t kBlock = 64;  // channels of the state that scores take in at once

// ---------------------------------------------------------------- scores

/// g of the chunk's new tokens for one group, written to a.g.
void scores(const SsdArgs& a, const SsdRow& row, const Chunk& chunk, int64_t group) {
  const int64_t first = row.first + chunk.start - row.past;  // the chunk's first token in the batch; may be before it
  for (int64_t n0 = 0; n0 < a.d_state; n0 += kBlock) {
    const int64_t width = a.d_state - n0 < kBlock ? a.d_state - n0 : kBlock;
    float b[kBlock * kEdgeTokens];  // [width][token]
    for (int64_t j = 0; j < kEdgeTokens; ++j) {
      const float* from = j < chunk.from ? row.b_since + j * a.groups * a.d_state : a.b + (first + j) * a.x_step;
      for (int64_t n = 0; n < width; ++n)
        b[n * kEdgeTokens + j] = j < chunk.to ? from[group * a.d_state + n0 + n] : 0.0f;
    }
    for (int64_t t = chunk.from; t < chunk.to; ++t) {
      const float* c = a.c + (first + t) * a.x_step + group * a.d_state + n0;
      float* g = a.g + ((first + t) * a.groups + group) * kEdgeTokens;
      Vec low = n0 == 0 ? zero() : load(g), high = n0 == 0 ? zero() : load(g + kLanes);
      for (int64_t n = 0; n < width; ++n) {
        const Vec factor = set1(c[n]);
        low = fma(factor, load(b + n * kEdgeTokens), low);
        high = fma(factor, load(b + n * kEdgeTokens + kLanes), high);
      }
      store(g, low);
      store(g + kLanes, high);
    }
  }
}

// ---------------------------------------------------------------- one chunk of one head

struct HeadChunk {
  const float *x[kEdgeTokens], *b[kEdgeTokens];
  float dt[kEdgeTokens], cum[kEdgeTokens];
};

void gather(const SsdArgs& a, const SsdRow& row, int64_t head, const Chunk& chunk, HeadChunk& in) {
  const int64_t group = head / (a.heads / a.groups), x_width = a.heads * a.head_dim, b_width = a.groups * a.d_state;
  const int64_t first = row.first + chunk.start - row.past;
  const Vec bias = set1(a.dt_bias[head]), low = set1(a.dt_low), high = set1(a.dt_high);
  for (int64_t j = 0; j < kEdgeTokens; ++j)
    in.dt[j] = j >= chunk.from && j < chunk.to ? a.dt[(first + j) * a.dt_step + head] : 0.0f;
  for (int i = 0; i < kHalf; ++i)
    store(in.dt + i * kLanes, min(high, max(low, softplus(load(in.dt + i * kLanes) + bias))));
  const float slope = -exp(a.a_log[head]);
  float cum = 0.0f;
  for (int64_t j = 0; j < chunk.to; ++j) {
    const bool kept = j < chunk.from;
    in.x[j] = (kept ? row.x_since + j * x_width : a.x + (first + j) * a.x_step) + head * a.head_dim;
    in.b[j] = (kept ? row.b_since + j * b_width : a.b + (first + j) * a.x_step) + group * a.d_state;
    if (kept) in.dt[j] = row.dt_since[j * a.heads + head];
    in.cum[j] = cum = cum + in.dt[j] * slope;
  }
  for (int64_t j = chunk.to; j < kEdgeTokens; ++j) in.cum[j] = cum;
}

/// weight[j] = f_j exp(cum - cum_j).
void decayed(const HeadChunk& in, float cum, const float* factors, float* weight) {
  for (int i = 0; i < kHalf; ++i)
    store(weight + i * kLanes, load(factors + i * kLanes) * exp(set1(cum) - load(in.cum + i * kLanes)));
}

/// What tokens [t, t + kTokens) take of each token before them, and of the state.
template <int kTokens>
struct Weights {
  float of[kTokens][kEdgeTokens], of_state[kTokens];

  Weights(const SsdArgs& a, int64_t group, const HeadChunk& in, int64_t first, int64_t t) {
    for (int k = 0; k < kTokens; ++k) {
      const float* g = a.g + ((first + t + k) * a.groups + group) * kEdgeTokens;
      for (int i = 0; i < kHalf; ++i) store(of[k] + i * kLanes, load(g + i * kLanes) * load(in.dt + i * kLanes));
      decayed(in, in.cum[t + k], of[k], of[k]);
      of_state[k] = exp(in.cum[t + k]);
    }
  }
};

/// kTokens tokens from t on, kVecs vectors of channels from p on (the last one of n lanes).
template <int kTokens, int kVecs>
void outputs(const SsdArgs& a, const SsdRow& row, int64_t head, const HeadChunk& in, const Weights<kTokens>& weights,
             int64_t first, int64_t t, int64_t p, int n) {
  const int64_t group = head / (a.heads / a.groups);
  const float* state = row.state + head * a.d_state * a.head_dim + p;
  const float* c = a.c + (first + t) * a.x_step + group * a.d_state;
  const auto at = [n](const float* q, int v) { return load_lanes(q, v == kVecs - 1 ? n : kLanes); };
  Vec sum[kTokens][kVecs];
  for (auto& of_token : sum)
    for (Vec& s : of_token) s = zero();
  for (int64_t i = 0; i < a.d_state; ++i) {
    for (int v = 0; v < kVecs; ++v) {
      const Vec s = at(state + i * a.head_dim + v * kLanes, v);
      for (int k = 0; k < kTokens; ++k) sum[k][v] = fma(set1(c[k * a.x_step + i]), s, sum[k][v]);
    }
  }
  for (int k = 0; k < kTokens; ++k)
    for (int v = 0; v < kVecs; ++v) sum[k][v] = sum[k][v] * set1(weights.of_state[k]);
  // Tokens that all of these see, together: alone, each addition would wait for the one before.
  for (int64_t j = 0; j <= t; ++j) {
    for (int v = 0; v < kVecs; ++v) {
      const Vec x = at(in.x[j] + p + v * kLanes, v);
      for (int k = 0; k < kTokens; ++k) sum[k][v] = fma(set1(weights.of[k][j]), x, sum[k][v]);
    }
  }
  // Then what follows, token by token. Out of one place: sums at an index that is not known stay in memory.
  const Vec d = set1(a.d[head]);
  const auto finish = [&](int k, Vec(&of_token)[kVecs]) {
    for (int64_t j = t + 1; j <= t + k; ++j)
      for (int v = 0; v < kVecs; ++v)
        of_token[v] = fma(set1(weights.of[k][j]), at(in.x[j] + p + v * kLanes, v), of_token[v]);
    float* y = a.y + ((first + t + k) * a.heads + head) * a.head_dim + p;
    for (int v = 0; v < kVecs; ++v) {
      const Vec result = fma(d, at(in.x[t + k] + p + v * kLanes, v), of_token[v]);
      store_lanes(y + v * kLanes, result, v == kVecs - 1 ? n : kLanes);
    }
  };
  [&]<int... kK>(std::integer_sequence<int, kK...>) { (finish(kK, sum[kK]), ...); }
  (std::make_integer_sequence<int, kTokens>());
}

/// Few tokens read the state in order, many keep a block of it near.
void all_outputs(const SsdArgs& a, const SsdRow& row, int64_t head, const HeadChunk& in, const Chunk& chunk) {
  const int64_t first = row.first + chunk.start - row.past, group = head / (a.heads / a.groups);
  int64_t t = chunk.from;
  for (; t + 4 <= chunk.to; t += 4) {
    const Weights<4> weights(a, group, in, first, t);
    int64_t p = 0;
    for (; p + kLanes <= a.head_dim; p += kLanes) outputs<4, 1>(a, row, head, in, weights, first, t, p, kLanes);
    if (p < a.head_dim) outputs<4, 1>(a, row, head, in, weights, first, t, p, lanes_at(p, a.head_dim));
  }
  for (; t < chunk.to; ++t) {
    const Weights<1> weights(a, group, in, first, t);
    int64_t p = 0;
    for (; p + 4 * kLanes <= a.head_dim; p += 4 * kLanes) outputs<1, 4>(a, row, head, in, weights, first, t, p, kLanes);
    for (; p < a.head_dim; p += kLanes) outputs<1, 1>(a, row, head, in, weights, first, t, p, lanes_at(p, a.head_dim));
  }
}

/// Moves the state of channels [p, p + lanes) past the chunk; kFull: lanes is all.
template <bool kFull>
void edge_block(const SsdArgs& a, const SsdRow& row, int64_t head, const HeadChunk& in, int64_t p, int lanes) {
  const int n = kFull ? kLanes : lanes;
  constexpr int64_t kRows = 4;
  float* state = row.state + head * a.d_state * a.head_dim + p;
  const float all = in.cum[kEdgeTokens - 1];
  const Vec decay = set1(exp(all));
  float weight[kEdgeTokens], x[kEdgeTokens * kLanes];
  decayed(in, all, in.dt, weight);
  for (int64_t j = 0; j < kEdgeTokens; ++j) store(x + j * kLanes, set1(weight[j]) * load_lanes(in.x[j] + p, n));
  int64_t i = 0;
  const auto move = [&]<int64_t kCount>() {
    Vec s[kCount];
    for (int64_t k = 0; k < kCount; ++k) s[k] = decay * load_lanes(state + (i + k) * a.head_dim, n);
    for (int64_t j = 0; j < kEdgeTokens; ++j) {
      const Vec value = load(x + j * kLanes);
      for (int64_t k = 0; k < kCount; ++k) s[k] = fma(set1(in.b[j][i + k]), value, s[k]);
    }
    for (int64_t k = 0; k < kCount; ++k) store_lanes(state + (i + k) * a.head_dim, s[k], n);
    i += kCount;
  };
  while (i + kRows <= a.d_state) move.template operator()<kRows>();
  while (i < a.d_state) move.template operator()<1>();
}

void head_chunk(const SsdArgs& a, const SsdRow& row, int64_t head, const Chunk& chunk) {
  HeadChunk in;
  gather(a, row, head, chunk, in);
  all_outputs(a, row, head, in, chunk);
  for (int64_t t = chunk.from; t < chunk.to; ++t) row.dt_since[t * a.heads + head] = in.dt[t];
  if (!chunk.complete()) return;
  int64_t p = 0;
  for (; p + kLanes <= a.head_dim; p += kLanes) edge_block<true>(a, row, head, in, p, kLanes);
  if (p < a.head_dim) edge_block<false>(a, row, head, in, p, lanes_at(p, a.head_dim));
}

void ssd(const SsdArgs& a, Launch& launch) {
  int64_t chunks = 0;
  for (int64_t i = 0; i < a.n_rows; ++i) chunks += n_chunks(a.rows[i].past, a.rows[i].count);
  launch.parallel(chunks * a.groups, [&](int64_t task) {
    int64_t chunk = task / a.groups;
    const SsdRow* row = a.rows;
    for (; chunk >= n_chunks(row->past, row->count); ++row) chunk -= n_chunks(row->past, row->count);
    scores(a, *row, chunk_at(row->past, row->count, chunk), task % a.groups);
  });
  launch.parallel(a.n_rows * a.heads, [&](int64_t task) {
    const SsdRow& row = a.rows[task / a.heads];
    for (int64_t i = 0; i < n_chunks(row.past, row.count); ++i)
      head_chunk(a, row, task % a.heads, chunk_at(row.past, row.count, i));
  });
  for (int64_t i = 0; i < a.n_rows; ++i) {
    const SsdRow& row = a.rows[i];
    keep_since(row.x_since, a.x + row.first * a.x_step, a.x_step, a.heads * a.head_dim, row.past, row.count);
    keep_since(row.b_since, a.b + row.first * a.x_step, a.x_step, a.groups * a.d_state, row.past, row.count);
  }
}

}  // namespace

void add_state_space_dual(Kernels& kernels) { kernels.ssd = ssd; }

}  // namespace godwit::GODWIT_LEVEL
