// config.json of a Hugging Face folder, with typed look-up.
#pragma once

#include <string>
#include <utility>

#include "base/json.h"

namespace godwit {

/// A key that is null counts as absent. Throws Error (kInvalid) naming file and key.
class HfConfig {
 public:
  HfConfig(Json json, std::string source) : json(std::move(json)), source(std::move(source)) {}
  Json json;
  std::string source;

  bool has(const std::string& key) const { return json.contains(key) && !json[key].is_null(); }
  int64_t integer(const std::string& key) const;
  double real(const std::string& key) const;
  bool boolean(const std::string& key, bool otherwise) const;
  std::string text(const std::string& key, const std::string& otherwise) const;
};

}  // namespace godwit
