#include "models/architecture.h"

#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "models/hf_config.h"

namespace godwit {
namespace {

// A function with a static inside: files register themselves in any order.
std::vector<const Architecture*>& registry() {
  static std::vector<const Architecture*> list;
  return list;
}

std::vector<std::string>& files() {
  static std::vector<std::string> list;
  return list;
}

}  // namespace

const std::vector<const Architecture*>& architectures() { return registry(); }

const std::vector<std::string>& architecture_files() { return files(); }

const Architecture* find_architecture(const Config& config) {
  const Architecture* unclaimed = nullptr;
  for (const Architecture* a : registry()) {
    if (a->name != config.architecture) continue;
    if (a->claims == nullptr) unclaimed = a;
    if (a->claims != nullptr && a->claims(config)) return a;
  }
  return unclaimed;
}

const Architecture* find_hf_architecture(const Json& config, const HfClass*& found) {
  const auto matches = [&](const HfClass& c) {
    if (const auto it = config.find("architectures"); it != config.end() && it->is_array() && !it->empty())
      return it->front().is_string() && it->front().get_ref<const std::string&>() == c.name;
    const auto it = config.find("model_type");
    return it != config.end() && it->is_string() && it->get_ref<const std::string&>() == c.model_type;
  };
  const Architecture* unclaimed = nullptr;
  for (const Architecture* a : registry()) {
    for (const HfClass& c : a->hf_classes) {
      if (!matches(c) || (c.claims == nullptr ? unclaimed != nullptr : !c.claims(config))) continue;
      found = &c;
      if (c.claims != nullptr) return a;
      unclaimed = a;
    }
  }
  return unclaimed;
}

std::string architecture_names() {
  std::string names;
  for (const Architecture* a : registry()) names += (names.empty() ? "" : ", ") + a->name;
  return names;
}

const Architecture* configure_from_hf(Json json, const std::string& source, Config& config) {
  if (!json.is_object()) invalid("{}: expected an object, got {}", source, json.type_name());
  const HfClass* hf_class = nullptr;
  const Architecture* a = find_hf_architecture(json, hf_class);
  if (a == nullptr) {
    const Json named = json.contains("architectures") ? json["architectures"] : json.value("model_type", Json());
    invalid("{}: key architectures: {} is not supported, expected a class of {}", source,
            printable(dump_json(named), 100), architecture_names());
  }
  const Json defaults = Json::parse(hf_class->defaults);
  for (const auto& [key, value] : defaults.items())
    if (!json.contains(key)) json[key] = value;
  config.source = printable_path(source);
  config.architecture = a->name;
  config.set("general.architecture", a->name);
  a->from_hf({std::move(json), config.source}, config);
  return a;
}

Registered::Registered(const Architecture& architecture, const char* file) {
  registry().push_back(&architecture);
  files().push_back(std::filesystem::path(file).stem().string());
}

}  // namespace godwit
