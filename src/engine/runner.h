// Runner: one model ready to compute: its kernels, threads, working memory and sequence state. It feeds tokens in
// chunks; what is fed and what is done with the logits is the caller's business.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/state_pool.h"
#include "models/open.h"

namespace godwit {

struct RunnerOptions {
  int threads = 1;
  int level = 0;       // kernels_at
  bool exact = false;  // --activations f32
  CacheTypes cache;
  int64_t chunk = 512;       // most tokens in a step
  int64_t context = 0;       // most tokens of a sequence
  int64_t sequences = 1;     // at once
  int64_t state_budget = 0;  // bytes of all states; 0: room for so many sequences of that context
};

/// Memory that running takes, in bytes.
struct Fit {
  int64_t weights = 0, state = 0, work = 0;
  int64_t mapped = 0;  // of the weights: read where the file is mapped, they take memory only while there is some
  /// What must be there, or running is refused.
  int64_t total() const { return weights - mapped + state + work; }
};
/// Counted, nothing is taken: for generation, where the last logits of each sequence are wanted. All logits of a step
/// take up to 32 MiB more.
Fit fit(const OpenModel& open, const RunnerOptions& options);

/// Which logits a caller wants of the tokens it feeds.
enum class Want { kNone, kLast, kAll };

class Runner {
 public:
  /// Takes address space for state and working memory. Weights must be loaded before the first step.
  /// `kernels` (tests) replaces those of the level.
  Runner(const OpenModel& open, const RunnerOptions& options, std::optional<Kernels> kernels = {});

  struct Feed {
    SequenceState* state;
    std::span<const TokenId> tokens;
    Want want = Want::kLast;
  };
  /// Gets logits of feed `index`, token `position` onwards: [n, vocab_size].
  using Sink = std::function<void(size_t index, int64_t position, Tensor logits)>;

  /// Absorbs tokens into one sequence, chunk by chunk. False when `stop` became true between chunks. Throws Error
  /// (kMemory) when the state does not fit.
  bool feed(SequenceState& state, std::span<const TokenId> tokens, Want want, const Sink& sink,
            const std::atomic<bool>* stop = nullptr);
  /// Who calls the sink: one thread, in order; or all threads at once, each for other feeds.
  enum class Calls { kInOrder, kAtOnce };
  /// One step over several sequences: at most `chunk` tokens in all. What the sink throws goes through.
  void step(std::span<const Feed> feeds, const Sink& sink, Calls calls = Calls::kInOrder);

  const Model& model() const { return *open_.model; }
  const RunnerOptions& options() const { return options_; }
  const StateLayout& layout() const { return layout_; }
  StatePool& pool() { return state_; }
  ThreadPool& threads() { return threads_; }
  Context context();
  /// Experts that steps read since the last call.
  ExpertUse take_expert_use() { return std::exchange(expert_use_, {}); }

 private:
  /// Rows [first, first + n) of a slice of logits: of one feed, its tokens from `position` on.
  struct Run {
    size_t feed;
    int64_t position, first, n;
  };
  void hand_out(std::span<const Run> runs, Tensor logits, const Sink& sink, Calls calls);

  const OpenModel& open_;
  RunnerOptions options_;
  StateLayout layout_;
  ThreadPool threads_;
  Kernels kernels_;
  Arena arena_;
  StatePool state_;
  ExpertUse expert_use_;
};

}  // namespace godwit
