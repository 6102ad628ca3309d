// Scheduler: who computes what in the next step, as a pure function of lengths and budgets. No clock, no randomness, no
// memory of earlier steps.
//
// Memory goes by the queue. Each sequence runs if those before it leave it room. One that is further back takes nothing
// from one before it: it overtakes in room that is too small for the other, and is preempted (its state is dropped, its
// tokens are fed again later) when that room is wanted. The first in the queue always runs, so all come to an end.
//
// A step's tokens go by equal shares. Each running sequence gets one, so decoding never waits for a prompt; the rest of
// the chunk is shared evenly, and what one cannot use goes to the others.
//
// What that promises, of R sequences in a step and with share = max(claimed bytes / budget, 1 / rows):
// - A running sequence gets all that it can take in a step, or at least floor(chunk / R) tokens.
// - The fair share of waiting is the time that those before it in the queue would take if they filled the machine: the
//   sum of their shares over the steps that they run while it waits. A sequence waits at most 1 / (1 - its own share)
//   times as long: with at most half of the machine for itself, never more than twice its fair share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace godwit {

/// What the scheduler is told of a sequence that has not ended.
struct SequenceLoad {
  int64_t order = 0;     // its place in the queue, smaller first, no two alike: the number of its arrival
  int64_t fed = 0;       // tokens that its state has absorbed; 0 unless it runs
  int64_t known = 0;     // tokens of the prompt, and those chosen so far; known - fed wait to be fed
  int64_t most = 0;      // the longest that it can become: the prompt and max_tokens
  bool running = false;  // it was admitted, and not preempted since
};

/// `chunk` and `rows` may differ from step to step (short steps while somebody decodes, say). When fewer rows are
/// granted than are in use, the last in the queue are preempted.
struct ScheduleLimits {
  int64_t chunk = 512;         // most tokens in a step, all sequences together
  int64_t rows = 1;            // most sequences that run at once; more than chunk count as chunk
  int64_t snapshot_every = 0;  // no row goes past a multiple of so many tokens, where snapshots are taken; 0: none are
  int64_t budget_bytes = 0;    // of all states
  /// Most bytes that a state of up to so many tokens takes.
  std::function<int64_t(int64_t tokens)> bytes_for;
};

/// What to do, from top to bottom. Sequences are indices into the list of loads, in the order of the queue. When one
/// that is admitted resumes a remembered prefix, plan again with what is left to feed: only rows change.
struct Plan {
  struct Row {
    size_t sequence = 0;
    int64_t tokens = 0;  // at least 1
    bool operator==(const Row&) const = default;
  };
  std::vector<size_t> refuse;   // cannot finish even alone in the budget
  std::vector<size_t> preempt;  // release the state: it waits, with fed = 0
  std::vector<size_t> admit;    // runs from now on
  std::vector<Row> rows;        // the step: each running sequence that has something to feed
};

/// Tokens that a sequence claims room for. To be admitted, it and those that run before it must have their claims: what
/// each knows and a quarter more, at least a page, as far as it can become so long. Not all of `most`: nearly all end
/// long before max_tokens, and to keep that much free costs more time than now and then to feed a sequence again.
int64_t claimed_tokens(const SequenceLoad& load);

/// The next step. Throws Bug when a load or a limit makes no sense.
Plan plan_step(std::span<const SequenceLoad> loads, const ScheduleLimits& limits);

}  // namespace godwit
