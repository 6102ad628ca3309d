// Energy as the CPU counts it (RAPL), where the system lets us read it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace godwit {

class EnergyMeter {
 public:
  /// Finds the packages under `root` (the system's /sys/class/powercap); parts of a package are in its count already.
  explicit EnergyMeter(const std::string& root = "/sys/class/powercap");

  /// Whether there is anything to read. Mostly root alone may.
  bool available() const { return !packages_.empty(); }
  /// Joules of all packages since the last call, or since the meter was made. To be asked more often than the counters
  /// wrap (minutes). 0: not available.
  double joules();

 private:
  struct Package {
    std::string path;    // of the counter
    uint64_t range = 0;  // microjoules at which it wraps
    uint64_t last = 0;
  };
  std::vector<Package> packages_;
};

}  // namespace godwit
