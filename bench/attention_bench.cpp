// Attention at the shapes of two small models: decoding one token over a long context (bytes of keys and values read
// a second, all layers in turn, as a real step has them; beside it a plain read of as much memory), and a prompt of 512
// tokens (one layer). Each at 1 and 2 threads. And both for multi-head latent attention, beside the peak of fmas.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace godwit {
namespace {

struct Model {
  const char* name;
  int64_t n_layers, n_heads, n_kv_heads, head_dim;
};
constexpr Model kModels[] = {{"SmolLM2-135M", 30, 9, 3, 64}, {"Gemma-3-270M", 18, 4, 1, 256}};
constexpr const char* kLevels[] = {"scalar", "avx2", "avx512"};

Kernels level(int64_t i) {
  Kernels kernels = scalar_kernels();
  if (i >= 1) use_avx2(kernels);
  if (i >= 2) use_avx512(kernels);
  return kernels;
}

/// Pages of one sequence, all layers in each: [layer][K, V].
struct Pages {
  Pages(const Model& model, DType type, int64_t tokens)
      : layer_bytes(2 * model.n_kv_heads * kv_head_bytes(type, model.head_dim)),
        page_bytes(model.n_layers * layer_bytes) {
    const int64_t n = (tokens + kPageTokens - 1) / kPageTokens;
    bytes = static_cast<std::byte*>(std::aligned_alloc(1 << 21, static_cast<size_t>((n * page_bytes >> 21) + 1) << 21));
    for (int64_t i = 0; i < n; ++i) pointers.push_back(bytes + i * page_bytes);
    auto* half = reinterpret_cast<uint16_t*>(bytes);
    for (int64_t i = 0; i < n * page_bytes / 2; ++i)
      half[i] = static_cast<uint16_t>(0x3000 + (i * 2654435761 >> 7) % 1024);
  }
  Pages(const Pages&) = delete;
  ~Pages() { std::free(bytes); }
  int64_t layer_bytes, page_bytes;
  std::byte* bytes;
  std::vector<const std::byte*> pointers;
};

KvLayout layout_of(const Model& model, const Pages& pages, DType type, int64_t layer) {
  const int64_t k_offset = layer * pages.layer_bytes;
  return {k_offset, k_offset + pages.layer_bytes / 2, model.n_kv_heads, model.head_dim, model.head_dim, type, type};
}

Launch launch_on(ThreadPool& pool) {
  return {pool.size(), &pool, [](void* p, int64_t n, ThreadPool::Task task, const void* f) {
            static_cast<ThreadPool*>(p)->run(n, task, f);
          }};
}

// model, level, context, threads
void decode(benchmark::State& state) {
  const Model& model = kModels[state.range(0)];
  const Kernels kernels = level(state.range(1));
  const int64_t context = state.range(2);
  ThreadPool pool(static_cast<int>(state.range(3)));
  Launch launch = launch_on(pool);
  const Pages pages(model, DType::kF16, context);
  const std::vector<float> q(static_cast<size_t>(model.n_heads * model.head_dim), 0.01f);
  std::vector<float> y(q.size());
  const KvRow row{0, 1, context - 1, pages.pointers.data()};
  int64_t layer = 0;
  for (auto _ : state) {
    kernels.attention({.y = y.data(),
                       .q = q.data(),
                       .rows = &row,
                       .n_rows = 1,
                       .layout = layout_of(model, pages, DType::kF16, layer),
                       .n_heads = model.n_heads,
                       .window = 0,
                       .scale = 0.1f},
                      launch);
    layer = (layer + 1) % model.n_layers;
  }
  state.SetLabel(std::string(model.name) + " " + kLevels[state.range(1)]);
  state.SetBytesProcessed(state.iterations() * context * 4 * model.n_kv_heads * model.head_dim);
}

// Reads as many bytes as a decoding step of this context does. model, context, threads
void plain_read(benchmark::State& state) {
  const Model& model = kModels[state.range(0)];
  ThreadPool pool(static_cast<int>(state.range(2)));
  const Pages pages(model, DType::kF16, state.range(1));
  const int64_t n = static_cast<int64_t>(pages.pointers.size());
  for (auto _ : state) {
    pool.parallel(n, [&](int64_t i) {
      const auto* p = reinterpret_cast<const uint64_t*>(pages.pointers[static_cast<size_t>(i)]);
      uint64_t sum[8] = {};
      for (int64_t j = 0; j < pages.page_bytes / 8; j += 8) {
        for (int64_t k = 0; k < 8; ++k) sum[k] |= p[j + k];
      }
      benchmark::DoNotOptimize(sum);
    });
  }
  state.SetLabel(model.name);
  state.SetBytesProcessed(state.iterations() * n * pages.page_bytes);
}

// model, level, threads
void prefill(benchmark::State& state) {
  constexpr int64_t kTokens = 512;
  const Model& model = kModels[state.range(0)];
  const Kernels kernels = level(state.range(1));
  ThreadPool pool(static_cast<int>(state.range(2)));
  Launch launch = launch_on(pool);
  const Pages pages(model, DType::kF16, kTokens);
  const std::vector<float> q(static_cast<size_t>(kTokens * model.n_heads * model.head_dim), 0.01f);
  std::vector<float> y(q.size());
  const KvRow row{0, kTokens, 0, pages.pointers.data()};
  const KvLayout layout = layout_of(model, pages, DType::kF16, 0);
  for (auto _ : state) {
    kernels.attention({.y = y.data(),
                       .q = q.data(),
                       .rows = &row,
                       .n_rows = 1,
                       .layout = layout,
                       .n_heads = model.n_heads,
                       .window = 0,
                       .scale = 0.1f},
                      launch);
  }
  state.SetLabel(std::string(model.name) + " " + kLevels[state.range(1)]);
  const double flops = 2.0 * kTokens * (kTokens + 1) * static_cast<double>(model.n_heads * model.head_dim);
  state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

// model, level, threads: a prompt's keys and values into their pages
void store(benchmark::State& state) {
  constexpr int64_t kTokens = 512;
  const Model& model = kModels[state.range(0)];
  const Kernels kernels = level(state.range(1));
  ThreadPool pool(static_cast<int>(state.range(2)));
  Launch launch = launch_on(pool);
  const Pages pages(model, DType::kF16, kTokens);
  const std::vector<float> x(static_cast<size_t>(kTokens * model.n_kv_heads * model.head_dim), 0.01f);
  const KvRow row{0, kTokens, 0, pages.pointers.data()};
  const KvLayout layout = layout_of(model, pages, DType::kF16, 0);
  for (auto _ : state)
    kernels.kv_store({.k = x.data(), .v = x.data(), .rows = &row, .n_rows = 1, .layout = layout}, launch);
  state.SetLabel(std::string(model.name) + " " + kLevels[state.range(1)]);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(x.size()) * 8);
}

constexpr int64_t kRank = 512, kRope = 64;  // as DeepSeek-V2 and V3, Kimi K2

// One layer of multi-head latent attention: the last tokens of a context. heads, level, context, tokens, threads, type
void latent(benchmark::State& state) {
  const int64_t heads = state.range(0), context = state.range(2), tokens = state.range(3);
  const Kernels kernels = level(state.range(1));
  const auto type = static_cast<DType>(state.range(5));
  ThreadPool pool(static_cast<int>(state.range(4)));
  Launch launch = launch_on(pool);
  const KvLayout layout{.k_offset = 0,
                        .v_offset = kv_head_bytes(DType::kF16, kRope),
                        .n_kv_heads = 1,
                        .k_dim = kRank + kRope,
                        .v_dim = kRank,
                        .k_type = DType::kF16,
                        .v_type = type,
                        .shared_dim = kRank};
  const int64_t page_bytes = layout.k_bytes() + layout.v_bytes(), n_pages = (context + kPageTokens - 1) / kPageTokens;
  const std::vector<std::byte> memory(static_cast<size_t>(n_pages * page_bytes + 64), std::byte{0x22});
  std::vector<const std::byte*> pages;
  for (int64_t i = 0; i < n_pages; ++i)
    pages.push_back(memory.data() + 64 - reinterpret_cast<uintptr_t>(memory.data()) % 64 + i * page_bytes);
  const std::vector<float> q(static_cast<size_t>(tokens * heads * layout.k_dim), 0.01f);
  std::vector<float> y(static_cast<size_t>(tokens * heads * layout.v_dim));
  const KvRow row{0, static_cast<int32_t>(tokens), context - tokens, pages.data()};
  for (auto _ : state) {
    kernels.attention({.y = y.data(),
                       .q = q.data(),
                       .rows = &row,
                       .n_rows = 1,
                       .layout = layout,
                       .n_heads = heads,
                       .window = 0,
                       .scale = 0.1f},
                      launch);
  }
  state.SetLabel(kLevels[state.range(1)]);
  const double keys = static_cast<double>(tokens * (2 * context - tokens + 1)) / 2;
  const double flops = 2 * keys * static_cast<double>(heads * (2 * kRank + kRope));
  state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

// The same work in registers only: what a thread can do at most. level
void peak(benchmark::State& state) {
  const Kernels kernels = level(state.range(0));
  float sink[1];
  Launch launch;
  constexpr int64_t kRounds = 100000;
  for (auto _ : state) {
    kernels.probe_fma({.data = nullptr, .bytes = 0, .rounds = kRounds, .tasks = 1, .sink = sink}, launch);
  }
  state.counters["flops"] = benchmark::Counter(static_cast<double>(kRounds * kProbeAccumulators * 16 * 2),
                                               benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK(peak)->Arg(1)->Arg(2);
BENCHMARK(latent)
    ->ArgsProduct(
        {{16, 128}, {1, 2}, {4096}, {1}, {1, 2}, {static_cast<int>(DType::kF16), static_cast<int>(DType::kQ8_0)}})
    ->ArgsProduct({{16}, {1, 2}, {512}, {512}, {1, 2}, {static_cast<int>(DType::kF16)}})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(plain_read)->ArgsProduct({{0, 1}, {4096, 16384}, {1, 2}})->UseRealTime();
BENCHMARK(decode)
    ->ArgsProduct({{0, 1}, {1, 2}, {256, 4096, 16384}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(prefill)->ArgsProduct({{0, 1}, {1, 2}, {1, 2}})->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(store)->ArgsProduct({{0, 1}, {0, 2}, {1, 2}})->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace godwit

BENCHMARK_MAIN();
