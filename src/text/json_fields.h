// What the readers of tokenizer.json share: fields of a JSON object, and how they refuse.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "text/vocabulary.h"

namespace godwit {

/// Thrown within the readers for what is well-formed but not done here; becomes Vocabulary::unsupported.
struct Unsupported {
  std::string what;
};

/// A member, or null where it is absent. Objects are small where this is used: their look-up is linear.
inline const Json& json_member(const Json& object, const char* key) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  const auto it = object.find(key);
  return it == object.end() ? nothing : *it;
}

/// Whether it is this text. The library's == makes a copy of the text where nothing may be thrown.
inline bool json_is(const Json& value, std::string_view text) {
  return value.is_string() && value.get_ref<const std::string&>() == text;
}

/// The steps of a Sequence, or the one step there is; nothing for null. Sequences within are steps of their own.
inline std::vector<const Json*> json_steps(const Json& stage, const char* list) {
  std::vector<const Json*> steps;
  if (json_is(json_member(stage, "type"), "Sequence") && json_member(stage, list).is_array()) {
    for (const Json& step : json_member(stage, list)) {
      for (const Json* inner : json_steps(step, list)) steps.push_back(inner);  // as deep as JSON may be
    }
  } else if (!stage.is_null()) {
    steps.push_back(&stage);
  }
  return steps;
}

[[noreturn]] inline void unsupported_step(const char* stage, const Json& step) {
  throw Unsupported{fmt::format("{} {}", stage, quoted(dump_json(step), 80))};
}

/// Fields of one file's JSON, and the errors that name it.
struct JsonFields {
  std::string where;  // the folder, fit for a message

  [[noreturn]] void refuse(const std::string& place, const std::string& problem) const {
    invalid("{}: tokenizer.json: {}: {}", where, place, problem);
  }
  bool flag(const Json& object, const char* key, bool otherwise) const {
    const Json& value = json_member(object, key);
    if (value.is_null()) return otherwise;
    if (!value.is_boolean()) refuse(key, "expected true or false");
    return value.get<bool>();
  }
  std::string text(const Json& object, const char* key) const {
    const Json& value = json_member(object, key);
    if (value.is_null()) return "";
    if (!value.is_string()) refuse(key, "expected a text");
    return value.get<std::string>();
  }
  size_t count(const Json& object, const char* key, size_t otherwise) const {
    const Json& value = json_member(object, key);
    if (value.is_null()) return otherwise;
    if (!value.is_number_unsigned() || value.get<uint64_t>() > kMaxVocabulary) refuse(key, "expected a small number");
    return value.get<size_t>();
  }
  int32_t id(const Json& value, const std::string& place) const {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= kMaxVocabulary) {
      refuse(place, fmt::format("expected an id below {}, got {}", kMaxVocabulary, quoted(dump_json(value), 40)));
    }
    return value.get<int32_t>();
  }
};

}  // namespace godwit
