// What a machine's time costs: the figures that no measurement gives, from a TOML file or the stated default.
#pragma once

#include <string>

namespace godwit {

/// All figures are assumptions; docs/audit.md says what follows from them.
struct MachineProfile {
  std::string name = "default: a small server";
  std::string currency = "USD";
  double price = 1500;        // of the machine, in the currency
  double life_years = 4;      // until it is worth nothing
  double power_price = 0.20;  // of a kWh
  double watts_idle = 40;
  double watts_busy = 120;
  double utilisation = 0.5;  // share of its life in which it works

  /// What a second of work costs: the machine's wear, its power, and the idle time that each working second carries.
  double cost_per_s() const;
};

/// Reads a profile: every key is optional, unknown ones and values that make no sense are refused. Throws Error
/// (kInvalid) naming file, line and key.
MachineProfile read_machine_profile(const std::string& path);

}  // namespace godwit
