// Context: what a pass runs in. The same forward records nothing and only runs (inference), counts (a Meter), or only
// sizes (dry): the Context decides, the model does not know.
#pragma once

#include <map>
#include <string>

#include "base/arena.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "tensor/tensor.h"

namespace godwit {

/// What one op costs. FLOPs count a multiply-add as two; bytes are those that must be read or written at least once.
struct Cost {
  int64_t flops = 0;
  int64_t weight_bytes = 0;  // parameters read
  int64_t state_bytes = 0;   // sequence state read or written
  int64_t calls = 0;         // of kernels
  // Which experts a step reads is not known before it runs: weight_bytes is what uniform choices read on average; least
  // and most are so much below and above.
  int64_t fewer_bytes = 0, more_bytes = 0;

  Cost& operator+=(const Cost& other) {
    flops += other.flops;
    weight_bytes += other.weight_bytes;
    state_bytes += other.state_bytes;
    fewer_bytes += other.fewer_bytes;
    more_bytes += other.more_bytes;
    return *this;
  }
};

/// Adds up costs by op.
struct Meter {
  std::map<std::string, Cost> by_op;
  /// Adds the cost and so many calls of kernels under `op`.
  void book(const std::string& op, const Cost& cost, int64_t calls = 1) {
    Cost& sum = by_op[op];
    sum += cost;
    sum.calls += calls;
  }
  Cost total() const {
    Cost sum;
    for (const auto& [op, cost] : by_op) sum += cost;
    return sum;
  }
};

/// How many experts were read while steps ran: sums over steps and layers with experts.
struct ExpertUse {
  int64_t passes = 0;  // steps times layers
  int64_t tokens = 0, distinct = 0;
  void add(int64_t n_tokens, int64_t n_distinct) {
    ++passes;
    tokens += n_tokens;
    distinct += n_distinct;
  }
  ExpertUse& operator+=(const ExpertUse& other) {
    passes += other.passes;
    tokens += other.tokens;
    distinct += other.distinct;
    return *this;
  }
  /// Of a step and a layer with experts, on average; 0 where there was none.
  double distinct_a_pass() const {
    return passes == 0 ? 0 : static_cast<double>(distinct) / static_cast<double>(passes);
  }
};

struct Context {
  Arena& arena;            // results live here
  const Kernels& kernels;  // of this CPU level
  ThreadPool& pool;
  bool exact = false;  // --activations f32
  Meter* meter = nullptr;
  ExpertUse* expert_use = nullptr;
  bool dry = false;  // shapes, arena size and meter only: no kernel runs, no weight is touched
};

/// An uninitialised tensor in the arena.
inline Tensor empty(Context& cx, Shape shape, DType dtype = DType::kF32) {
  Tensor t{nullptr, dtype, shape};
  t.data = cx.arena.alloc(t.bytes());
  return t;
}

/// How kernels run their tasks on this pool.
inline Launch launch_on(ThreadPool& pool) {
  return {pool.size(), &pool, [](void* p, int64_t n, ThreadPool::Task task, const void* f) {
            static_cast<ThreadPool*>(p)->run(n, task, f);
          }};
}

/// Unless the pass is dry, calls work(launch) to run a kernel on the pool.
template <class Work>
void run(Context& cx, const Work& work) {
  if (cx.dry) return;
  Launch launch = launch_on(cx.pool);
  work(launch);
}

/// Books the cost of a kernel under `op` and runs it.
template <class Args>
void run(Context& cx, const char* op, void (*kernel)(const Args&, Launch&), const Args& args, const Cost& cost) {
  if (cx.meter != nullptr) cx.meter->book(op, cost);
  run(cx, [&](Launch& launch) { kernel(args, launch); });
}

/// The fastest kernels of a level: 0 scalar, 1 AVX2, 2 AVX-512; the caller makes sure that the CPU has it.
Kernels kernels_at(int level);

}  // namespace godwit
