// What was measured, round by round, and how rounds differ: what every interval of an audit comes from (docs/audit.md).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "audit/figures.h"

namespace godwit {

/// Whose samples: a model, and so many sequences at once.
struct SampleKey {
  size_t model;
  int64_t batch;
  auto operator<=>(const SampleKey&) const = default;
};

/// Of a context: a value for each round, and their median.
struct RoundValues {
  std::map<int64_t, double> by_round = {};
  double middle = 0;

  size_t size() const { return by_round.size(); }
};

/// All samples of a key.
struct Rounds {
  struct Piece {
    int64_t to = 0;
    RoundValues seconds;
  };
  std::map<int64_t, Piece> prefill;               // by where the step begins
  std::map<int64_t, RoundValues> decode, layers;  // by context
  // Each value over the median of its context, of all contexts that have several: how rounds differ. Of prompts, whole
  // ones: what slows a round slows many of its steps.
  std::vector<double> prefill_noise, decode_noise, layers_noise;
  double joules = 0, metered_s = 0;

  /// Rounds that absorbed all of a prompt of so many tokens.
  size_t n_prefill(double tokens) const {
    size_t n = SIZE_MAX;
    for (const auto& [from, piece] : prefill)
      if (static_cast<double>(from) < tokens) n = std::min(n, piece.seconds.size());
    return n == SIZE_MAX ? 0 : n;
  }
  /// Fewest rounds of the contexts at which decoding was measured, from the last up to `from` to the first from `to`
  /// on.
  size_t n_decode(double from, double to) const {
    auto at = decode.upper_bound(static_cast<int64_t>(from));
    if (at != decode.begin()) --at;
    size_t n = SIZE_MAX;
    for (; at != decode.end(); ++at) {
      n = std::min(n, at->second.size());
      if (static_cast<double>(at->first) >= to) break;
    }
    return n == SIZE_MAX ? 0 : n;
  }
};

/// Of all that were measured. Where there was one round of so many sequences, its noise is that of the model's other
/// numbers of sequences.
std::map<SampleKey, Rounds> all_rounds(const Report& report);

/// The measured curves: draw 0 of the medians, others of medians that might as well have been, by a fixed seed.
Costs costs_of(const Rounds& rounds, SampleKey key, uint64_t draw);

}  // namespace godwit
