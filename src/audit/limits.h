// What the machine can do at most, measured: the yardstick of every speed that Godwit prints.
#pragma once

#include <cstddef>
#include <span>

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace godwit {

/// Bytes per second at which all threads of the pool together read these stretches of memory, one after the other: the
/// best of `repeats` passes.
double read_bandwidth(const Kernels& kernels, ThreadPool& pool, std::span<const std::span<const std::byte>> stretches,
                      int repeats = 5);
/// F32 operations per second (a fused multiply-add counts as two), all threads, registers only.
double fma_peak(const Kernels& kernels, ThreadPool& pool);
/// 8-bit integer dot operations per second (a multiply-add counts as two); 0 at the scalar level.
double int8_dot_peak(const Kernels& kernels, ThreadPool& pool);

}  // namespace godwit
