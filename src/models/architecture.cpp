#include "models/architecture.h"

#include "base/json.h"

namespace godwit {
namespace {

// A function with a static inside: files register themselves in any order.
std::vector<const Architecture*>& registry() {
  static std::vector<const Architecture*> list;
  return list;
}

}  // namespace

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
