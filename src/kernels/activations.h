// The activations of feed-forward blocks, for one float or for 16 lanes: whatever kernel applies them performs exactly
// these operations, so that the same bits come out everywhere.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.h"

namespace godwit::GODWIT_LEVEL {

/// max(0, x)^2; NaN stays. Source: So et al. 2021 (Primer).
template <class V>
V relu2(V x) {
  const V positive = max(splat<V>(0.0f), x);
  return positive * positive;
}

/// x to [-limit, limit]; NaN stays.
template <class V>
V clamped(V x, V limit) {
  return max(-limit, min(limit, x));
}

/// (g * sigmoid(alpha * g)) * (u + 1) with g = min(gate, limit), u = clamp(up, limit). Source: gpt-oss.
template <class V>
V swiglu_clamped(V gate, V up, V limit, V alpha) {
  const V g = min(limit, gate);
  return g * sigmoid(alpha * g) * (clamped(up, limit) + splat<V>(1.0f));
}

/// act(x) of a feed-forward block without a gate; not swiglu_clamped, which has one.
template <class V>
V activate(Activation activation, V x) {
  switch (activation) {
    case Activation::kGeluTanh:
      return gelu_tanh(x);
    case Activation::kRelu2:
      return relu2(x);
    case Activation::kIdentity:
      return x;
    case Activation::kGelu:
      return gelu(x);
    default:
      return silu(x);
  }
}

/// act(gate) * up; limit and alpha are swiglu_clamped's.
template <class V>
V activate(Activation activation, V gate, V up, float limit, float alpha) {
  if (activation == Activation::kSwigluClamped) return swiglu_clamped(gate, up, splat<V>(limit), splat<V>(alpha));
  return activate(activation, gate) * up;
}

}  // namespace godwit::GODWIT_LEVEL
