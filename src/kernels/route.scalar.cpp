// Which experts a token goes to: a few operations a token, the same code at every level.
#include <algorithm>

#include "kernels/levels.h"
#include "kernels/math.h"

namespace godwit::scalar {

namespace {

constexpr int64_t kMaxExperts = kMostExperts;

bool all_finite(const float* z, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    if ((to_bits(z[i]) & 0x7f800000u) == 0x7f800000u) return false;
  return true;
}

// exp(z - max) of n values, divided by their sum.
void softmax(const float* z, int64_t n, float* out) {
  float highest = z[0];
  for (int64_t i = 1; i < n; ++i) highest = z[i] > highest ? z[i] : highest;
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = exp(z[i] - highest);
    sum += out[i];
  }
  for (int64_t i = 0; i < n; ++i) out[i] = out[i] / sum;
}

// Takes the `count` largest of `values` that are still `open`, ties to the lowest number: sets taken, clears open.
void take_largest(const float* values, int64_t n, int64_t count, bool* open, bool* taken) {
  for (int64_t c = 0; c < count; ++c) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; ++i)
      if (open[i] && (best < 0 || values[i] > values[best])) best = i;
    if (best < 0) return;
    open[best] = false;
    taken[best] = true;
  }
}

float group_value(const float* values, int64_t n, GroupScore score) {
  float best = values[0], second = -kInfinity;
  for (int64_t i = 1; i < n; ++i) {
    if (values[i] > best) {
      second = best;
      best = values[i];
    } else if (values[i] > second) {
      second = values[i];
    }
  }
  return score == GroupScore::kBest ? best : best + second;
}

// Leaves open only the experts of the best groups.
void close_groups(const RouteArgs& a, const float* values, bool* open) {
  const int64_t size = a.n_experts / a.n_groups;
  float worth[kMaxExperts];
  bool group_open[kMaxExperts], used[kMaxExperts] = {};
  for (int64_t g = 0; g < a.n_groups; ++g) {
    worth[g] = group_value(values + g * size, size, a.group_score);
    group_open[g] = true;
  }
  take_largest(worth, a.n_groups, a.groups_used, group_open, used);
  for (int64_t i = 0; i < a.n_experts; ++i) open[i] = used[i / size];
}

void mark_invalid(const RouteArgs& a, int64_t token) { a.experts[token * a.top_k] = -1; }

// Experts that exist, with weight 0.
void give_nothing(const RouteArgs& a, int64_t token) {
  *a.invalid = token;
  for (int64_t j = 0; j < a.top_k; ++j) {
    a.experts[token * a.top_k + j] = static_cast<int32_t>(j);
    a.weights[token * a.top_k + j] = 0.0f;
  }
}

void route_token(const RouteArgs& a, int64_t token) {
  const float* z = a.z + token * a.n_experts;
  int32_t* experts = a.experts + token * a.top_k;
  float* weights = a.weights + token * a.top_k;
  if (!all_finite(z, a.n_experts)) return mark_invalid(a, token);
  float scores[kMaxExperts], biased[kMaxExperts] = {};
  if (a.score == RouterScore::kSoftmax) {
    softmax(z, a.n_experts, scores);
  } else {
    for (int64_t i = 0; i < a.n_experts; ++i) scores[i] = a.score == RouterScore::kSigmoid ? sigmoid(z[i]) : z[i];
  }
  for (int64_t i = 0; i < a.n_experts; ++i) biased[i] = a.bias != nullptr ? scores[i] + a.bias[i] : scores[i];
  bool open[kMaxExperts], chosen[kMaxExperts] = {};
  std::fill_n(open, a.n_experts, true);
  if (a.n_groups > 1) close_groups(a, biased, open);
  take_largest(biased, a.n_experts, a.top_k, open, chosen);
  int64_t n = 0;
  for (int64_t i = 0; i < a.n_experts; ++i) {
    if (!chosen[i]) continue;
    experts[n] = static_cast<int32_t>(i);
    weights[n++] = scores[i];
  }
  if (a.score == RouterScore::kNone) softmax(weights, a.top_k, weights);
  float sum = a.epsilon;
  if (a.normalise) {
    sum = 0.0f;
    for (int64_t j = 0; j < a.top_k; ++j) sum += weights[j];
    sum += a.epsilon;
  }
  for (int64_t j = 0; j < a.top_k; ++j) weights[j] = (a.normalise ? weights[j] / sum : weights[j]) * a.scale;
  if (!all_finite(weights, a.top_k)) mark_invalid(a, token);  // all scores vanished
}

void route(const RouteArgs& a, Launch& launch) {
  constexpr int64_t kTokensPerTask = 16;
  launch.parallel((a.tokens + kTokensPerTask - 1) / kTokensPerTask, [&](int64_t task) {
    const int64_t end = std::min(a.tokens, (task + 1) * kTokensPerTask);
    for (int64_t token = task * kTokensPerTask; token < end; ++token) route_token(a, token);
  });
  *a.invalid = -1;
  for (int64_t token = a.tokens - 1; token >= 0; --token)
    if (a.experts[token * a.top_k] < 0) give_nothing(a, token);
}

// A counting sort.
void group(const GroupArgs& a, Launch&) {
  std::fill_n(a.first, a.n_experts + 1, 0);
  const int64_t slots = a.tokens * a.top_k;
  for (int64_t i = 0; i < slots; ++i) ++a.first[a.experts[i] + 1];
  for (int64_t e = 0; e < a.n_experts; ++e) a.first[e + 1] += a.first[e];
  int64_t next[kMaxExperts];
  std::copy_n(a.first, a.n_experts, next);
  for (int64_t i = 0; i < slots; ++i) {
    const int64_t slot = next[a.experts[i]]++;
    a.slot_token[slot] = static_cast<int32_t>(i / a.top_k);
    a.slot_weight[slot] = a.weights[i];
  }
}

}  // namespace

void add_routing(Kernels& kernels) {
  kernels.route = route;
  kernels.group = group;
}

}  // namespace godwit::scalar
