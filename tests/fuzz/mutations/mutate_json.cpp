#include "mutate_json.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/json.h"

namespace godwit::testing {
namespace {

constexpr size_t kMostBytes = size_t{1} << 20;  // of a changed file: parts are put into parts

// A string that stands for these characters outside of quotes: what JSON cannot say, or the parser would change.
const std::string kRaw = "@raw@";
const std::vector<std::string> kLiterals = {"1e400",
                                            "-1e400",
                                            "NaN",
                                            "Infinity",
                                            "-Infinity",
                                            "1.0",
                                            "1e3",
                                            "-0",
                                            "18446744073709551616",
                                            "9223372036854775808",
                                            "1.5",
                                            "1e-400",
                                            "\"\\ud800\"",
                                            "00",
                                            "-"};

Json extreme(Dice& dice, const std::vector<std::string>& words) {
  switch (dice.below(9)) {
    case 0:
    case 1:
    case 2:
      return dice.of(kIntegers);
    case 3:
      return dice.of(kReals);
    case 4:
      return kRaw + dice.of(kLiterals);
    case 5:
      return some_word(dice, words);
    case 6:
      return dice.one_in(2);
    case 7:
      return nullptr;
    default:
      return dice.one_in(2) ? Json::array() : Json::object();
  }
}

using Members = std::vector<std::pair<const std::string, Json>>;
Members& members(Json& object) { return object.get_ref<Json::object_t&>(); }

Json& child(Json& parent, size_t i) { return parent.is_array() ? parent[i] : members(parent)[i].second; }

// A value somewhere below, those near the root more often; its place goes to the log.
Json& some_value(Json& root, Dice& dice, bool containers = false) {
  Json* at = &root;
  while (at->is_structured() && !at->empty() && (at == &root || !dice.one_in(4))) {
    const size_t i = dice.below(at->size());
    Json& next = child(*at, i);
    if (containers && !next.is_structured()) break;
    dice.log += at->is_array() ? fmt::format("/{}", i) : "/" + members(*at)[i].first;
    at = &next;
  }
  return *at;
}

void change_number(Json& value, Dice& dice) {
  if (value.is_number_float()) {
    value = value.get<double>() * static_cast<double>(static_cast<int64_t>(dice.below(7)) - 3);
  } else {
    const auto n = value.get<uint64_t>();  // wraps as it likes
    const uint64_t changed[] = {n + 1, n - 1, n * 2, n / 2, 0 - n, n * 1000};
    value = static_cast<int64_t>(dice.of(changed));
  }
}

void change_container(Json& value, const std::vector<std::string>& words, Dice& dice) {
  if (value.empty()) {
    value = extreme(dice, words);
    return;
  }
  const size_t i = dice.below(value.size());
  const auto remove = [&] {
    if (value.is_array()) {
      value.erase(i);
    } else {
      Json kept = Json::object();
      for (size_t k = 0; k < value.size(); ++k)
        if (k != i) kept[members(value)[k].first] = members(value)[k].second;
      value = std::move(kept);
    }
  };
  switch (dice.below(6)) {
    case 0:
      remove();
      break;
    case 1: {  // doubled, in an object under the same name
      const Json copy = child(value, i);
      if (value.is_array()) {
        value.insert(value.begin() + static_cast<ptrdiff_t>(dice.below(value.size() + 1)), copy);
      } else {
        const std::string name = members(value)[i].first;
        members(value).emplace_back(name, copy);
      }
      break;
    }
    case 2:  // renamed, or a value more
      if (value.is_array()) {
        value.push_back(extreme(dice, words));
      } else {
        const Json copy = child(value, i);
        members(value).emplace_back(some_word(dice, words), copy);
        if (!dice.one_in(3)) remove();
      }
      break;
    case 3: {  // two change places
      const Json a = child(value, i);
      Json& other = child(value, dice.below(value.size()));
      const Json b = other;
      other = a;
      child(value, i) = b;
      break;
    }
    case 4:  // shortened
      while (value.size() > i && value.is_array()) value.erase(value.size() - 1);
      if (value.is_object()) remove();
      break;
    default:
      for (size_t depth = size_t{1} << dice.below(9); depth > 0; --depth) {
        Json outer = Json::array();
        outer.push_back(std::move(value));
        value = std::move(outer);
      }
  }
}

std::string dump(const Json& value) {
  std::string text = dump_json(value);
  for (size_t at; (at = text.find('"' + kRaw)) != std::string::npos;) {
    text.erase(at, 1 + kRaw.size());
    // The literal ends at its quote; quotes and backslashes within are escaped.
    std::string literal;
    size_t end = at;
    for (; end < text.size() && text[end] != '"'; ++end) {
      if (text[end] == '\\' && end + 1 < text.size()) ++end;
      literal += text[end];
    }
    text.replace(at, std::min(end + 1, text.size()) - at, literal);
  }
  return text;
}

void change(Json& root, const std::vector<std::string>& words, Dice& dice) {
  dice.log += " ";
  if (dice.one_in(3)) {
    change_container(some_value(root, dice, true), words, dice);
  } else {
    Json& value = some_value(root, dice);
    if (value.is_number() && dice.one_in(2)) {
      change_number(value, dice);
    } else if (dice.one_in(5)) {
      dice.log += "=";
      const Json copy = some_value(root, dice);
      value = copy;
    } else {
      value = extreme(dice, words);
    }
    if (!value.is_structured()) dice.log += "=" + dump_json(value).substr(0, 40);
  }
  dice.log += ";";
}

}  // namespace

std::string mutate_json(const std::string& text, const std::vector<std::string>& words, Dice& dice) {
  std::string changed = text;
  if (!dice.one_in(12)) {
    try {
      Json root = parse_python_json(text, "text");
      change(root, words, dice);
      changed = dump(root);
      if (changed.size() <= kMostBytes) return changed;
    } catch (const Error&) {
      // An earlier change made it something else.
    }
    changed = text;
  }
  mutate_bytes(changed, dice);
  return changed;
}

void mutate_safetensors(std::string& file, Dice& dice) {
  static const std::vector<std::string> kWords = {"F64",     "F32",   "F16",   "BF16",         "I64",         "I32",
                                                  "I8",      "U8",    "BOOL",  "F8_E4M3",      "F8_E5M2",     "F4",
                                                  "F8_E8M0", "dtype", "shape", "data_offsets", "__metadata__"};
  uint64_t size = 0;
  if (file.size() < 8 || dice.one_in(8)) {
    mutate_bytes(file, dice);
    return;
  }
  std::memcpy(&size, file.data(), 8);
  if (size > file.size() - 8) {
    mutate_bytes(file, dice);
    return;
  }
  std::string header = file.substr(8, size), data = file.substr(8 + size);
  if (dice.one_in(6)) {
    mutate_bytes(data, dice);
  } else {
    header = mutate_json(header, kWords, dice);
  }
  size = header.size();
  if (dice.one_in(12)) size = dice.one_in(2) ? static_cast<uint64_t>(dice.of(kIntegers)) : size + dice.below(17) - 8;
  file.assign(reinterpret_cast<const char*>(&size), 8);
  file += header + data;
}

void collect_words(const std::string& text, std::vector<std::string>& words) {
  std::vector<const Json*> open;
  const Json root = parse_python_json(text, "text");
  for (open.push_back(&root); !open.empty();) {
    const Json* value = open.back();
    open.pop_back();
    if (value->is_string()) words.push_back(value->get<std::string>());
    if (value->is_object())
      for (const auto& [key, unused] : value->items()) words.push_back(key);
    if (value->is_structured())
      for (const Json& inner : *value) open.push_back(&inner);
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
}

}  // namespace godwit::testing
