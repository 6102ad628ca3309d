// Norms, rotary embedding, activations and softmax in 16 lanes: the same operations as elementwise.scalar.cpp, so the
// same bits. rope_table and copy_columns are the scalar ones at every level.
#include "kernels/activations.h"
#include "kernels/chunks.h"
#include "kernels/levels.h"

namespace godwit::GODWIT_LEVEL {

namespace {

/// y[i] = f(i, load) for i in [first, end): f gets a function that loads a block of 16 lanes, or of what is left.
template <class F>
void map(float* y, int64_t first, int64_t end, const F& f) {
  int64_t i = first;
  for (; i + kLanes <= end; i += kLanes) store(y + i, f([i](const float* p) { return load(p + i); }));
  if (i < end) {
    const int n = lanes_at(i, end);
    store(y + i, f([i, n](const float* p) { return load(p + i, n); }), n);
  }
}

float sum_of_squares(const float* x, int64_t width) {
  Vec sum = zero();
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    const Vec value = load(x + i);
    sum = fma(value, value, sum);
  }
  if (i < width) {
    const Vec value = load(x + i, lanes_at(i, width));
    sum = fma(value, value, sum);
  }
  return tree_sum(sum);
}

void rms_norm(const RmsNormArgs& a, Launch& launch) {
  over_rows(a.rows, a.width, launch, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      const float *x = a.x + row * a.width, *gain = a.gain + row % a.gain_rows * a.width;
      const float mean = sum_of_squares(x, a.width) / static_cast<float>(a.width);
      const Vec factor = set1(1.0f / sqrt(mean + a.eps));
      if (a.gain_plus_one) {
        const Vec one = set1(1.0f);
        map(a.y + row * a.width, 0, a.width, [&](auto at) { return at(x) * factor * (one + at(gain)); });
      } else {
        map(a.y + row * a.width, 0, a.width, [&](auto at) { return at(x) * factor * at(gain); });
      }
    }
  });
}

/// Rotates pairs [i, i + 16) of every head of a token.
void rope_heads(const RopeArgs& a, const float* table, const float* x, float* y, int64_t i) {
  Vec cos, sin;
  load_pairs(table + 2 * i, cos, sin);
  for (int64_t head = 0; head < a.heads; ++head, x += a.head_dim, y += a.head_dim) {
    Vec x0, x1;
    if (a.interleaved) {
      load_pairs(x + 2 * i, x0, x1);
    } else {
      x0 = load(x + i);
      x1 = load(x + i + a.n_pairs);
    }
    const Vec y0 = fma(x0, cos, -(x1 * sin));
    const Vec y1 = fma(x0, sin, x1 * cos);
    if (a.interleaved) {
      store_pairs(y + 2 * i, y0, y1);
    } else {
      store(y + i, y0);
      store(y + i + a.n_pairs, y1);
    }
  }
}

/// The pairs from i on, fewer than 16, and the channels that are not rotated.
void rope_rest(const RopeArgs& a, const float* table, const float* x, float* y, int64_t from) {
  for (int64_t head = 0; head < a.heads; ++head, x += a.head_dim, y += a.head_dim) {
    for (int64_t i = from; i < a.n_pairs; ++i) {
      const int64_t at0 = a.interleaved ? 2 * i : i;
      const int64_t at1 = a.interleaved ? 2 * i + 1 : i + a.n_pairs;
      const float cos = table[2 * i], sin = table[2 * i + 1];
      const float x0 = x[at0], x1 = x[at1];
      y[at0] = fma(x0, cos, -(x1 * sin));
      y[at1] = fma(x0, sin, x1 * cos);
    }
    map(y, 2 * a.n_pairs, a.head_dim, [&](auto at) { return at(x); });
  }
}

void rope(const RopeArgs& a, Launch& launch) {
  over_rows(a.tokens, a.heads * a.head_dim, launch, [&](int64_t first, int64_t end) {
    for (int64_t token = first; token < end; ++token) {
      const float* table = a.table + token * a.n_pairs * 2;
      const int64_t at = token * a.heads * a.head_dim;
      int64_t i = 0;
      for (; i + kLanes <= a.n_pairs; i += kLanes) rope_heads(a, table, a.x + at, a.y + at, i);
      rope_rest(a, table, a.x + at, a.y + at, i);
    }
  });
}

void gated(const GatedArgs& a, Launch& launch) {
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    if (a.up == nullptr) {
      map(a.y, first, end, [&](auto at) { return activate(a.activation, at(a.gate)); });
    } else {
      map(a.y, first, end, [&](auto at) { return activate(a.activation, at(a.gate), at(a.up), a.limit, a.alpha); });
    }
  });
}

void add(const AddArgs& a, Launch& launch) {
  const Vec scale = set1(a.scale);
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    map(a.y, first, end, [&](auto at) { return fma(at(a.b), scale, at(a.a)); });
  });
}

void scale_rows(const ScaleRowsArgs& a, Launch& launch) {
  over_rows(a.rows, a.width, launch, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      const Vec factor = set1(a.factors[row]);
      const float* x = a.x + row * a.width;
      map(a.y + row * a.width, 0, a.width, [&](auto at) { return at(x) * factor; });
    }
  });
}

void clamp(const ClampArgs& a, Launch& launch) {
  const Vec limit = set1(a.limit);
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    map(a.y, first, end, [&](auto at) { return clamped(at(a.x), limit); });
  });
}

void softcap(const SoftcapArgs& a, Launch& launch) {
  const Vec cap = set1(a.cap);
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    map(a.y, first, end, [&](auto at) { return cap * tanh(at(a.x) / cap); });
  });
}

/// The largest of a row, NaN skipped; -inf for none.
float highest_of(const float* x, int64_t width) {
  Vec highest = set1(-kInfinity);
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) highest = max(load(x + i), highest);
  float result = max_lane(highest);
  for (; i < width; ++i) result = max(x[i], result);
  return result + 0.0f;
}

/// The sum of exp(x - highest); the exponentials are left in y where it is not null.
float exp_sum(const float* x, int64_t width, Vec highest, float* y) {
  Vec sum = zero();
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    const Vec e = exp(load(x + i) - highest);
    if (y != nullptr) store(y + i, e);
    sum = sum + e;
  }
  if (i < width) {
    float last[kLanes] = {};
    store(last, exp(load(x + i, lanes_at(i, width)) - highest), lanes_at(i, width));
    const Vec e = load(last);
    if (y != nullptr) store(y + i, e, lanes_at(i, width));
    sum = sum + e;
  }
  return tree_sum(sum);
}

void softmax(const SoftmaxArgs& a, Launch& launch) {
  over_rows(a.rows, a.width, launch, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      const float* x = a.x + row * a.width;
      float* y = a.y != nullptr ? a.y + row * a.width : nullptr;
      const float highest = highest_of(x, a.width);
      const float sum = exp_sum(x, a.width, set1(highest), y);
      if (a.max_out != nullptr) a.max_out[row] = highest;
      if (a.sum_out != nullptr) a.sum_out[row] = sum;
      const Vec divisor = set1(sum);
      if (y != nullptr) map(y, 0, a.width, [&](auto at) { return at(y) / divisor; });
    }
  });
}

}  // namespace

void add_elementwise(Kernels& kernels) {
  kernels.rms_norm = rms_norm;
  kernels.rope = rope;
  kernels.gated = gated;
  kernels.add = add;
  kernels.scale_rows = scale_rows;
  kernels.clamp = clamp;
  kernels.softcap = softcap;
  kernels.softmax = softmax;
}

}  // namespace godwit::GODWIT_LEVEL
