// Scheduler: who computes what in the next step, as a pure function of lengths and budgets. No clock, no randomness, no
// memory of earlier steps.
//
// Memory goes by the queue. Sequences are taken in their order; each one runs if what those before it leave is enough.
// So one that is further back never takes memory from one before it: it runs in what the others cannot use, and is
// preempted (its state is dropped, its tokens are fed again later) when they can. The first in the queue always runs
// and is never preempted; hence all finish.
//
// A step's tokens go by equal shares. Each running sequence gets one, so that decoding never waits for a prompt; what
// is left of the chunk is shared evenly by those with more to feed, and what one cannot use goes to the others.
//
// Admission is optimistic: room is asked for what a sequence knows and kLookahead tokens more, not for all that it may
// generate, as most end long before max_tokens. What can never be whole in the budget is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace godwit {

/// A sequence is admitted when it and all that run before it have room for so many tokens more.
inline constexpr int64_t kLookahead = 64;

/// What the scheduler is told of a sequence that has not ended.
struct SequenceLoad {
  int64_t order = 0;     // its place in the queue, smaller first, no two alike: the number of its arrival
  int64_t fed = 0;       // tokens that its state has absorbed; 0 unless it runs
  int64_t known = 0;     // tokens of the prompt, and those chosen so far; known - fed wait to be fed
  int64_t most = 0;      // the longest that it can become
  bool running = false;  // it was admitted and has not been preempted since
};

/// May differ from step to step; when less is granted than is in use, the last in the queue are preempted.
struct ScheduleLimits {
  int64_t chunk = 512;                               // most tokens in a step, all sequences together
  int64_t rows = 1;                                  // most sequences in a step; never more than chunk
  int64_t budget_bytes = 0;                          // of all states
  std::function<int64_t(int64_t tokens)> bytes_for;  // most bytes of a state of so many tokens; never falls
};

/// Sequences are indices into the list of loads, in the order of the queue. To be carried out from top to bottom; a
/// sequence that was cancelled or has ended is released before the next plan is made, and not listed there.
struct Plan {
  struct Row {
    size_t sequence = 0;
    int64_t tokens =
        0;  // at least 1. One that resumes a remembered prefix when admitted may have fewer left: feed those.
  };
  std::vector<size_t> refuse;   // could not finish with the whole budget to itself; running only if that has shrunk
  std::vector<size_t> preempt;  // release the state; it waits again, with fed = 0
  std::vector<size_t> admit;    // runs from now on
  std::vector<Row> rows;        // the step: every running sequence that has tokens to feed
};

/// The next step. Throws Bug when a load or limit makes no sense.
Plan plan_step(std::span<const SequenceLoad> loads, const ScheduleLimits& limits);

}  // namespace godwit
