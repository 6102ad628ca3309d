#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

std::string_view without_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::optional<uint64_t> number(std::string_view text) {
  text = without_blanks(text);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string> words(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, separator);) out.push_back(word);
  return out;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return std::string(without_blanks(line));
}

// The value of "key: value" or "key<tab>: value" in a file of such lines; empty if absent.
std::string value_of(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon != std::string::npos && without_blanks(std::string_view(line).substr(0, colon)) == key)
      return std::string(without_blanks(std::string_view(line).substr(colon + 1)));
  }
  return {};
}

// The same where the value is a size such as "24684084 kB"; nothing when it is none, or does not fit.
std::optional<uint64_t> bytes_of(const std::string& path, std::string_view key) {
  const std::string value = value_of(path, key);
  const auto kib = number(std::string_view(value).substr(0, value.find(' ')));
  if (!kib || *kib > kUnlimited / 1024) return std::nullopt;
  return *kib * 1024;
}

// "0-3,8" as {0, 1, 2, 3, 8}; parts that are no numbers are left out.
std::vector<int> cpu_list(const std::string& text) {
  constexpr uint64_t kMaxCpu = 1 << 16;
  std::vector<int> cpus;
  for (const std::string& part : words(text, ',')) {
    const size_t dash = part.find('-');
    const auto first = number(std::string_view(part).substr(0, dash));
    const auto last = dash == std::string::npos ? first : number(std::string_view(part).substr(dash + 1));
    if (!first || !last || *last > kMaxCpu) continue;
    for (uint64_t cpu = *first; cpu <= *last; ++cpu) cpus.push_back(static_cast<int>(cpu));
  }
  return cpus;
}

// Mount points in mountinfo have spaces and backslashes as \ooo.
std::string unescaped(std::string_view text) {
  const auto octal = [&](size_t i) { return text[i] >= '0' && text[i] <= '7'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool contains(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

struct Mount {
  std::string top;    // the cgroup that lies at the mount point
  std::string point;  // where
};

// Where the hierarchy of a v1 controller is mounted, or, for "", the v2 hierarchy. Source: proc(5), mountinfo.
std::optional<Mount> find_mount(const std::string& root, std::string_view controller) {
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> left = words(line.substr(0, dash), ' ');
    const std::vector<std::string> right = words(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    const bool match =
        controller.empty() ? right[0] == "cgroup2" : right[0] == "cgroup" && contains(words(right[2], ','), controller);
    if (match) return Mount{unescaped(left[3]), unescaped(left[4])};
  }
  return std::nullopt;
}

// The cgroup of this process in that hierarchy, from lines "id:controllers:path"; v2 has id 0 and no controllers.
std::optional<std::string> own_cgroup(const std::string& root, std::string_view controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : contains(words(controllers, ','), controller))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

// The folders of this process's cgroup and of all above it that the mount shows; limits of any of them bind.
std::vector<std::string> cgroup_folders(const std::string& root, std::string_view controller) {
  const auto mount = find_mount(root, controller);
  const auto cgroup = own_cgroup(root, controller);
  if (!mount || !cgroup) return {};
  std::string below = *cgroup;
  // A container may see only a part of the hierarchy, yet be told the path from its real top.
  if (mount->top != "/" && (below == mount->top || below.rfind(mount->top + "/", 0) == 0))
    below.erase(0, mount->top.size());
  if (below.find("/..") != std::string::npos) below.clear();  // outside of our namespace
  while (!below.empty() && below.back() == '/') below.pop_back();
  std::vector<std::string> folders;
  while (true) {
    folders.push_back(root + mount->point + below);
    if (below.empty()) return folders;
    below.resize(below.rfind('/') == std::string::npos ? 0 : below.rfind('/'));
  }
}

// Whole CPUs in quota / period, rounded up; a quota that is no number ("max", "-1", absent) is no limit.
uint64_t quota_cpus(std::string_view quota, std::string_view period) {
  const auto q = number(quota);
  const auto p = number(period);
  if (!q || !p || *p == 0) return kUnlimited;
  return std::max<uint64_t>(1, *q / *p + (*q % *p != 0 ? 1 : 0));
}

uint64_t cpu_quota(const std::string& root) {
  uint64_t least = kUnlimited;
  for (const std::string& folder : cgroup_folders(root, "")) {
    const std::vector<std::string> fields = words(first_line(folder + "/cpu.max"), ' ');
    if (fields.size() == 2) least = std::min(least, quota_cpus(fields[0], fields[1]));
  }
  for (const std::string& folder : cgroup_folders(root, "cpu")) {
    const std::string quota = first_line(folder + "/cpu.cfs_quota_us");
    least = std::min(least, quota_cpus(quota, first_line(folder + "/cpu.cfs_period_us")));
  }
  return least;
}

// The CPUs that this process may run on; empty if the system does not say.
std::vector<int> allowed_cpus(const std::string& root) {
  std::vector<int> cpus = cpu_list(value_of(root + "/proc/self/status", "Cpus_allowed_list"));
  return cpus.empty() ? cpu_list(first_line(root + "/sys/devices/system/cpu/online")) : cpus;
}

uint64_t xgetbv() {
#if defined(__x86_64__)
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
#else
  return 0;
#endif
}

constexpr uint32_t bit(int i) { return uint32_t{1} << i; }
constexpr uint32_t kOsxsave = bit(27);

constexpr bool has_all(uint64_t value, uint64_t bits) { return (value & bits) == bits; }

}  // namespace

const char* level_name(CpuLevel level) {
  switch (level) {
    case CpuLevel::kScalar:
      return "scalar";
    case CpuLevel::kAvx2:
      return "avx2";
    case CpuLevel::kAvx512:
      return "avx512";
  }
  CHECK(false, "CPU level {}", static_cast<int>(level));
  return "";
}

CpuFeatures cpu_features() {
  CpuFeatures features;
#if defined(__x86_64__)
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0) features.leaf1_ecx = ecx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
    features.leaf7_ebx = ebx;
    features.leaf7_ecx = ecx;
  }
  if (has_all(features.leaf1_ecx, kOsxsave)) features.xcr0 = xgetbv();  // the instruction needs it
#endif
  return features;
}

CpuLevel level_of(const CpuFeatures& features) {
  constexpr uint32_t kFma = bit(12), kAvx = bit(28), kF16c = bit(29);                            // leaf 1 ecx
  constexpr uint32_t kAvx2 = bit(5), kF = bit(16), kDq = bit(17), kBw = bit(30), kVl = bit(31);  // leaf 7 ebx
  constexpr uint32_t kVnni = bit(11);                                                            // leaf 7 ecx
  constexpr uint64_t kYmmState = 0x06, kZmmState = 0xe6;  // SSE and AVX; and masks, upper halves, registers 16 to 31
  if (!has_all(features.leaf1_ecx, kOsxsave | kFma | kAvx | kF16c) || !has_all(features.leaf7_ebx, kAvx2) ||
      !has_all(features.xcr0, kYmmState))
    return CpuLevel::kScalar;
  if (!has_all(features.leaf7_ebx, kF | kDq | kBw | kVl) || !has_all(features.leaf7_ecx, kVnni) ||
      !has_all(features.xcr0, kZmmState))
    return CpuLevel::kAvx2;
  return CpuLevel::kAvx512;
}

CpuLevel capped_level(CpuLevel best, const char* cap) {
  static constexpr std::array<std::string_view, 4> kNames = {"scalar", "avx2", "avx512", "amx"};
  const std::string_view text = cap == nullptr ? "" : cap;
  if (text.empty() || text == "amx") return best;
  for (CpuLevel level : {CpuLevel::kScalar, CpuLevel::kAvx2, CpuLevel::kAvx512})
    if (text == level_name(level)) return std::min(best, level);
  const std::string_view near = closest(text, kNames);
  fail(ErrorKind::kUsage, "GODWIT_CPU: expected scalar, avx2, avx512 or amx, got {}{}", quoted(text),
       near.empty() ? "" : fmt::format("; did you mean {}?", near));
}

CpuLevel cpu_level() { return capped_level(level_of(cpu_features()), std::getenv("GODWIT_CPU")); }

std::string cpu_model_name(const std::string& root) {
  const std::string model = value_of(root + "/proc/cpuinfo", "model name");
  return model.empty() ? "unknown CPU" : model;
}

int granted_cores(const std::string& root) {
  const std::vector<int> cpus = allowed_cpus(root);
  // Hyperthreads of one core name the same siblings; a CPU without topology counts for itself.
  std::set<std::string> cores;
  for (int cpu : cpus) {
    const std::string folder = fmt::format("{}/sys/devices/system/cpu/cpu{}/topology", root, cpu);
    const std::string siblings = first_line(folder + "/thread_siblings_list");
    cores.insert(siblings.empty() ? fmt::format("cpu{}", cpu) : siblings);
  }
  const uint64_t n = cores.empty() ? std::thread::hardware_concurrency() : cores.size();
  return static_cast<int>(std::max<uint64_t>(1, std::min(n, cpu_quota(root))));
}

uint64_t peak_memory() { return bytes_of("/proc/self/status", "VmHWM").value_or(0); }
uint64_t resident_memory() { return bytes_of("/proc/self/status", "VmRSS").value_or(0); }

uint64_t granted_memory(const std::string& root) {
  uint64_t least = kUnlimited;
  for (const char* key : {"MemAvailable", "MemTotal"}) {
    const auto bytes = bytes_of(root + "/proc/meminfo", key);
    if (!bytes) continue;
    least = *bytes;
    break;
  }
  const auto limit = [&](const std::string& path) {
    if (const auto bytes = number(first_line(path))) least = std::min(least, *bytes);
  };
  for (const std::string& folder : cgroup_folders(root, "")) limit(folder + "/memory.max");
  for (const std::string& folder : cgroup_folders(root, "memory")) limit(folder + "/memory.limit_in_bytes");
  return least == kUnlimited ? 0 : least;
}

}  // namespace godwit
