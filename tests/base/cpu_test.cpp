#include "base/cpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "base/error.h"

namespace godwit {
namespace {

namespace fs = std::filesystem;

// A made-up machine: files under a temporary folder.
class Machine : public testing::Test {
 protected:
  Machine() {
    std::string pattern = (fs::temp_directory_path() / "godwit_cpu_XXXXXX").string();
    root_ = mkdtemp(pattern.data());
  }
  ~Machine() override { fs::remove_all(root_); }

  void put(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  // n_cores cores of two hyperthreads each: CPU i and i + n_cores share one.
  void put_cpus(int n_cores, const std::string& allowed) const {
    for (int cpu = 0; cpu < 2 * n_cores; ++cpu)
      put("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
          std::to_string(cpu % n_cores) + "," + std::to_string(cpu % n_cores + n_cores) + "\n");
    put("/proc/self/status",
        "Name:\tgodwit\nCpus_allowed:\tff\nCpus_allowed_list:\t" + allowed + "\nMems_allowed:\t1\n");
  }
  void put_cgroup2(const std::string& path, const std::string& top = "/") const {
    put("/proc/self/cgroup", "0::" + path + "\n");
    put("/proc/self/mountinfo", "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n30 22 0:26 " + top +
                                    " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  }

  std::string root_;
};

TEST_F(Machine, CoresAreCountedOnceForTheirHyperthreads) {
  put_cpus(4, "0-7");
  EXPECT_EQ(granted_cores(root_), 4);
}

TEST_F(Machine, CoresOutsideTheAffinityMaskDoNotCount) {
  put_cpus(4, "1,5,6");  // 1 and 5 are one core
  EXPECT_EQ(granted_cores(root_), 2);
}

TEST_F(Machine, WithoutAMaskAllCpusOnlineCountAndWithoutTopologyEachForItself) {
  put("/sys/devices/system/cpu/online", "0-2,5\n");
  EXPECT_EQ(granted_cores(root_), 4);
}

TEST_F(Machine, AnEmptyRootStillGrantsACore) { EXPECT_GE(granted_cores(root_), 1); }

TEST_F(Machine, QuotaOfCgroup2IsRoundedUp) {
  put_cpus(8, "0-15");
  put_cgroup2("/user/job");
  put("/sys/fs/cgroup/user/job/cpu.max", "250000 100000\n");
  EXPECT_EQ(granted_cores(root_), 3);
  put("/sys/fs/cgroup/user/job/cpu.max", "300000 100000\n");
  EXPECT_EQ(granted_cores(root_), 3);
  put("/sys/fs/cgroup/user/job/cpu.max", "1000 100000\n");
  EXPECT_EQ(granted_cores(root_), 1);
  put("/sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
  EXPECT_EQ(granted_cores(root_), 8);
  put("/sys/fs/cgroup/user/cpu.max", "200000 100000\n");  // the parent's binds too
  EXPECT_EQ(granted_cores(root_), 2);
  put("/sys/fs/cgroup/user/cpu.max", "nonsense\n");
  EXPECT_EQ(granted_cores(root_), 8);
  put("/sys/fs/cgroup/user/cpu.max", "200000 0\n");
  EXPECT_EQ(granted_cores(root_), 8);
}

TEST_F(Machine, AQuotaAboveTheCoresChangesNothing) {
  put_cpus(2, "0-3");
  put_cgroup2("/");
  put("/sys/fs/cgroup/cpu.max", "900000 100000\n");
  EXPECT_EQ(granted_cores(root_), 2);
}

TEST_F(Machine, AContainerSeesItsCgroupAtTheMountPoint) {
  put_cpus(8, "0-15");
  put_cgroup2("/docker/abc/inner", "/docker/abc");
  put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_EQ(granted_cores(root_), 4);
  put("/sys/fs/cgroup/inner/cpu.max", "200000 100000\n");
  EXPECT_EQ(granted_cores(root_), 2);
  put_cgroup2("/../../elsewhere");  // the path lies outside of our namespace: the mount point remains
  EXPECT_EQ(granted_cores(root_), 4);
  put_cgroup2("/docker/abcd", "/docker/abc");  // not below the top, though it begins with the same letters
  put("/sys/fs/cgroup/d/cpu.max", "100000 100000\n");
  EXPECT_EQ(granted_cores(root_), 4);
}

TEST_F(Machine, Cgroup1HasQuotaAndLimitInHierarchiesOfTheirOwn) {
  put_cpus(8, "0-15");
  put("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree:  100 kB\nMemAvailable:   8000000 kB\n");
  put("/proc/self/cgroup", "9:name=systemd:/s\n5:cpuset:/jobs\n4:memory:/jobs/a:b\n3:cpu,cpuacct:/jobs\n0::/u\n");
  put("/proc/self/mountinfo",
      "32 31 0:29 / /sys/fs/cgroup/cpu\\040time rw,relatime shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct\n"
      "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n");
  put("/sys/fs/cgroup/cpuset/jobs/cpu.cfs_quota_us", "100000\n");  // of no meaning here
  put("/sys/fs/cgroup/cpuset/jobs/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpu time/jobs/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu time/jobs/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(granted_cores(root_), 8);
  put("/sys/fs/cgroup/cpu time/jobs/cpu.cfs_quota_us", "450000\n");
  EXPECT_EQ(granted_cores(root_), 5);

  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(granted_memory(root_), 8000000ull * 1024);
  put("/sys/fs/cgroup/memory/jobs/a:b/memory.limit_in_bytes", "1073741824\n");
  EXPECT_EQ(granted_memory(root_), 1073741824ull);
  put("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "536870912\n");
  EXPECT_EQ(granted_memory(root_), 536870912ull);
}

TEST_F(Machine, MemoryIsTheLeastOfWhatIsAvailableAndTheLimits) {
  EXPECT_EQ(granted_memory(root_), 0u);
  put("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree:          500000 kB\n");
  EXPECT_EQ(granted_memory(root_), 16000000ull * 1024);
  put("/proc/meminfo", "MemTotal:       16000000 kB\nMemAvailable:   12000000 kB\n");
  EXPECT_EQ(granted_memory(root_), 12000000ull * 1024);
  put_cgroup2("/user/job");
  put("/sys/fs/cgroup/user/job/memory.max", "max\n");
  EXPECT_EQ(granted_memory(root_), 12000000ull * 1024);
  put("/sys/fs/cgroup/user/memory.max", "2147483648\n");
  EXPECT_EQ(granted_memory(root_), 2147483648ull);
  put("/sys/fs/cgroup/user/job/memory.max", "1000000\n");
  EXPECT_EQ(granted_memory(root_), 1000000ull);
}

TEST_F(Machine, ModelName) {
  EXPECT_EQ(cpu_model_name(root_), "unknown CPU");
  put("/proc/cpuinfo", "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9R14: test \nstepping\t: 1\n");
  EXPECT_EQ(cpu_model_name(root_), "AMD EPYC 9R14: test");
}

// Bits as the manuals number them.
constexpr uint32_t kLeaf1 = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29;  // FMA, OSXSAVE, AVX, F16C
constexpr uint32_t kLeaf7Avx2 = 1u << 5;
constexpr uint32_t kLeaf7Avx512 = 1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
constexpr uint32_t kVnni = 1u << 11;

TEST(CpuLevelOf, NeedsEveryFeatureAndTheSystemsSupport) {
  EXPECT_EQ(level_of({}), CpuLevel::kScalar);
  EXPECT_EQ(level_of({kLeaf1, kLeaf7Avx2, 0, 0x07}), CpuLevel::kAvx2);
  EXPECT_EQ(level_of({kLeaf1, kLeaf7Avx512, kVnni, 0xe7}), CpuLevel::kAvx512);
  EXPECT_EQ(level_of({kLeaf1, kLeaf7Avx512, 0, 0xe7}), CpuLevel::kAvx2);        // no VNNI
  EXPECT_EQ(level_of({kLeaf1, kLeaf7Avx512, kVnni, 0x07}), CpuLevel::kAvx2);    // upper halves are not saved
  EXPECT_EQ(level_of({kLeaf1, kLeaf7Avx512, kVnni, 0xe3}), CpuLevel::kScalar);  // AVX state is not saved
  for (int feature : {12, 27, 28, 29})
    EXPECT_EQ(level_of({kLeaf1 & ~(1u << feature), kLeaf7Avx512, kVnni, 0xe7}), CpuLevel::kScalar) << feature;
  for (int feature : {16, 17, 30, 31})
    EXPECT_EQ(level_of({kLeaf1, kLeaf7Avx512 & ~(1u << feature), kVnni, 0xe7}), CpuLevel::kAvx2) << feature;
}

TEST(CpuLevelOf, AgreesWithTheFlagsThatTheKernelLists) {
  std::ifstream file("/proc/cpuinfo");
  std::set<std::string> flags;
  for (std::string line; flags.empty() && std::getline(file, line);) {
    if (line.rfind("flags", 0) != 0) continue;
    std::istringstream list(line.substr(line.find(':') + 1));
    for (std::string flag; list >> flag;) flags.insert(flag);
  }
  const auto all = [&](std::initializer_list<const char*> names) {
    for (const char* flag : names)
      if (flags.count(flag) == 0) return false;
    return true;
  };
  const bool avx2 = all({"avx", "avx2", "fma", "f16c"});
  const bool avx512 = avx2 && all({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"});
  const CpuLevel expected = avx512 ? CpuLevel::kAvx512 : avx2 ? CpuLevel::kAvx2 : CpuLevel::kScalar;
  EXPECT_EQ(level_of(cpu_features()), expected);
}

TEST(CpuLevelCap, LowersAndNeverRaises) {
  const CpuLevel levels[] = {CpuLevel::kScalar, CpuLevel::kAvx2, CpuLevel::kAvx512};
  for (CpuLevel best : levels) {
    for (const char* none : {static_cast<const char*>(nullptr), "", "amx", "avx512"})
      EXPECT_EQ(capped_level(best, none), best);
    EXPECT_EQ(capped_level(best, "scalar"), CpuLevel::kScalar);
    EXPECT_EQ(capped_level(best, "avx2"), best == CpuLevel::kScalar ? best : CpuLevel::kAvx2);
    EXPECT_EQ(capped_level(CpuLevel::kAvx512, level_name(best)), best);
  }
}

std::string usage_error(const char* cap) {
  try {
    capped_level(CpuLevel::kAvx512, cap);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(CpuLevelCap, RefusesOtherNamesWithASuggestion) {
  EXPECT_THAT(usage_error("avx3"), testing::AllOf(testing::HasSubstr("GODWIT_CPU"), testing::HasSubstr("\"avx3\""),
                                                  testing::HasSubstr("did you mean avx2?")));
  EXPECT_THAT(usage_error("avx-512"), testing::HasSubstr("did you mean avx512?"));
  EXPECT_THAT(usage_error("AVX2"), testing::HasSubstr("expected scalar, avx2, avx512 or amx"));
  EXPECT_THAT(usage_error("quantum\n"),
              testing::AllOf(testing::HasSubstr("\"quantum\\n\""), testing::Not(testing::HasSubstr("did you mean"))));
}

TEST(CpuLevelCap, ComesFromTheEnvironment) {
  const char* before = std::getenv("GODWIT_CPU");
  const std::string saved = before == nullptr ? "" : before;
  setenv("GODWIT_CPU", "scalar", 1);
  EXPECT_EQ(cpu_level(), CpuLevel::kScalar);
  setenv("GODWIT_CPU", "sclar", 1);
  EXPECT_THROW(cpu_level(), Error);
  unsetenv("GODWIT_CPU");
  EXPECT_EQ(cpu_level(), level_of(cpu_features()));
  if (before != nullptr) setenv("GODWIT_CPU", saved.c_str(), 1);
}

TEST(ThisMachine, GrantsSomething) {
  EXPECT_GE(granted_cores(), 1);
  EXPECT_LE(granted_cores(), sysconf(_SC_NPROCESSORS_CONF));
  EXPECT_GT(granted_memory(), 1u << 20);
  EXPECT_LE(granted_memory(),
            static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  EXPECT_NE(cpu_model_name(), "");
}

}  // namespace
}  // namespace godwit
