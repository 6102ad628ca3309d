#include "audit/machine_profile.h"

#include <toml++/toml.h>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace godwit {
namespace {

constexpr double kSecondsPerYear = 365.25 * 24 * 3600;
constexpr uint64_t kMostBytes = 1 << 16;

struct Number {
  double MachineProfile::*field;
  double least, most;  // beyond these it is a slip of the pen
};

const std::map<std::string, Number, std::less<>>& numbers() {
  static const std::map<std::string, Number, std::less<>> all{
      {"price", {&MachineProfile::price, 1e-6, 1e12}},
      {"life_years", {&MachineProfile::life_years, 0.01, 100}},
      {"power_price", {&MachineProfile::power_price, 0, 1e6}},
      {"watts_idle", {&MachineProfile::watts_idle, 0, 1e6}},
      {"watts_busy", {&MachineProfile::watts_busy, 0.001, 1e6}},
      {"utilisation", {&MachineProfile::utilisation, 0.001, 1}},
  };
  return all;
}

std::string known_keys() {
  std::string keys = "name currency";
  for (const auto& [key, number] : numbers()) keys += " " + key;
  return keys;
}

}  // namespace

double MachineProfile::cost_per_s() const {
  const double wear = price / (life_years * kSecondsPerYear * utilisation);
  const double idle_per_busy_s = (1 - utilisation) / utilisation;
  const double kwh = (watts_busy + watts_idle * idle_per_busy_s) / 3.6e6;
  return wear + kwh * power_price;
}

MachineProfile read_machine_profile(const std::string& path) {
  const std::string shown = printable_path(path);
  const std::string text = read_text(path, kMostBytes);
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    invalid("{}: line {}: {}", shown, error.source().begin.line, printable(error.description(), 200));
  }
  MachineProfile profile;
  for (const auto& [name, node] : table) {
    const std::string key(name.str());
    const auto line = node.source().begin.line;
    if (key == "name" || key == "currency") {
      const auto value = node.value_exact<std::string>();
      if (!value) invalid("{}: line {}: {}: expected a text in quotes", shown, line, key);
      (key == "name" ? profile.name : profile.currency) = printable(*value, key == "name" ? 80 : 8);
      continue;
    }
    const auto found = numbers().find(key);
    if (found == numbers().end())
      invalid("{}: line {}: unknown key {}; known ones are {}", shown, line, printable(key), known_keys());
    const auto value = node.value<double>();
    const Number& number = found->second;
    if (!node.is_number() || !value) invalid("{}: line {}: {}: expected a number", shown, line, key);
    if (!(*value >= number.least && *value <= number.most))  // false for NaN
      invalid("{}: line {}: {} = {}: expected a number from {} to {}", shown, line, key, *value, number.least,
              number.most);
    profile.*number.field = *value;
  }
  if (profile.watts_idle > profile.watts_busy)
    invalid("{}: watts_idle = {} is above watts_busy = {}", shown, profile.watts_idle, profile.watts_busy);
  return profile;
}

}  // namespace godwit
