// Products with F32, F16 and BF16 weights: GB/s of weights for one row, Gflop/s for 8 and 512, beside plain reading and
// a loop of nothing but fused multiply-adds. Every thread takes its share of the outputs of one matrix, 4 tasks a
// thread.
#include <benchmark/benchmark.h>
#include <xmmintrin.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace godwit {
namespace {

struct Level {
  const char* name;
  Kernels kernels;
};

std::vector<Level> levels() {
  std::vector<Level> all;
  Kernels kernels = scalar_kernels();
  if (__builtin_cpu_supports("avx2")) {
    use_avx2(kernels);
    all.push_back({"avx2", kernels});
  }
  if (__builtin_cpu_supports("avx512vnni")) {
    use_avx512(kernels);
    all.push_back({"avx512", kernels});
  }
  return all;
}

/// Aligned memory, all of it small numbers in any of the three types (0x3c003c00 is about 0.0078 as f32).
template <class T>
T* filled(size_t n) {
  auto* memory = static_cast<T*>(std::aligned_alloc(4096, (n * sizeof(T) + 4095) / 4096 * 4096));
  const uint32_t pattern = 0x3c003c00;
  for (size_t i = 0; i < n * sizeof(T) / 4; ++i) std::memcpy(reinterpret_cast<char*>(memory) + 4 * i, &pattern, 4);
  return memory;
}

struct Shape {
  int64_t n, k;
};
constexpr Shape kLarge = {16384, 4096};  // 128 or 256 MiB: from memory
constexpr Shape kSmall = {4096, 2048};

std::byte* weights() {
  static std::byte* const memory = filled<std::byte>(kLarge.n * kLarge.k * 4);
  return memory;
}

void product(benchmark::State& state, const Level& level, DType type, int64_t rows, const Shape& shape) {
  _mm_setcsr(_mm_getcsr() | 0x8040);
  static float* const x = filled<float>(512 * 4096);
  static float* const y = filled<float>(512 * 16384);
  const Activations activations{.f32 = x, .bf16 = reinterpret_cast<const uint16_t*>(x), .rows = rows, .k = shape.k};
  const ProductMatrix matrix{.type = type, .w = weights(), .y = y, .n = shape.n};
  const int64_t share = shape.n / state.threads();
  const int64_t task = rows == 1 ? share / 4 : 96;
  const int64_t first = share * state.thread_index();
  for (auto _ : state) {
    for (int64_t o = first; o < first + share; o += task) {
      const int64_t count = first + share - o < task ? first + share - o : task;
      level.kernels.product_tile[static_cast<int>(type)](matrix, activations, o, count);
    }
  }
  using benchmark::Counter;
  const auto work = static_cast<double>(share * shape.k);
  if (rows == 1) {
    state.counters["GB/s"] = Counter(work * (type == DType::kF32 ? 4 : 2) * 1e-9, Counter::kIsIterationInvariantRate);
  } else {
    state.counters["Gflop/s"] =
        Counter(2 * work * static_cast<double>(rows) * 1e-9, Counter::kIsIterationInvariantRate);
  }
}

[[gnu::target("avx2")]] void plain_read(benchmark::State& state) {
  using Lane = int64_t __attribute__((vector_size(32)));
  const int64_t bytes = kLarge.n * kLarge.k * 2 / state.threads();
  const auto* p = reinterpret_cast<const Lane*>(weights() + bytes * state.thread_index());
  Lane sum[4] = {};
  for (auto _ : state) {
    for (int64_t i = 0; i < bytes / 32; i += 4) {
      for (int j = 0; j < 4; ++j) sum[j] |= p[i + j];
    }
    benchmark::DoNotOptimize(sum);
  }
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(bytes) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

[[gnu::target("avx2,fma")]] void fma_peak(benchmark::State& state) {
  using Lane = float __attribute__((vector_size(32)));
  Lane a = {}, b = {};
  Lane s0 = {}, s1 = {}, s2 = {}, s3 = {}, s4 = {}, s5 = {}, s6 = {}, s7 = {}, s8 = {}, s9 = {};
  benchmark::DoNotOptimize(a);
  benchmark::DoNotOptimize(b);
  for (auto _ : state) {
    for (int i = 0; i < 1000; ++i) {
      asm volatile(
          "vfmadd231ps %10, %11, %0\n\tvfmadd231ps %10, %11, %1\n\tvfmadd231ps %10, %11, %2\n\t"
          "vfmadd231ps %10, %11, %3\n\tvfmadd231ps %10, %11, %4\n\tvfmadd231ps %10, %11, %5\n\t"
          "vfmadd231ps %10, %11, %6\n\tvfmadd231ps %10, %11, %7\n\tvfmadd231ps %10, %11, %8\n\t"
          "vfmadd231ps %10, %11, %9"
          : "+x"(s0), "+x"(s1), "+x"(s2), "+x"(s3), "+x"(s4), "+x"(s5), "+x"(s6), "+x"(s7), "+x"(s8), "+x"(s9)
          : "x"(a), "x"(b));
    }
  }
  state.counters["Gflop/s"] = benchmark::Counter(10 * 1000 * 16 * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void add_benches() {
  static const std::vector<Level> all = levels();
  const auto add = [](benchmark::internal::Benchmark* bench) { bench->Threads(1)->Threads(2)->UseRealTime(); };
  add(benchmark::RegisterBenchmark("read", plain_read));
  add(benchmark::RegisterBenchmark("fma", fma_peak));
  for (const Level& level : all) {
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
      const std::string name = std::string(info(type).name) + "/" + level.name;
      for (const int64_t rows : {1, 8, 512}) {
        const Shape shape = rows == 512 ? kSmall : kLarge;
        add(benchmark::RegisterBenchmark(
            (name + "/rows:" + std::to_string(rows)).c_str(),
            [&level, type, rows, shape](benchmark::State& state) { product(state, level, type, rows, shape); }));
      }
    }
  }
}

}  // namespace
}  // namespace godwit

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  godwit::add_benches();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
