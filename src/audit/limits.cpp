#include "audit/limits.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "ops/context.h"

namespace godwit {
namespace {

constexpr double kEnough_s = 0.02;

double seconds(void (*probe)(const ProbeArgs&, Launch&), const ProbeArgs& args, ThreadPool& pool) {
  Launch launch = launch_on(pool);
  const auto start = std::chrono::steady_clock::now();
  probe(args, launch);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

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

}  // namespace godwit
