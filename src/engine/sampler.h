// Choosing a token from logits. A token is a function of (logits, options, history, seed, choice, position): nothing is
// kept from one token to the next.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ops/batch.h"

namespace godwit {

/// The defaults change nothing: a token is drawn with the model's own probabilities.
struct SamplingOptions {
  double temp = 1;    // divides the logits; under 1e-6: greedy
  int64_t top_k = 0;  // so many of the likeliest are kept; 0: all
  double top_p = 1;   // the fewest of the likeliest whose probabilities reach top_p together are kept
  double min_p = 0;   // those at least min_p times as likely as the likeliest are kept
  double repeat_penalty =
      1;  // logits of tokens in the last repeat_last_n are divided by it, or multiplied when negative
  int64_t repeat_last_n = 64;                              // as llama.cpp's default; -1: the whole history
  double presence_penalty = 0;                             // subtracted from the logit of each token in the history
  double frequency_penalty = 0;                            // subtracted as many times as the token is in the history
  std::vector<std::pair<TokenId, float>> logit_bias = {};  // added to the logit; -infinity forbids the token
  uint64_t seed = 0;
  bool greedy = false;  // the token of the highest logit, after bias and penalties; of equals the lowest id
};

/// Throws Error (kUsage) naming the option that is out of its range, and the range.
void check(const SamplingOptions& options);

/// Chooses one of the ids [0, logits.size()): a vocabulary that is padded beyond its tokenizer is cut by the caller.
/// In this order: logit bias, repeat penalty (Keskar et al. 2019, CTRL), presence and frequency penalties (as the
/// OpenAI API defines them, over `history`), temperature, top-k, top-p (Holtzman et al. 2020, of the probabilities that
/// top-k left), min-p (Nguyen et al. 2024). Tokens rank by logit, equal ones by id, lowest first; what is kept are the
/// first of that ranking. One draw, random_unit(seed, choice, position), falls on the kept ones in that order. Sums are
/// in double, in an order that depends on the logits only, so every machine chooses alike. Throws Error (kFailed) when
/// a logit is NaN or +infinity, or all are -infinity.
TokenId sample(std::span<const float> logits, const SamplingOptions& options, std::span<const TokenId> history,
               int64_t position, uint64_t choice = 0);

}  // namespace godwit
