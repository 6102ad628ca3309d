// What every kernel test needs: the levels of this CPU, random data, memory that ends at a fence, comparison of bits,
// and threads. Including it turns flush-to-zero and denormals-are-zero on, as every thread of the engine has them.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "kernels/kernels.h"

namespace godwit::test {

/// Threads started later inherit it.
inline const bool kFlushing = [] {
  _mm_setcsr(_mm_getcsr() | 0x8040);
  return true;
}();

/// Every level that this CPU has, scalar first.
inline std::vector<Kernels> levels() {
  std::vector<Kernels> all = {scalar_kernels()};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    all.push_back(all.back());
    use_avx2(all.back());
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) {
    all.push_back(all.back());
    use_avx512(all.back());
  }
  return all;
}

/// The same numbers on every machine (splitmix64, Steele et al. 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// 0 <= result < n.
  int64_t below(int64_t n) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(n)); }
  float uniform(float low, float high) { return low + (high - low) * (static_cast<float>(bits() >> 40) * 0x1p-24f); }
  /// Roughly normal, deviation 1: bell-shaped, never beyond 6.
  float normal() {
    float sum = 0;
    for (int i = 0; i < 12; ++i) sum += uniform(0, 1);
    return sum - 6;
  }
  /// Any sign, any exponent from 2^low to 2^high, any mantissa.
  float wide(int low, int high) {
    const auto exponent = static_cast<int>(low + below(high - low + 1));
    const float sign = (bits() & 1) != 0 ? -1.0f : 1.0f;
    return sign * std::ldexp(uniform(1, 2), exponent);
  }
  /// What arithmetic trips over: zeros, denormals, the extremes, infinities, NaN.
  float awkward() {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    constexpr float kAll[] = {
        0.0f,  -0.0f,         1e-40f, -1e-40f, 0x1p-126f, -0x1p-126f,          0x1p-149f,  1e-30f,    -1e-25f, 1.0f,
        -1.0f, 3.4028235e38f, -1e38f, kInf,    -kInf,     __builtin_nanf("1"), -0x1p-120f, 88.72284f, -87.5f,  1e20f};
    return kAll[below(std::size(kAll))];
  }

 private:
  uint64_t state_;
};

/// Memory for n values of T that ends at an unreadable page, so that one byte read or written past the end is a fault;
/// bytes before the start are checked when it goes away. The start has whatever alignment n leaves.
template <class T>
class Fenced {
 public:
  explicit Fenced(size_t n) : size_(n) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    inside_ = (n * sizeof(T) + kGuard + page - 1) / page * page;
    base_ = static_cast<std::byte*>(
        mmap(nullptr, inside_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + inside_, page, PROT_NONE) != 0) std::abort();
    whole_ = inside_ + page;
    std::memset(base_, 0xa5, inside_);
  }
  explicit Fenced(std::span<const T> values) : Fenced(values.size()) {
    if (!values.empty()) std::memcpy(data(), values.data(), values.size_bytes());
  }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  ~Fenced() {
    const std::byte* start = reinterpret_cast<const std::byte*>(data());
    for (const std::byte* p = start - kGuard; p < start; ++p)
      EXPECT_EQ(*p, std::byte{0xa5}) << "written before the start";
    munmap(base_, whole_);
  }

  T* data() { return reinterpret_cast<T*>(base_ + inside_ - size_ * sizeof(T)); }
  const T* data() const { return reinterpret_cast<const T*>(base_ + inside_ - size_ * sizeof(T)); }
  size_t size() const { return size_; }
  std::span<T> span() { return {data(), size_}; }
  std::span<const T> span() const { return {data(), size_}; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }

 private:
  static constexpr size_t kGuard = 64;
  size_t size_, inside_, whole_;
  std::byte* base_;
};

/// Every one of `values` made by `f()`.
template <class F>
std::vector<float> filled(size_t n, F f) {
  std::vector<float> values(n);
  for (float& v : values) v = f();
  return values;
}

/// Equal as 32-bit patterns; any NaN equals any NaN.
inline bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
}

/// One failure that names the first difference.
inline void expect_same_bits(std::span<const float> expected, std::span<const float> got, const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    if (!same_bits(expected[i], got[i])) {
      ADD_FAILURE() << what << ": index " << i << " of " << got.size() << std::hexfloat << ": expected " << expected[i]
                    << ", got " << got[i];
      return;
    }
  }
}

/// A Launch on `n` threads that live for one phase; n == 1 runs on the caller. Tasks are handed out last to first, so
/// that nothing may rely on their order.
class Threads {
 public:
  explicit Threads(int n) : n_(n) {
    launch_.n_threads = n;
    launch_.pool = this;
    launch_.run = [](void* pool, int64_t n_tasks, void (*task)(const void* f, int64_t index), const void* f) {
      static_cast<Threads*>(pool)->run(n_tasks, task, f);
    };
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  Launch& launch() { return launch_; }

 private:
  void run(int64_t n_tasks, void (*task)(const void* f, int64_t index), const void* f) {
    std::atomic<int64_t> left = n_tasks;
    const auto work = [&] {
      for (int64_t i = left.fetch_sub(1) - 1; i >= 0; i = left.fetch_sub(1) - 1) task(f, i);
    };
    std::vector<std::thread> threads;
    for (int i = 1; i < n_; ++i) threads.emplace_back(work);
    work();
    for (std::thread& t : threads) t.join();
  }

  int n_;
  Launch launch_;
};

}  // namespace godwit::test
