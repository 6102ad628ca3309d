// What this machine can do and how much of it is ours: the kernel level, physical cores, memory. Functions that read
// /proc and /sys take the root under which these lie ("" is the machine's own), so that tests can make one up.
#pragma once

#include <cstdint>
#include <string>

namespace godwit {

/// Sets of kernels (house rules: kernels/). kAvx2 is AVX2, FMA, F16C; kAvx512 is F, BW, DQ, VL and VNNI besides.
enum class CpuLevel { kScalar, kAvx2, kAvx512 };

/// "scalar", "avx2", "avx512".
const char* level_name(CpuLevel level);

/// What CPUID and XGETBV say, as far as a level depends on it. All zero on other architectures.
struct CpuFeatures {
  uint32_t leaf1_ecx = 0;
  uint32_t leaf7_ebx = 0;
  uint32_t leaf7_ecx = 0;
  uint64_t xcr0 = 0;  // the register state that the operating system saves
};
CpuFeatures cpu_features();
/// The best level that these features allow. Source: Intel SDM volume 1, sections 14.3 and 15.2 to 15.4.
CpuLevel level_of(const CpuFeatures& features);

/// `best`, or what `cap` lowers it to: "scalar", "avx2", "avx512" or "amx" (the highest there is); null or empty: no
/// cap. Throws Error (kUsage) for anything else.
CpuLevel capped_level(CpuLevel best, const char* cap);

/// The level to run at: the best of this CPU, capped by the environment's GODWIT_CPU. Throws as capped_level.
CpuLevel cpu_level();

/// As /proc/cpuinfo names the CPU: "AMD EPYC 9R14"; "unknown CPU" if it does not.
std::string cpu_model_name(const std::string& root = "");

/// How many threads to run by default: physical cores (hyperthreads of one count once) among those in the affinity
/// mask, at most the CPU quota of every cgroup this process is in (v1 and v2, rounded up). At least 1.
int granted_cores(const std::string& root = "");

/// Bytes of memory that we may take: what /proc/meminfo calls available (the total, where it does not), at most the
/// memory limit of every cgroup this process is in (v1 and v2). 0: unknown.
uint64_t granted_memory(const std::string& root = "");

/// Bytes of memory that this process has now (its resident set); 0 where the system does not say.
uint64_t resident_memory();
/// The most that it ever had.
uint64_t peak_memory();

}  // namespace godwit
