// Mixtures of experts: choosing them, and computing those that were chosen. And products with a matrix for each head.
#pragma once

#include "ops/ops.h"

namespace godwit {

/// How a router chooses (kernels.h, RouteArgs).
struct RouterSpec {
  int64_t n_experts = 0, top_k = 0;
  RouterScore score = RouterScore::kSoftmax;
  int64_t n_groups = 1, groups_used = 1;
  GroupScore group_score = GroupScore::kTwoBest;
  bool normalise = false;
  float epsilon = 0.0f;
  float scale = 1.0f;
};

/// What a router chose for the tokens of a step.
struct Routing {
  int64_t tokens = 0, top_k = 0, n_experts = 0;
  const int32_t* experts = nullptr;  // [tokens][top_k], ascending
  const float* weights = nullptr;    // [tokens][top_k]
  int64_t invalid = -1;              // the first token whose logits or weights are not finite; -1: none
};

/// logits [tokens, n_experts], bias [n_experts] or empty. In a dry pass nothing is chosen.
Routing route(Context& cx, Tensor logits, Tensor bias, const RouterSpec& spec);

/// The matrices of all experts. gate may be empty: then the activation is of up alone. Biases may be empty.
struct ExpertWeights {
  Tensor gate, up, down;                 // [E, d_ff, d_model] twice, [E, d_model, d_ff]
  Tensor gate_bias, up_bias, down_bias;  // [E, d_ff] twice, [E, d_model]
};

struct ExpertActivation {
  Activation function = Activation::kSilu;
  float limit = 0.0f, alpha = 0.0f;  // of kSwigluClamped
};

/// Sum over each token's experts of weight times down(act(gate x, up x)): x [tokens, d_model] both ways. Only weights
/// of chosen experts are read; a dry pass counts as many as independent uniform choices would touch on average. Source:
/// Shazeer et al. 2017; grouped as in Gale et al. 2022 (MegaBlocks).
Tensor experts(Context& cx, Tensor x, const Routing& routing, const ExpertWeights& weights,
               const ExpertActivation& activation);

/// Distinct experts that a step of so many tokens touches in one layer, when each token's choice is uniform and
/// independent: E (1 - (1 - k / E)^tokens).
double expected_experts(int64_t n_experts, int64_t top_k, int64_t tokens);

/// A matrix for each head: x [tokens, S, k], stack [S, n, k] -> [tokens, S, n].
Tensor stack_linear(Context& cx, Tensor x, Tensor stack);

/// 1 / (1 + exp(-x)).
Tensor sigmoid(Context& cx, Tensor x);

}  // namespace godwit
