// godwit doctor: what this machine offers and which kernels run on it.
#include <iostream>

#include "audit/limits.h"
#include "base/cpu.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "ops/context.h"

namespace godwit {
namespace {

struct DoctorOptions {
  TalkOptions talk;
  int threads = 0;
};

void doctor_command(const DoctorOptions& o) {
  const CpuLevel level = cpu_level(), best = level_of(cpu_features());
  const int cores = granted_cores(), threads = o.threads > 0 ? o.threads : cores;
  const Kernels kernels = kernels_at(static_cast<int>(level));
  ThreadPool pool(threads);
  const int64_t sizes[] = {int64_t{1} << 20, int64_t{64} << 20, int64_t{512} << 20};
  Json bandwidth = Json::array();
  for (int64_t bytes : sizes) {
    if (static_cast<uint64_t>(2 * bytes) > granted_memory()) break;
    const std::vector<std::byte> memory(static_cast<size_t>(bytes), std::byte{1});
    const std::span<const std::byte> whole(memory);
    bandwidth.push_back(
        {{"bytes", bytes}, {"bytes_per_s", read_bandwidth(kernels, pool, {&whole, 1}, bytes < (8 << 20) ? 200 : 7)}});
  }
  const double fma = fma_peak(kernels, pool), int8 = int8_dot_peak(kernels, pool);
  Json missing = Json::array();
  if (level < CpuLevel::kAvx2)
    missing.push_back("AVX2, FMA and F16C: products run at the scalar level, many times slower");
  if (level == CpuLevel::kAvx2) missing.push_back("AVX-512 with VNNI: 8-bit products take several instructions");
  if (level < best) missing.push_back("GODWIT_CPU lowers the level");
  if (o.talk.json) {
    std::cout << dump_json({{"schema", "godwit.doctor/1"},
                            {"cpu",
                             {{"model", cpu_model_name()},
                              {"level", level_name(level)},
                              {"best_level", level_name(best)},
                              {"cores", cores},
                              {"threads", threads},
                              {"memory_bytes", granted_memory()}}},
                            {"limits", {{"read", bandwidth}, {"f32_fma_ops_per_s", fma}, {"int8_dot_ops_per_s", int8}}},
                            {"kernels", kernels.level},
                            {"missing", missing}})
              << '\n';
    return;
  }
  std::cout << fmt::format("cpu      {}, {} of its levels: {}\n", cpu_model_name(), level == best ? "best" : "capped",
                           level_name(level));
  std::cout << fmt::format("cores    {} granted, {} threads used here\n", cores, threads);
  std::cout << fmt::format("memory   {:.1f} GiB granted\n", static_cast<double>(granted_memory()) / (1u << 30));
  std::cout << fmt::format("kernels  {}\n", kernels.level);
  for (const Json& item : bandwidth)
    std::cout << fmt::format("read     {:.1f} GB/s from {} MiB\n", item["bytes_per_s"].get<double>() / 1e9,
                             item["bytes"].get<int64_t>() >> 20);
  std::cout << fmt::format("f32      {:.0f} Gflop/s (fused multiply-add)\n", fma / 1e9);
  if (int8 > 0)
    std::cout << fmt::format("int8     {:.0f} Gop/s ({})\n", int8 / 1e9,
                             level >= CpuLevel::kAvx512 ? "VNNI" : "multiply, widen, add");
  for (const Json& item : missing) std::cout << fmt::format("missing  {}\n", item.get<std::string>());
}

}  // namespace

void add_doctor(CLI::App& app) {
  auto o = std::make_shared<DoctorOptions>();
  Command command = add_command(
      app, "doctor", "CPU level, kernels in use, measured limits, memory, what is missing\n\n  godwit doctor --json");
  command.flag("-t,--threads", o->threads, "threads (default: granted cores)").range(1, 1024);
  add_talk_options(command, o->talk);
  command.runs([o] { doctor_command(*o); });
}

}  // namespace godwit
