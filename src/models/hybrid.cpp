#include "models/hybrid.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

constexpr const char* kKeyHeads = "attention.head_count_kv";
constexpr int64_t kMostHeads = 4096;

bool holds(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

const LayerWords& state_space_words() {
  static const LayerWords words{{"full_attention", "attention"}, {"linear_attention", "mamba"}};
  return words;
}

std::vector<bool> attention_layers(const Config& c) {
  const int64_t n = c.integer_in("block_count", 1, 1024);
  std::vector<bool> attends;
  for (const int64_t heads : c.per_layer(kKeyHeads, n)) attends.push_back(heads != 0);
  return attends;
}

void set_attention_layers(const std::vector<bool>& attends, Config& c) {
  const int64_t heads = c.integer_in(kKeyHeads, 1, kMostHeads);
  std::vector<int64_t> list;
  for (const bool layer : attends) list.push_back(layer ? heads : 0);
  c.set(kKeyHeads, list);
}

std::vector<bool> layers_from_hf(const HfConfig& hf, const char* key, const LayerWords& words, const Config& c) {
  const auto n = static_cast<size_t>(c.integer_in("block_count", 1, 1024));
  if (!hf.has(key)) invalid("{}: key {}: missing", hf.source, key);
  const Json& list = hf.json[key];
  if (!list.is_array() || list.size() != n)
    invalid("{}: key {}: expected a list of {} words, got {}", hf.source, key, n, printable(dump_json(list), 100));
  std::vector<bool> attends;
  for (const Json& item : list) {
    const std::string word = item.is_string() ? item.get<std::string>() : item.dump();
    if (!holds(words.attention, word) && !holds(words.other, word))
      invalid("{}: key {}: {} is not known here, expected {} or {}", hf.source, key, quoted(word),
              words.attention.front(), words.other.front());
    attends.push_back(holds(words.attention, word));
  }
  return attends;
}

std::vector<bool> numbered_layers_from_hf(const HfConfig& hf, const char* key, const Config& c) {
  std::vector<bool> attends(static_cast<size_t>(c.integer_in("block_count", 1, 1024)));
  if (!hf.has(key)) invalid("{}: key {}: missing", hf.source, key);
  for (const Json& item : hf.json[key]) {
    const bool is_number = item.is_number_integer() && (!item.is_number_unsigned() || item.get<uint64_t>() < 1024);
    const int64_t i = is_number ? item.get<int64_t>() : -1;
    if (i < 0 || i >= static_cast<int64_t>(attends.size()))
      invalid("{}: key {}: expected numbers of layers below {}, got {}", hf.source, key, attends.size(),
              printable(dump_json(item), 100));
    attends[static_cast<size_t>(i)] = true;
  }
  return attends;
}

Json layers_to_hf(const std::vector<bool>& attends, const LayerWords& words) {
  Json list = Json::array();
  for (const bool layer : attends) list.push_back(layer ? words.attention.front() : words.other.front());
  return list;
}

Config as_attending(const Config& c) {
  Config plain = c;
  if (!c.has(kKeyHeads) || std::holds_alternative<int64_t>(c.values.at(c.full_key(kKeyHeads)))) return plain;
  const std::vector<int64_t> list = c.per_layer(kKeyHeads, c.integer_in("block_count", 1, 1024));
  int64_t heads = 0;
  for (const int64_t layer : list) {
    if (layer != 0 && heads != 0 && layer != heads)
      c.refuse(kKeyHeads, "one number of heads in all layers that attend", fmt::format("{} and {}", heads, layer));
    if (layer != 0) heads = layer;
  }
  plain.set(kKeyHeads, heads != 0 ? heads : c.integer("attention.head_count"));
  return plain;
}

}  // namespace godwit
