#pragma once
#include <span>
#include <utility>
#include <vector>
#include "ops/batch.h"
namespace godwit {
struct SamplingOptions {
  double temp = 1, top_p = 1, min_p = 0, repeat_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  int64_t top_k = 0;
  std::vector<std::pair<TokenId, float>> logit_bias;
  uint64_t seed = 0;
  bool greedy = false;
};
inline void check(const SamplingOptions&) {}
inline TokenId sample(std::span<const float> l, const SamplingOptions&, std::span<const TokenId>, int64_t,
                      uint64_t = 0) {
  size_t b = 0;
  for (size_t i = 1; i < l.size(); ++i)
    if (l[i] > l[b]) b = i;
  return static_cast<TokenId>(b);
}
}  // namespace godwit
