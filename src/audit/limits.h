// What the machine can do at most, measured: the yardstick of every speed that Godwit prints.
#pragma once

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace godwit {

/// Bytes per second that all threads of the pool read from `bytes` of memory together, the best of `repeats` passes.
double read_bandwidth(const Kernels& kernels, ThreadPool& pool, int64_t bytes, int repeats = 5);
/// F32 operations per second (a fused multiply-add counts as two), all threads, registers only.
double fma_peak(const Kernels& kernels, ThreadPool& pool);
/// 8-bit integer dot operations per second (a multiply-add counts as two); 0 at the scalar level.
double int8_dot_peak(const Kernels& kernels, ThreadPool& pool);

}  // namespace godwit
