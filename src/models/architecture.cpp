#include "models/architecture.h"

#include <filesystem>

#include "base/json.h"

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

Registered::Registered(const Architecture& architecture, const char* file) {
  registry().push_back(&architecture);
  files().push_back(std::filesystem::path(file).stem().string());
}

}  // namespace godwit
