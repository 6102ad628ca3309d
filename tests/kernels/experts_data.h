// Stacks of matrices, mixtures of experts and their definition in double, for the tests of experts.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "kernels/product_data.h"
#include "tensor/decode.h"
#include "tensor/encode.h"

namespace godwit::test {

inline constexpr float kOfLimit = 1.5f, kOfAlpha = 1.702f;  // of swiglu_clamped; 1.5 is reached often

/// A matrix for each expert, as the file has it and in panels where there are such; `values` are the decoded ones.
struct Stack {
  DType type;
  int64_t slices, n, k;
  std::vector<std::byte> rows;
  Aligned panels{0};
  DType packed = DType::kF32;  // F32: there are no panels
  std::vector<float> values, bias;

  bool has_panels() const { return packed != DType::kF32; }
  int64_t slice_bytes(bool in_panels) const { return matrix_bytes(in_panels ? packed : type, n, k); }
  std::byte* slice(int64_t s, bool in_panels) {
    return (in_panels ? panels.data() : rows.data()) + s * slice_bytes(in_panels);
  }
  ExpertMatrix matrix(bool in_panels) {
    return {.type = in_panels ? packed : type,
            .w = slice(0, in_panels),
            .slice_bytes = slice_bytes(in_panels),
            .bias = bias.empty() ? nullptr : bias.data()};
  }
};

/// Weights of about 1 / sqrt(k), so that sums are about 1. Types without an encoder: random bits, scales below 2.
inline Stack random_stack(DType type, int64_t slices, int64_t n, int64_t k, bool biased, std::mt19937& random) {
  Stack s{type, slices, n, k, {}, Aligned(0), DType::kF32, std::vector<float>(slices * n * k), {}};
  const int64_t row_bytes = matrix_bytes(type, 1, k);
  if (can_encode(type)) {
    s.rows.resize(slices * n * row_bytes);
    std::vector<float> row;
    for (int64_t r = 0; r < slices * n; ++r) {
      row = normal_values(k, random);
      for (float& v : row) v /= std::sqrt(static_cast<float>(k));
      encode_row(type, row.data(), s.rows.data() + r * row_bytes, k);
    }
  } else {
    s.rows = random_weights(type, slices * n, k, random, true).rows;
  }
  for (int64_t r = 0; r < slices * n; ++r) decode_row(type, s.rows.data() + r * row_bytes, s.values.data() + r * k, k);
  if (biased) s.bias = normal_values(slices * n, random);
  const auto packed = packed_type(type);
  if (!packed) return s;
  s.packed = *packed;
  s.panels = Aligned(slices * s.slice_bytes(true));
  const int64_t bytes = panel_bytes(*packed, k);
  for (int64_t e = 0; e < slices; ++e)
    for (int64_t first = 0; first < n; first += 16)
      repack_panel(*packed, s.rows.data() + (e * n + first) * row_bytes, std::min<int64_t>(16, n - first), k,
                   s.slice(e, true) + first / 16 * bytes);
  return s;
}

/// Rows in every form that their width has.
struct AllForms {
  int64_t rows, k;
  std::vector<float> f32, scales;
  std::vector<uint16_t> bf16;
  std::vector<int8_t> codes;
  std::vector<int16_t> sums;

  AllForms(int64_t n_rows, int64_t width) : rows(n_rows), k(width), f32(rows * k), bf16(rows * k) {
    if (k % 32 != 0) return;
    codes.resize(rows * k);
    scales.resize(rows * k / 32);
    sums.resize(rows * k / 16);
  }
  void fill(std::vector<float> values) {
    const Kernels kernels = scalar_kernels();
    Launch launch;
    f32 = std::move(values);
    kernels.round_bf16({bf16.data(), f32.data(), rows * k}, launch);
    if (!codes.empty()) kernels.quantize({codes.data(), scales.data(), sums.data(), f32.data(), rows, k}, launch);
  }
  /// Only the forms that weights of these types ask for, as an op gives them; F32 where exact.
  Activations view(std::initializer_list<DType> types) const {
    Activations a{.rows = rows, .k = k};
    for (const DType type : types) {
      if (type == DType::kBF16) {
        a.bf16 = bf16.data();
      } else if (is_quantized(type)) {
        a.codes = codes.data(), a.scales = scales.data(), a.sums = sums.data();
      } else {
        a.f32 = f32.data();
      }
    }
    return a;
  }
};

/// What a kernel is asked to compute.
struct Mixture {
  Stack gate, up, down;
  bool gated = true;
  Activation activation = Activation::kSilu;
  bool exact = false;
  int64_t n_experts, d_model, d_ff;
  AllForms x;
  std::vector<int64_t> first = {};
  std::vector<int32_t> slot_token = {};
  std::vector<float> slot_weight = {};

  int64_t slots() const { return static_cast<int64_t>(slot_token.size()); }
  DType form(DType type) const { return exact ? DType::kF32 : type; }
};

/// The experts of each token, any order.
using Chosen = std::vector<std::vector<int32_t>>;

inline void choose(Mixture& m, const Chosen& chosen, std::mt19937& random) {
  std::uniform_real_distribution<float> weight(0.05f, 1.0f);
  m.first.assign(m.n_experts + 1, 0);
  m.slot_token.clear();
  m.slot_weight.clear();
  for (int64_t e = 0; e < m.n_experts; ++e) {
    for (size_t t = 0; t < chosen.size(); ++t) {
      if (std::find(chosen[t].begin(), chosen[t].end(), e) == chosen[t].end()) continue;
      m.slot_token.push_back(static_cast<int32_t>(t));
      m.slot_weight.push_back(weight(random));
    }
    m.first[e + 1] = m.slots();
  }
}

/// `top_k` different experts below `n` for each token.
inline Chosen random_choice(int64_t tokens, int64_t top_k, int64_t n, std::mt19937& random) {
  Chosen chosen(tokens);
  for (auto& experts : chosen) {
    experts.resize(n);
    std::iota(experts.begin(), experts.end(), 0);
    std::shuffle(experts.begin(), experts.end(), random);
    experts.resize(top_k);
  }
  return chosen;
}

/// What experts_by() varies; the bits must not.
struct Run {
  Kernels kernels = scalar_kernels();
  bool in_panels = false;
  int n_threads = 1;
};

/// The kernel's y [tokens][d_model]; scratch is filled with NaN before.
inline std::vector<float> experts_by(const Run& run, Mixture& m) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  AllForms gathered(m.slots(), m.d_model), hidden(m.slots(), m.d_ff);
  gathered.fill(std::vector<float>(m.slots() * m.d_model, kNan));
  hidden.fill(std::vector<float>(m.slots() * m.d_ff, kNan));
  const auto panels = [&](const Stack& s) { return run.in_panels && s.has_panels(); };
  std::vector<float> y(m.x.rows * m.d_model + 32, kNan);
  Launch launch = threads(run.n_threads);
  if (run.n_threads == 1) launch = {};
  run.kernels.experts({.y = y.data() + 16,
                       .x = m.x.view({m.form(m.gate.type), m.form(m.up.type)}),
                       .gate = m.gated ? m.gate.matrix(panels(m.gate)) : ExpertMatrix{},
                       .up = m.up.matrix(panels(m.up)),
                       .down = m.down.matrix(panels(m.down)),
                       .activation = m.activation,
                       .limit = kOfLimit,
                       .alpha = kOfAlpha,
                       .n_experts = m.n_experts,
                       .d_model = m.d_model,
                       .d_ff = m.d_ff,
                       .first = m.first.data(),
                       .slot_token = m.slot_token.data(),
                       .slot_weight = m.slot_weight.data(),
                       .exact = m.exact,
                       .gathered = gathered.view({m.form(m.gate.type), m.form(m.up.type)}),
                       .hidden = hidden.view({m.form(m.down.type)})},
                      launch, run.kernels);
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(std::isnan(y[i]) && std::isnan(y[y.size() - 1 - i])) << "written outside";
  return {y.begin() + 16, y.end() - 16};
}

// ---------------------------------------------------------------- definitions

/// The same sums from products already tested: one expert and one token at a time, the scalar level's whole rows.
inline std::vector<float> experts_one_by_one(Mixture& m) {
  const Kernels kernels = scalar_kernels();
  Launch here;
  const auto multiply = [&](Stack& s, int64_t e, const AllForms& x) {
    std::vector<float> y(s.n);
    const auto type = static_cast<size_t>(s.type);
    (m.exact ? kernels.exact_product_tile : kernels.product_tile)[type](
        {s.type, s.slice(e, false), y.data(), s.bias.empty() ? nullptr : s.bias.data() + e * s.n, s.n},
        x.view({m.form(s.type)}), 0, s.n);
    return y;
  };
  std::vector<float> y(m.x.rows * m.d_model);
  for (int64_t e = 0; e < m.n_experts; ++e) {
    for (int64_t slot = m.first[e]; slot < m.first[e + 1]; ++slot) {
      const int64_t t = m.slot_token[slot];
      AllForms x(1, m.d_model), hidden(1, m.d_ff);
      x.fill({m.x.f32.begin() + t * m.d_model, m.x.f32.begin() + (t + 1) * m.d_model});
      const std::vector<float> up = multiply(m.up, e, x), gate = m.gated ? multiply(m.gate, e, x) : up;
      std::vector<float> act(m.d_ff);
      kernels.gated({act.data(), gate.data(), m.gated ? up.data() : nullptr, m.d_ff, m.activation, kOfLimit, kOfAlpha},
                    here);
      hidden.fill(act);
      const std::vector<float> out = multiply(m.down, e, hidden);
      for (int64_t d = 0; d < m.d_model; ++d)
        y[t * m.d_model + d] = std::fma(out[d], m.slot_weight[slot], y[t * m.d_model + d]);
    }
  }
  return y;
}

/// A number and how far a float may be from it.
struct Near {
  double value = 0, error = 0;
};

/// act(gate) * up in double; the error of both arguments carried through.
inline Near activate(Activation activation, bool gated, Near gate, Near up) {
  constexpr double kEps = 0x1p-24;
  const auto act = [&](double g) {
    switch (activation) {
      case Activation::kGeluTanh:
        return g / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
      case Activation::kRelu2:
        return g > 0 ? g * g : 0;
      case Activation::kSwigluClamped:
        g = std::min<double>(g, kOfLimit);
        return g / (1 + std::exp(-kOfAlpha * g));
      default:
        return g / (1 + std::exp(-g));
    }
  };
  // No slope of silu and gelu is above 1.13, of g sigmoid(1.702 g) neither; relu2's is 2g.
  const double slope = activation == Activation::kRelu2 ? 2 * (std::fabs(gate.value) + gate.error) : 1.13;
  const double a = act(gate.value);
  const double a_error = slope * gate.error + (40 + 8 * std::fabs(gate.value)) * kEps * std::fabs(a) + 1e-7 * kEps;
  if (!gated) return {a, a_error};
  double u = up.value;
  if (activation == Activation::kSwigluClamped) u = std::clamp<double>(u, -kOfLimit, kOfLimit) + 1;
  return {a * u, std::fabs(a) * (up.error + 2 * kEps) + std::fabs(u) * a_error + a_error * up.error +
                     4 * kEps * std::fabs(a * u)};
}

/// One output of one expert: the chain of products with inputs that are off by up to `error`.
inline Near dot(const Stack& s, int64_t e, int64_t o, const std::vector<Near>& x, bool has_minimum) {
  constexpr double kEps = 0x1p-24;
  Near sum;
  double size = 0;
  const float* w = s.values.data() + (e * s.n + o) * s.k;
  for (int64_t i = 0; i < s.k; ++i) {
    sum.value += w[i] * x[i].value;
    sum.error += std::fabs(w[i]) * x[i].error;
    // With a minimum a weight is the difference of two products, each below the spread of its group many times.
    double weight = std::fabs(w[i]);
    if (has_minimum) {
      const auto [low, high] = std::minmax_element(w + i / 16 * 16, w + i / 16 * 16 + 16);
      weight += 64.0 * (static_cast<double>(*high) - *low);
    }
    size += weight * (std::fabs(x[i].value) + x[i].error);
  }
  const double bias = s.bias.empty() ? 0 : s.bias[e * s.n + o];
  return {sum.value + bias, sum.error + (static_cast<double>(s.k) + 4) * kEps * (size + std::fabs(bias)) + 1e-30};
}

/// How far rounding to the form that weights of `type` ask for moves each value of a row.
inline void add_rounding(DType type, std::vector<Near>& row) {
  if (type == DType::kBF16)
    for (Near& v : row) v.error += 0x1p-8 * (std::fabs(v.value) + v.error);
  if (!is_quantized(type)) return;
  for (size_t g = 0; g < row.size(); g += 32) {
    double max = 0;
    for (size_t i = g; i < g + 32; ++i) max = std::max(max, std::fabs(row[i].value) + row[i].error);
    for (size_t i = g; i < g + 32; ++i) row[i].error += 0.505 / 127 * max;
  }
}

/// y by its definition, all in double.
inline std::vector<Near> experts_in_double(const Mixture& m) {
  const auto has_minimum = [](DType type) {
    return type == DType::kQ4_1 || type == DType::kQ5_1 || type == DType::kQ2_K || type == DType::kQ4_K ||
           type == DType::kQ5_K;
  };
  std::vector<Near> y(m.x.rows * m.d_model);
  for (int64_t e = 0; e < m.n_experts; ++e) {
    for (int64_t slot = m.first[e]; slot < m.first[e + 1]; ++slot) {
      const int64_t t = m.slot_token[slot];
      std::vector<Near> x(m.d_model), hidden(m.d_ff);
      for (int64_t i = 0; i < m.d_model; ++i) x[i].value = m.x.f32[t * m.d_model + i];
      add_rounding(m.form(m.up.type), x);
      for (int64_t f = 0; f < m.d_ff; ++f) {
        const Near up = dot(m.up, e, f, x, has_minimum(m.up.type));
        const Near gate = m.gated ? dot(m.gate, e, f, x, has_minimum(m.gate.type)) : up;
        hidden[f] = activate(m.activation, m.gated, gate, up);
      }
      add_rounding(m.form(m.down.type), hidden);
      for (int64_t d = 0; d < m.d_model; ++d) {
        const Near out = dot(m.down, e, d, hidden, has_minimum(m.down.type));
        Near& sum = y[t * m.d_model + d];
        sum.value += m.slot_weight[slot] * out.value;
        sum.error += m.slot_weight[slot] * out.error + 0x1p-24 * (std::fabs(sum.value) + std::fabs(out.value));
      }
    }
  }
  return y;
}

}  // namespace godwit::test
