// Products with quantized weights beside the machine's limits of the same minute: decode (one row) in GB/s beside a
// plain read of the same bytes, 8 and 512 rows in Gop/s beside a loop of integer dot instructions. Medians of
// interleaved runs.
//   product_bench [MB] [threads] [type...]
#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

#include "kernels/kernels.h"
#include "tensor/dtype.h"

namespace godwit {
namespace {

// Threads that wait by spinning: what is measured is the kernel.
class SpinPool {
 public:
  explicit SpinPool(int n) {
    for (int t = 1; t < n; ++t) {
      threads_.emplace_back([this] {
        _mm_setcsr(_mm_getcsr() | 0x8040);
        for (int64_t seen = 0;;) {
          while (round_.load(std::memory_order_acquire) == seen) _mm_pause();
          seen = round_.load(std::memory_order_acquire);
          if (stop_) return;
          work();
          done_.fetch_add(1, std::memory_order_release);
        }
      });
    }
  }
  ~SpinPool() {
    stop_ = true;
    ++round_;
    for (std::thread& t : threads_) t.join();
  }
  Launch launch() {
    Launch l;
    l.n_threads = static_cast<int>(threads_.size()) + 1;
    l.pool = this;
    l.run = [](void* pool, int64_t n_tasks, void (*task)(const void*, int64_t), const void* f) {
      auto& self = *static_cast<SpinPool*>(pool);
      self.n_tasks_ = n_tasks, self.task_ = task, self.f_ = f;
      self.next_ = 0, self.done_ = 0;
      self.round_.fetch_add(1, std::memory_order_release);
      self.work();
      while (self.done_.load(std::memory_order_acquire) < static_cast<int64_t>(self.threads_.size())) _mm_pause();
    };
    return l;
  }

 private:
  void work() {
    for (int64_t i = next_++; i < n_tasks_; i = next_++) task_(f_, i);
  }

  std::vector<std::thread> threads_;
  std::atomic<int64_t> round_{0}, next_{0}, done_{0};
  std::atomic<bool> stop_{false};
  int64_t n_tasks_ = 0;
  void (*task_)(const void*, int64_t) = nullptr;
  const void* f_ = nullptr;
};

double seconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The best of the runs: other work on the machine only takes away.
double best(const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); }

struct Shape {
  DType type;
  int64_t n, k;
};

void measure(const Shape& shape, int64_t rows, int n_threads, const Kernels& kernels) {
  const int64_t bytes = matrix_bytes(shape.type, shape.n, shape.k);
  auto* w = static_cast<std::byte*>(std::aligned_alloc(2 << 20, (bytes + (2 << 20)) & ~int64_t{(2 << 20) - 1}));
  const std::unique_ptr<std::byte, decltype(&std::free)> owner(w, &std::free);
  std::minstd_rand random(1);
  for (int64_t i = 0; i + 4 <= bytes; i += 4) {
    const auto bits = static_cast<uint32_t>(random()) & 0x3fff3fffu;
    std::memcpy(w + i, &bits, 4);
  }
  std::vector<float> x(rows * shape.k, 0.5f), y(rows * shape.n), scales(rows * shape.k / 32);
  std::vector<int8_t> codes(rows * shape.k);
  std::vector<int16_t> sums(rows * shape.k / 16);
  for (float& v : x) v = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  Launch alone;
  kernels.quantize({codes.data(), scales.data(), sums.data(), x.data(), rows, shape.k}, alone);
  ProductArgs args{.x = {.f32 = x.data(),
                         .codes = codes.data(),
                         .scales = scales.data(),
                         .sums = sums.data(),
                         .rows = rows,
                         .k = shape.k},
                   .matrix = {{shape.type, w, y.data(), nullptr, shape.n}},
                   .n_matrices = 1};
  SpinPool pool(n_threads);
  Launch launch = pool.launch();
  std::vector<float> sink(bytes / kProbeTaskBytes + 1 + 8 * n_threads);
  const ProbeArgs probe{
      .data = w, .bytes = bytes, .rounds = rows == 1 ? 1 : 1 << 16, .tasks = 8 * n_threads, .sink = sink.data()};
  const auto limit = [&] { (rows == 1 ? kernels.probe_read : kernels.probe_int8_dot)(probe, launch); };
  const double operations =
      2.0 * static_cast<double>(rows) * static_cast<double>(shape.n) * static_cast<double>(shape.k);
  const double limit_work = rows == 1 ? static_cast<double>(bytes)
                                      : static_cast<double>(probe.tasks * probe.rounds * kProbeAccumulators * 64 * 2);
  std::vector<double> limits, products;
  const auto product = [&] { kernels.product(args, launch, kernels); };
  product();
  for (int i = 0; i < (20); ++i) {
    limits.push_back(limit_work / seconds(limit));
    products.push_back((rows == 1 ? static_cast<double>(bytes) : operations) / seconds(product));
  }
  fmt::print("{:9} {:7} x {:5} {:6.1f} MB  rows {:3}  threads {}  {:7.1f} of {:7.1f} {}  {:3.0f} %\n", name(shape.type),
             shape.n, shape.k, static_cast<double>(bytes) / 1e6, rows, n_threads, best(products) / 1e9,
             best(limits) / 1e9, rows == 1 ? "GB/s" : "Gop/s", 100 * best(products) / best(limits));
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  _mm_setcsr(_mm_getcsr() | 0x8040);
  Kernels kernels = scalar_kernels();
  use_avx2(kernels);
  if (std::getenv("GODWIT_CPU") == nullptr || std::string_view(std::getenv("GODWIT_CPU")) != "avx2")
    use_avx512(kernels);
  const int64_t megabytes = argc > 1 ? std::atoll(argv[1]) : 90;
  const int n_threads = argc > 2 ? std::atoi(argv[2]) : 2;
  std::vector<DType> types;
  for (int i = 3; i < argc; ++i) types.push_back(dtype_from_name(argv[i]).value());
  if (types.empty())
    types = {DType::kQ4_0x16, DType::kQ4_1x16, DType::kQ5_0x16, DType::kQ8_0x16,
             DType::kQ4_Kx16, DType::kQ6_Kx16, DType::kMXFP4x16};
  for (const DType type : types) {
    const int64_t k = info(type).block == 256 ? 2048 : 640;
    const int64_t n = megabytes * 1000000 / matrix_bytes(type, 16, k) * 16;
    measure({type, n, k}, 1, n_threads, kernels);
    for (const int64_t rows : {2, 4, 8, 16}) measure({type, n / 8 / 16 * 16, k}, rows, n_threads, kernels);
    for (const int64_t rows : {32, 512}) measure({type, 2048, k}, rows, n_threads, kernels);
  }
  return 0;
}

}  // namespace
}  // namespace godwit

int main(int argc, char** argv) { return godwit::run(argc, argv); }
