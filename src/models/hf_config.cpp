#include "models/hf_config.h"

#include <cmath>

#include "base/error.h"

namespace godwit {

int64_t HfConfig::integer(const std::string& key) const {
  if (!has(key)) invalid("{}: key {}: missing", source, key);
  if (!json[key].is_number_integer())
    invalid("{}: key {}: expected an integer, got {}", source, key, json[key].type_name());
  if (json[key].is_number_unsigned() && json[key].get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    invalid("{}: key {}: too large", source, key);
  return json[key].get<int64_t>();
}

double HfConfig::real(const std::string& key) const {
  if (!has(key)) invalid("{}: key {}: missing", source, key);
  if (!json[key].is_number()) invalid("{}: key {}: expected a number, got {}", source, key, json[key].type_name());
  const auto value = json[key].get<double>();
  if (!std::isfinite(value)) invalid("{}: key {}: not finite", source, key);
  return value;
}

bool HfConfig::boolean(const std::string& key, bool otherwise) const {
  if (!has(key)) return otherwise;
  if (!json[key].is_boolean())
    invalid("{}: key {}: expected true or false, got {}", source, key, json[key].type_name());
  return json[key].get<bool>();
}

std::string HfConfig::text(const std::string& key, const std::string& otherwise) const {
  if (!has(key)) return otherwise;
  if (!json[key].is_string()) invalid("{}: key {}: expected a string, got {}", source, key, json[key].type_name());
  return json[key].get<std::string>();
}

}  // namespace godwit
