#include "audit/energy.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "temp_folder.h"

namespace godwit {
namespace {

void counter(const TempFolder& folder, const std::string& name, const std::string& kind, uint64_t microjoules) {
  std::filesystem::create_directories(folder.file(name));
  folder.write(name + "/name", kind + "\n");
  folder.write(name + "/energy_uj", std::to_string(microjoules) + "\n");
  folder.write(name + "/max_energy_range_uj", "10000000\n");
}

TEST(Energy, AddsPackagesOnceAndKnowsThatCountersWrap) {
  const TempFolder folder;
  counter(folder, "intel-rapl:0", "package-0", 1000000);
  counter(folder, "intel-rapl:0:0", "core", 500000);
  counter(folder, "intel-rapl:1", "package-1", 9500000);
  counter(folder, "intel-rapl:2", "psys", 0);
  EnergyMeter meter(folder.file(""));
  ASSERT_TRUE(meter.available());
  EXPECT_EQ(meter.joules(), 0);
  counter(folder, "intel-rapl:0", "package-0", 3500000);
  counter(folder, "intel-rapl:0:0", "core", 2500000);
  counter(folder, "intel-rapl:1", "package-1", 500000);
  counter(folder, "intel-rapl:2", "psys", 9000000);
  EXPECT_DOUBLE_EQ(meter.joules(), 2.5 + 1.0);
  EXPECT_EQ(meter.joules(), 0);
}

TEST(Energy, NothingToReadIsNotAvailable) {
  const TempFolder folder;
  EnergyMeter empty(folder.file("")), absent(folder.file("absent"));
  EXPECT_FALSE(empty.available());
  EXPECT_FALSE(absent.available());
  EXPECT_EQ(absent.joules(), 0);
}

}  // namespace
}  // namespace godwit
