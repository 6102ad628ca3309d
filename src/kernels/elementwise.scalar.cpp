// Norms, rotary embedding, activations and softmax: the definition, one element at a time, in the order of
// docs/numerics.md. Every other level equals these bit for bit.
#include "kernels/activations.h"
#include "kernels/chunks.h"
#include "kernels/levels.h"
#include "kernels/trig.h"

namespace godwit::scalar {

namespace {

void rms_norm_row(const RmsNormArgs& a, int64_t row) {
  const float* x = a.x + row * a.width;
  const float* gains = a.gain + row % a.gain_rows * a.width;
  float* y = a.y + row * a.width;
  float lanes[kLanes] = {};
  const int64_t padded = (a.width + kLanes - 1) / kLanes * kLanes;
  for (int64_t i = 0; i < padded; ++i) {
    const float value = i < a.width ? x[i] : 0.0f;
    lanes[i % kLanes] = fma(value, value, lanes[i % kLanes]);
  }
  const float mean = tree_sum(lanes) / static_cast<float>(a.width);
  const float factor = 1.0f / sqrt(mean + a.eps);
  for (int64_t i = 0; i < a.width; ++i) {
    const float gain = a.gain_plus_one ? 1.0f + gains[i] : gains[i];
    y[i] = x[i] * factor * gain;
  }
}

void rms_norm(const RmsNormArgs& a, Launch& launch) {
  over_rows(a.rows, a.width, launch, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) rms_norm_row(a, row);
  });
}

void rope_table(const RopeTableArgs& a, Launch& launch) {
  over_rows(a.tokens, a.n_pairs * 8, launch, [&](int64_t first, int64_t end) {  // an angle costs like 8 elements
    for (int64_t token = first; token < end; ++token) {
      const auto position = static_cast<double>(a.positions[token]);
      float* out = a.table + token * a.n_pairs * 2;
      for (int64_t i = 0; i < a.n_pairs; ++i) {
        const SinCos both = sin_cos(static_cast<float>(position * static_cast<double>(a.inv_freq[i])));
        out[2 * i] = static_cast<float>(both.cos) * a.scale;
        out[2 * i + 1] = static_cast<float>(both.sin) * a.scale;
      }
    }
  });
}

void rope_head(const RopeArgs& a, const float* table, const float* x, float* y) {
  for (int64_t i = 0; i < a.n_pairs; ++i) {
    const int64_t at0 = a.interleaved ? 2 * i : i;
    const int64_t at1 = a.interleaved ? 2 * i + 1 : i + a.n_pairs;
    const float cos = table[2 * i], sin = table[2 * i + 1];
    const float x0 = x[at0], x1 = x[at1];
    y[at0] = fma(x0, cos, -(x1 * sin));
    y[at1] = fma(x0, sin, x1 * cos);
  }
  for (int64_t i = 2 * a.n_pairs; i < a.head_dim; ++i) y[i] = x[i];
}

void rope(const RopeArgs& a, Launch& launch) {
  over_rows(a.tokens, a.heads * a.head_dim, launch, [&](int64_t first, int64_t end) {
    for (int64_t token = first; token < end; ++token) {
      for (int64_t head = 0; head < a.heads; ++head) {
        const int64_t at = (token * a.heads + head) * a.head_dim;
        rope_head(a, a.table + token * a.n_pairs * 2, a.x + at, a.y + at);
      }
    }
  });
}

void gated(const GatedArgs& a, Launch& launch) {
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) {
      a.y[i] = a.up == nullptr ? activate(a.activation, a.gate[i])
                               : activate(a.activation, a.gate[i], a.up[i], a.limit, a.alpha);
    }
  });
}

void add(const AddArgs& a, Launch& launch) {
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) a.y[i] = fma(a.b[i], a.scale, a.a[i]);
  });
}

void scale_rows(const ScaleRowsArgs& a, Launch& launch) {
  over_rows(a.rows, a.width, launch, [&](int64_t first, int64_t end) {
    for (int64_t i = first * a.width; i < end * a.width; ++i) a.y[i] = a.x[i] * a.factors[i / a.width];
  });
}

void copy_columns(const CopyColumnsArgs& a, Launch& launch) {
  over_rows(a.rows, a.count, launch, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      std::memcpy(a.y + row * a.y_step, a.x + row * a.x_step, static_cast<size_t>(a.count) * sizeof(float));
    }
  });
}

void clamp(const ClampArgs& a, Launch& launch) {
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) a.y[i] = clamped(a.x[i], a.limit);
  });
}

void softcap(const SoftcapArgs& a, Launch& launch) {
  over_rows(a.count, 1, launch, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) a.y[i] = a.cap * tanh(a.x[i] / a.cap);
  });
}

void softmax_row(const SoftmaxArgs& a, int64_t row) {
  const float* x = a.x + row * a.width;
  float highest = -kInfinity;
  for (int64_t i = 0; i < a.width; ++i) highest = max(x[i], highest);  // skips NaN, which the sum then shows
  highest = highest + 0.0f;                                            // one zero, whichever came first
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < a.width; ++i) lanes[i % kLanes] += exp(x[i] - highest);
  const float sum = tree_sum(lanes);
  if (a.max_out != nullptr) a.max_out[row] = highest;
  if (a.sum_out != nullptr) a.sum_out[row] = sum;
  if (a.y == nullptr) return;
  for (int64_t i = 0; i < a.width; ++i) a.y[row * a.width + i] = exp(x[i] - highest) / sum;
}

void softmax(const SoftmaxArgs& a, Launch& launch) {
  over_rows(a.rows, a.width, launch, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) softmax_row(a, row);
  });
}

}  // namespace

void add_elementwise(Kernels& kernels) {
  kernels.rms_norm = rms_norm;
  kernels.rope_table = rope_table;
  kernels.rope = rope;
  kernels.gated = gated;
  kernels.add = add;
  kernels.scale_rows = scale_rows;
  kernels.copy_columns = copy_columns;
  kernels.clamp = clamp;
  kernels.softcap = softcap;
  kernels.softmax = softmax;
}

}  // namespace godwit::scalar
