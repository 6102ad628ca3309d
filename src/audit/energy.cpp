#include "audit/energy.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

namespace godwit {
namespace {

namespace fs = std::filesystem;

std::optional<uint64_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  uint64_t value = 0;
  if (!(in >> value)) return {};
  return value;
}

}  // namespace

EnergyMeter::EnergyMeter(const std::string& root) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root, error)) {
    // Packages are intel-rapl:N (AMD's too); intel-rapl:N:M are their parts, psys is more than the CPU.
    const std::string name = entry.path().filename();
    if (!name.starts_with("intel-rapl:") || std::count(name.begin(), name.end(), ':') != 1) continue;
    std::string kind;
    std::ifstream(entry.path() / "name") >> kind;
    const auto now = number_in(entry.path() / "energy_uj"), range = number_in(entry.path() / "max_energy_range_uj");
    if (kind.starts_with("package") && now && range) packages_.push_back({entry.path() / "energy_uj", *range, *now});
  }
}

double EnergyMeter::joules() {
  uint64_t sum = 0;
  for (Package& package : packages_) {
    const auto now = number_in(package.path);
    if (!now) continue;
    sum += *now >= package.last ? *now - package.last : *now + package.range - package.last;
    package.last = *now;
  }
  return static_cast<double>(sum) / 1e6;
}

}  // namespace godwit
