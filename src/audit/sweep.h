// Sweep: some sequences of one model that grow together to ever longer contexts, and are timed as they do.
#pragma once

#include <atomic>
#include <vector>

#include "engine/runner.h"

namespace godwit {

struct DecodeTimes {
  std::vector<double> steps;   // with logits and a choice from them
  std::vector<double> layers;  // without
  ExpertUse experts;           // of all of these
};

class Sweep {
 public:
  struct Chunk {
    int64_t from = 0, to = 0;  // of each sequence
    double seconds = 0;
  };

  /// `batch` sequences without a common page. `stop`: asked between steps; what was begun then comes back short.
  Sweep(Runner& runner, int64_t batch, const std::atomic<bool>& stop);
  ~Sweep();
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;

  /// Takes all sequences to `context` tokens: chunk by chunk, each shared evenly. Throws Error (kMemory) when the state
  /// has no room.
  std::vector<Chunk> advance(int64_t context);
  /// Decodes `n` tokens of so many sequences that are as long as the first one is now, but share no page: the first and
  /// copies of it whose values have other signs. It stays where it is. Throws as advance.
  DecodeTimes decode(int64_t sequences, int64_t n);

 private:
  SequenceState copy_of(const SequenceState& state);
  double step(std::vector<SequenceState>& states, int64_t tokens, Want want);

  Runner& runner_;
  const std::atomic<bool>& stop_;
  std::vector<SequenceState> states_;
};

/// Tokens that decode(n) adds to its forks.
constexpr int64_t decoded_tokens(int64_t n) { return n + (n + 3) / 4; }

/// What the states take while so many sequences of this context decode n tokens, in bytes.
int64_t decode_state_bytes(const StateLayout& layout, int64_t sequences, int64_t context, int64_t n, int64_t chunk);

}  // namespace godwit
