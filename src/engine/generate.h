// Generation of one sequence: feed, choose, feed, until something ends it.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "engine/runner.h"
#include "engine/sampler.h"

namespace godwit {

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 0;         // 0: until something else ends it
  std::vector<TokenId> stop_ids;  // ascending
  int64_t n_tokens = 0;           // ids the tokenizer knows; the rows beyond are never chosen; 0: all
  const std::atomic<bool>* cancel = nullptr;
};

enum class Finish { kStop, kLength, kCancelled };

struct Generation {
  std::vector<TokenId> ids;  // without the id that ended it
  Finish finish = Finish::kLength;
  double prefill_s = 0, decode_s = 0, ttft_s = 0;
};

/// Continues `prompt` in a fresh sequence. on_token gets each id as it is chosen; it returns false to end the
/// generation (a stop string). Throws Error (kUsage) when the prompt does not fit the context.
Generation generate(Runner& runner, std::span<const TokenId> prompt, const GenerateOptions& options,
                    const std::function<bool(TokenId)>& on_token);

}  // namespace godwit
