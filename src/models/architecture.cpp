#include "models/architecture.h"

#include <cmath>

#include "base/error.h"

namespace godwit {
namespace {

// A function with a static inside: files register themselves in any order.
std::vector<const Architecture*>& registry() {
  static std::vector<const Architecture*> list;
  return list;
}

}  // namespace

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

const std::vector<const Architecture*>& architectures() { return registry(); }

const Architecture* find_architecture(const std::string& name) {
  for (const Architecture* a : registry())
    if (a->name == name) return a;
  return nullptr;
}

const Architecture* find_hf_architecture(const Json& config, const HfClass*& found) {
  const auto matches = [&](const HfClass& c) {
    if (const auto it = config.find("architectures"); it != config.end() && it->is_array() && !it->empty())
      return it->front().is_string() && it->front().get_ref<const std::string&>() == c.name;
    const auto it = config.find("model_type");
    return it != config.end() && it->is_string() && it->get_ref<const std::string&>() == c.model_type;
  };
  for (const Architecture* a : registry()) {
    for (const HfClass& c : a->hf_classes) {
      if (matches(c)) {
        found = &c;
        return a;
      }
    }
  }
  return nullptr;
}

Registered::Registered(const Architecture& architecture) { registry().push_back(&architecture); }

}  // namespace godwit
