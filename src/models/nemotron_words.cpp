// Which layers Nemotron-H has, by the words and letters of config.json.
#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "models/nemotron.h"

namespace godwit {
namespace {

struct Word {
  char letter;  // of hybrid_override_pattern
  std::vector<std::string> words;
  NemotronLayer kind;
};
const std::vector<Word>& vocabulary() {
  static const std::vector<Word> words = {{'M', {"linear_attention", "mamba"}, NemotronLayer::kStateSpace},
                                          {'*', {"full_attention", "attention"}, NemotronLayer::kAttention},
                                          {'-', {"mlp"}, NemotronLayer::kMlp},
                                          {'E', {"moe"}, NemotronLayer::kExperts}};
  return words;
}

// Nothing where it is no word.
std::optional<NemotronLayer> kind_of(const Json& item) {
  if (!item.is_string()) return std::nullopt;
  for (const Word& w : vocabulary())
    if (std::find(w.words.begin(), w.words.end(), item.get_ref<const std::string&>()) != w.words.end()) return w.kind;
  return std::nullopt;
}

// The list of config.json, as words; letters of the pattern stand alone. The list wins over the pattern.
Json listed(const Json& json, std::string& key) {
  for (const char* name : {"layers_block_type", "layer_types"}) {
    if (!json.contains(name) || json[name].is_null()) continue;
    key = name;
    return json[name];
  }
  key = "hybrid_override_pattern";
  if (!json.contains(key)) return Json::array({"linear_attention", "moe", "full_attention", "mlp"});  // the class's own
  if (!json[key].is_string()) return Json();
  Json list = Json::array();
  for (const char letter : json[key].get<std::string>()) {
    list.push_back(std::string(1, letter));
    for (const Word& w : vocabulary())
      if (w.letter == letter) list.back() = w.words.front();
  }
  return list;
}

}  // namespace

std::vector<NemotronLayer> nemotron_layers_from_hf(const HfConfig& hf) {
  std::string key;
  const Json list = listed(hf.json, key);
  if (!list.is_array() || list.empty() || list.size() > 1024)
    invalid("{}: key {}: expected 1 to 1024 layers, got {}", hf.source, key, printable(dump_json(list), 100));
  std::vector<NemotronLayer> kinds;
  for (const Json& item : list) {
    const std::optional<NemotronLayer> kind = kind_of(item);
    if (!kind)
      invalid("{}: key {}: {} is not known here, expected mamba (M), attention (*), mlp (-) or moe (E)", hf.source, key,
              printable(dump_json(item), 40));
    kinds.push_back(*kind);
  }
  return kinds;
}

Json nemotron_layers_to_hf(const std::vector<NemotronLayer>& layers) {
  Json list = Json::array();
  for (const NemotronLayer kind : layers)
    for (const Word& w : vocabulary())
      if (w.kind == kind) list.push_back(w.words.front());
  return list;
}

bool nemotron_has_experts(const Json& json) {
  std::string key;
  const Json list = listed(json, key);
  return std::any_of(list.begin(), list.end(),
                     [](const Json& item) { return kind_of(item) == NemotronLayer::kExperts; });
}

}  // namespace godwit
