// What the tests of the engine share.
#pragma once

#include "engine/engine.h"
#include "engine/harness.h"

namespace godwit {

inline Request random_request(uint64_t seed, const Model& model, int64_t most_prompt, int64_t most_tokens) {
  Request request;
  const auto draw = [&](uint64_t what, int64_t most) {
    return 1 + static_cast<int64_t>(random_bits(seed, what, 0) % static_cast<uint64_t>(most));
  };
  request.prompt = random_ids(seed, draw(1, most_prompt), model.vocab_size());
  request.max_tokens = draw(2, most_tokens);
  request.sampling.seed = seed;
  request.tenant = "t" + std::to_string(seed % 3);
  return request;
}

}  // namespace godwit
