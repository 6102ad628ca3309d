// Config: what a model file says about its model, in GGUF's vocabulary. Both containers end here: GGUF metadata as it
// is, config.json translated by the architecture's tables.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace godwit {

/// A metadata value. Every integer width becomes int64_t (uint64_t only where it does not fit), both float widths
/// double.
using ConfigVariant = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<bool>,
                                   std::vector<int64_t>, std::vector<double>, std::vector<std::string>>;
struct ConfigValue : ConfigVariant {
  using ConfigVariant::ConfigVariant;
  ConfigValue() = default;
  ConfigValue(ConfigValue&&) = default;
  ConfigValue& operator=(ConfigValue&&) = default;
  /// Not the variant's own: where memory runs out in it, libstdc++ 12 destroys a value that is not there yet.
  ConfigValue(const ConfigValue& other) : ConfigVariant(false) {
    std::visit(
        [this](const auto& value) {
          auto copy = value;
          emplace<decltype(copy)>(std::move(copy));
        },
        static_cast<const ConfigVariant&>(other));
  }
  ConfigValue& operator=(const ConfigValue& other) { return *this = ConfigValue(other); }
};

/// Typed look-up by key. A key stands for "<architecture>.key", except those that begin with "general.", "tokenizer."
/// or "split.". A missing key without a default, or a value of another kind, throws Error (kInvalid) naming file and
/// key.
class Config {
 public:
  std::string architecture;                   // general.architecture
  std::string source;                         // file or folder, for messages
  std::map<std::string, ConfigValue> values;  // by full key

  bool has(const std::string& key) const;
  int64_t integer(const std::string& key) const;
  int64_t integer(const std::string& key, int64_t otherwise) const;
  /// As integer, and between least and most, both included.
  int64_t integer_in(const std::string& key, int64_t least, int64_t most) const;
  int64_t integer_in(const std::string& key, int64_t otherwise, int64_t least, int64_t most) const;
  double real(const std::string& key) const;  // integers are read as reals too; must be finite
  double real(const std::string& key, double otherwise) const;
  double real_in(const std::string& key, double least, double most) const;
  double real_in(const std::string& key, double otherwise, double least, double most) const;
  bool boolean(const std::string& key, bool otherwise) const;
  const std::string& text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& otherwise) const;
  /// Arrays. Integers and booleans are read as integers; reals must be reals, and finite. Nothing when the key is
  /// missing.
  std::optional<std::vector<int64_t>> integers(const std::string& key) const;
  std::optional<std::vector<double>> reals(const std::string& key) const;
  const std::vector<std::string>* texts(const std::string& key) const;  // null when missing
  /// An integer, or an array with one for each of n layers: always n values. (head_count_kv, feed_forward_length)
  std::vector<int64_t> per_layer(const std::string& key, int64_t n) const;

  void set(const std::string& key, ConfigValue value);  // same prefix rule
  std::string full_key(const std::string& key) const;
  /// Throws Error (kInvalid): "<source>: key <full key>: expected <expected>, got <got>".
  [[noreturn]] void refuse(const std::string& key, const std::string& expected, const std::string& got) const;
};

}  // namespace godwit
