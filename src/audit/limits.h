// What the machine can do at most, measured: the yardstick of every speed that Godwit prints.
#pragma once

#include <cstddef>
#include <map>
#include <span>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "tensor/tensor.h"

namespace godwit {

/// The limits that figures are compared with.
struct Limits {
  double read_bytes_per_s = 0, f32_ops_per_s = 0, int8_ops_per_s = 0;
  double call_s = 0;  // to hand work to all threads and wait for them, once an op
};
/// All of them, as the functions below say; read from these stretches.
Limits measured_limits(const Kernels& kernels, ThreadPool& pool, std::span<const std::span<const std::byte>> stretches);

/// Bytes per second at which all threads of the pool together read these stretches of memory, one after the other: the
/// best of `repeats` passes.
double read_bandwidth(const Kernels& kernels, ThreadPool& pool, std::span<const std::span<const std::byte>> stretches,
                      int repeats = 5);
/// F32 operations per second (a fused multiply-add counts as two), all threads, registers only.
double fma_peak(const Kernels& kernels, ThreadPool& pool);
/// 8-bit integer dot operations per second (a multiply-add counts as two); 0 at the scalar level.
double int8_dot_peak(const Kernels& kernels, ThreadPool& pool);

/// Operations per second that products of `rows` rows reach, by type of weights, with weights that lie in the caches.
double product_rate(const Kernels& kernels, ThreadPool& pool, DType type, int64_t rows, bool exact);
/// The same with a model's own matrices, read from memory one after the other as a step does: the median of three
/// passes.
std::map<DType, double> product_rates(const Kernels& kernels, ThreadPool& pool, std::span<const Tensor> matrices,
                                      int64_t rows, bool exact);
/// The same of attention, as in this layout: of `rows` sequences that decode, with so many bytes of keys and values in
/// all, read from memory; or, bytes 0, of `rows` tokens of one prompt after 256 others.
double attention_rate(const Kernels& kernels, ThreadPool& pool, const KvLayout& layout, int64_t n_heads, int64_t rows,
                      int64_t bytes);

/// Seconds to hand an empty task to every thread and wait for all: what each op pays once.
double call_seconds(ThreadPool& pool);

}  // namespace godwit
