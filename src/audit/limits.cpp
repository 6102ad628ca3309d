#include "audit/limits.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "audit/statistics.h"
#include "ops/context.h"

namespace godwit {
namespace {

constexpr double kEnough_s = 0.02;

template <class Work>
double seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double seconds(void (*probe)(const ProbeArgs&, Launch&), const ProbeArgs& args, ThreadPool& pool) {
  Launch launch = launch_on(pool);
  return seconds([&] { probe(args, launch); });
}

// Zeroed memory, aligned as weights and pages are.
class Bytes {
 public:
  explicit Bytes(int64_t size) : memory_(static_cast<size_t>(size) + kAlignment) {}
  std::byte* data() {
    const auto at = reinterpret_cast<uintptr_t>(memory_.data());
    return memory_.data() + (kAlignment - at % kAlignment) % kAlignment;
  }

 private:
  static constexpr size_t kAlignment = 64;
  std::vector<std::byte> memory_;
};

// Operations per second of a register-only probe: rounds grow until the time means something, then the best of five.
double peak(void (*probe)(const ProbeArgs&, Launch&), ThreadPool& pool, double per_round) {
  if (probe == nullptr) return 0.0;
  const int64_t tasks = 4 * pool.size();
  std::vector<float> sink(static_cast<size_t>(tasks));
  ProbeArgs args{.data = nullptr, .bytes = 0, .rounds = 1000, .tasks = tasks, .sink = sink.data()};
  while (seconds(probe, args, pool) < kEnough_s) args.rounds *= 2;
  double best = 1e30;
  for (int i = 0; i < 5; ++i) best = std::min(best, seconds(probe, args, pool));
  return per_round * static_cast<double>(args.rounds * tasks) / best;
}

}  // namespace

double read_bandwidth(const Kernels& kernels, ThreadPool& pool, std::span<const std::span<const std::byte>> stretches,
                      int repeats) {
  size_t all = 0, most = 0;
  for (const auto& stretch : stretches) {
    all += stretch.size();
    most = std::max(most, stretch.size());
  }
  std::vector<float> sink(most / kProbeTaskBytes + 1);
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    double pass = 0;
    for (const auto& stretch : stretches) {
      const ProbeArgs args{.data = stretch.data(),
                           .bytes = static_cast<int64_t>(stretch.size()),
                           .rounds = 1,
                           .tasks = 0,
                           .sink = sink.data()};
      pass += seconds(kernels.probe_read, args, pool);
    }
    best = std::min(best, pass);
  }
  return static_cast<double>(all) / best;
}

double fma_peak(const Kernels& kernels, ThreadPool& pool) {
  return peak(kernels.probe_fma, pool, static_cast<double>(kProbeAccumulators) * 16 * 2);
}

double int8_dot_peak(const Kernels& kernels, ThreadPool& pool) {
  return peak(kernels.probe_int8_dot, pool, static_cast<double>(kProbeAccumulators) * 64 * 2);
}

double call_seconds(ThreadPool& pool) {
  constexpr int kCalls = 500;
  Launch launch = launch_on(pool);
  double best = 1e30;
  for (int i = 0; i < 5; ++i) {
    best = std::min(best, seconds([&] {
                      for (int call = 0; call < kCalls; ++call) launch.parallel(pool.size(), [](int64_t) {});
                    }));
  }
  return best / kCalls;
}

Limits measured_limits(const Kernels& kernels, ThreadPool& pool,
                       std::span<const std::span<const std::byte>> stretches) {
  return {.read_bytes_per_s = read_bandwidth(kernels, pool, stretches),
          .f32_ops_per_s = fma_peak(kernels, pool),
          .int8_ops_per_s = int8_dot_peak(kernels, pool),
          .call_s = call_seconds(pool)};
}

namespace {

// Operations per second of work that is repeated, with what handing it out takes left out: the median of five.
template <class Work>
double rate_of(ThreadPool& pool, double ops, const Work& work) {
  const auto timed = [&](int times) {
    return seconds([&] {
             for (int i = 0; i < times; ++i) work();
           }) /
           times;
  };
  constexpr double kSample_s = 0.004;
  const int times = std::clamp(static_cast<int>(kSample_s / std::max(timed(1), 1e-7)), 1, 10000);
  std::vector<double> samples;
  for (int i = 0; i < 5; ++i) samples.push_back(timed(times));
  const double taken = median(samples), call = call_seconds(pool);
  return ops / std::max(taken - call, 0.2 * taken);
}

// Rows of activations of any form, all zero: no kernel takes longer for other values.
class SomeRows {
 public:
  SomeRows(int64_t rows, int64_t k)
      : rows_(rows),
        f32_(size(k)),
        scales_(size(k) / 32 + 1),
        bf16_(size(k)),
        codes_(size(k)),
        sums_(size(k) / 16 + 1) {}

  /// Of width k, at most that given.
  Activations of(int64_t k) const {
    return {.f32 = f32_.data(),
            .bf16 = bf16_.data(),
            .codes = codes_.data(),
            .scales = scales_.data(),
            .sums = sums_.data(),
            .rows = rows_,
            .k = k};
  }

 private:
  size_t size(int64_t k) const { return static_cast<size_t>(rows_ * k); }
  int64_t rows_;
  std::vector<float> f32_, scales_;
  std::vector<uint16_t> bf16_;
  std::vector<int8_t> codes_;
  std::vector<int16_t> sums_;
};

}  // namespace

double product_rate(const Kernels& kernels, ThreadPool& pool, DType type, int64_t rows, bool exact) {
  constexpr int64_t kBytes = 384 << 10, kWidth = 1024;
  const int64_t n = std::max<int64_t>(32, kBytes / (matrix_bytes(type, 16, kWidth) / 16) / 16 * 16);
  Bytes weights(matrix_bytes(type, n, kWidth));
  std::vector<float> y(static_cast<size_t>(rows * n));
  const SomeRows x(rows, kWidth);
  ProductArgs args{.x = x.of(kWidth), .matrix = {}, .n_matrices = 1, .exact = exact};
  args.matrix[0] = {.type = type, .w = weights.data(), .y = y.data(), .bias = nullptr, .n = n};
  Launch launch = launch_on(pool);
  return rate_of(pool, 2.0 * static_cast<double>(rows * n * kWidth), [&] { kernels.product(args, launch, kernels); });
}

std::map<DType, double> product_rates(const Kernels& kernels, ThreadPool& pool, std::span<const Tensor> matrices,
                                      int64_t rows, bool exact) {
  int64_t widest = 32, tallest = 1;
  for (const Tensor& m : matrices) {
    widest = std::max(widest, m.width());
    tallest = std::max(tallest, m.rows());
  }
  const SomeRows x(rows, widest);
  std::vector<float> y(static_cast<size_t>(rows * tallest));
  const double call = call_seconds(pool);
  Launch launch = launch_on(pool);
  std::map<DType, std::vector<double>> passes;
  for (int pass = 0; pass < 3; ++pass) {
    std::map<DType, double> busy_s, ops;
    for (const Tensor& m : matrices) {
      ProductArgs args{.x = x.of(m.width()), .matrix = {}, .n_matrices = 1, .exact = exact};
      args.matrix[0] = {.type = m.dtype, .w = m.data, .y = y.data(), .bias = nullptr, .n = m.rows()};
      const double taken = seconds([&] { kernels.product(args, launch, kernels); });
      busy_s[m.dtype] += std::max(taken - call, 0.2 * taken);
      ops[m.dtype] += 2.0 * static_cast<double>(rows * m.rows() * m.width());
    }
    for (const auto& [type, taken] : busy_s) passes[type].push_back(ops[type] / taken);
  }
  std::map<DType, double> rates;
  for (const auto& [type, values] : passes) rates[type] = median(values);
  return rates;
}

double attention_rate(const Kernels& kernels, ThreadPool& pool, const KvLayout& layout, int64_t n_heads, int64_t rows,
                      int64_t bytes) {
  constexpr int64_t kFewestPages = 4, kMostPages = 512;
  const bool prompt = bytes == 0;
  const int64_t page_bytes = std::max(layout.k_offset + layout.k_bytes(), layout.v_offset + layout.v_bytes());
  const int64_t n_rows = prompt ? 1 : rows;
  const int64_t n_pages = prompt ? kFewestPages + (rows + kPageTokens - 1) / kPageTokens
                                 : std::clamp(bytes / (n_rows * page_bytes), kFewestPages, kMostPages);
  Bytes memory(page_bytes * n_pages * n_rows);
  std::vector<const std::byte*> pages;
  for (int64_t i = 0; i < n_pages * n_rows; ++i) pages.push_back(memory.data() + i * page_bytes);
  std::vector<KvRow> list;
  for (int64_t r = 0; r < n_rows; ++r)
    list.push_back({.first = static_cast<int32_t>(r),
                    .count = static_cast<int32_t>(prompt ? rows : 1),
                    .past = prompt ? kFewestPages * kPageTokens : n_pages * kPageTokens - 1,
                    .pages = pages.data() + r * n_pages});
  std::vector<float> q(static_cast<size_t>(rows * n_heads * layout.k_dim)),
      y(static_cast<size_t>(rows * n_heads * layout.v_dim));
  const AttentionArgs args{.y = y.data(),
                           .q = q.data(),
                           .rows = list.data(),
                           .n_rows = n_rows,
                           .layout = layout,
                           .n_heads = n_heads,
                           .window = 0,
                           .scale = 1};
  Launch launch = launch_on(pool);
  const double seen =
      static_cast<double>(prompt ? 2 * kFewestPages * kPageTokens + rows + 1 : 2 * n_pages * kPageTokens) / 2;
  return rate_of(pool, 2.0 * static_cast<double>(rows * n_heads * (layout.k_dim + layout.v_dim)) * seen,
                 [&] { kernels.attention(args, launch); });
}

}  // namespace godwit
