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
};

/// Adds up costs by op.
struct Meter {
  std::map<std::string, Cost> by_op;
  /// Adds the cost and so many calls of kernels under `op`.
  void book(const std::string& op, const Cost& cost, int64_t calls = 1) {
    Cost& sum = by_op[op];
    sum.flops += cost.flops;
    sum.weight_bytes += cost.weight_bytes;
    sum.state_bytes += cost.state_bytes;
    sum.calls += calls;
  }
  Cost total() const {
    Cost sum;
    for (const auto& [op, cost] : by_op) {
      sum.flops += cost.flops;
      sum.weight_bytes += cost.weight_bytes;
      sum.state_bytes += cost.state_bytes;
    }
    return sum;
  }
};

struct Context {
  Arena& arena;            // results live here
  const Kernels& kernels;  // of this CPU level
  ThreadPool& pool;
  bool exact = false;  // --activations f32
  Meter* meter = nullptr;
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
