#include "formats/config.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

std::string described(const ConfigValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>)
          return "the text " + quoted(v, 40);
        else if constexpr (std::is_same_v<T, std::vector<std::string>>)
          return fmt::format("an array of {} texts", v.size());
        else if constexpr (std::is_same_v<T, std::vector<double>>)
          return fmt::format("an array of {} reals", v.size());
        else if constexpr (std::is_same_v<T, std::vector<int64_t>>)
          return fmt::format("an array of {} integers", v.size());
        else if constexpr (std::is_same_v<T, std::vector<bool>>)
          return fmt::format("an array of {} booleans", v.size());
        else
          return fmt::format("{}", v);
      },
      value);
}

// An array without elements has lost its type on the way (a JSON list has none): it is an empty array of any.
bool is_empty_array(const ConfigValue& value) {
  return std::visit(
      [](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string> || std::is_arithmetic_v<T>)
          return false;
        else
          return v.empty();
      },
      value);
}

const ConfigValue* lookup(const Config& config, const std::string& key) {
  const auto it = config.values.find(config.full_key(key));
  return it == config.values.end() ? nullptr : &it->second;
}

const ConfigValue& required(const Config& config, const std::string& key, const char* expected) {
  const ConfigValue* value = lookup(config, key);
  if (value == nullptr) config.refuse(key, expected, "nothing");
  return *value;
}

int64_t to_integer(const Config& config, const std::string& key, const ConfigValue& value) {
  if (const auto* i = std::get_if<int64_t>(&value)) return *i;
  config.refuse(key, "an integer below 2^63", described(value));
}

double to_real(const Config& config, const std::string& key, const ConfigValue& value) {
  double real = std::numeric_limits<double>::quiet_NaN();
  if (const auto* d = std::get_if<double>(&value)) real = *d;
  if (const auto* i = std::get_if<int64_t>(&value)) real = static_cast<double>(*i);
  if (const auto* u = std::get_if<uint64_t>(&value)) real = static_cast<double>(*u);
  if (!std::isfinite(real)) config.refuse(key, "a finite real number", described(value));
  return real;
}

const std::string& to_text(const Config& config, const std::string& key, const ConfigValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  config.refuse(key, "a text", described(value));
}

}  // namespace

void Config::refuse(const std::string& key, const std::string& expected, const std::string& got) const {
  invalid("{}: key {}: expected {}, got {}", printable_path(source), printable(full_key(key)), expected, got);
}

std::string Config::full_key(const std::string& key) const {
  for (const char* prefix : {"general.", "tokenizer.", "split."})
    if (key.starts_with(prefix)) return key;
  return architecture + "." + key;
}

void Config::set(const std::string& key, ConfigValue value) {
  values.insert_or_assign(full_key(key), std::move(value));
}

bool Config::has(const std::string& key) const { return lookup(*this, key) != nullptr; }

int64_t Config::integer(const std::string& key) const {
  return to_integer(*this, key, required(*this, key, "an integer"));
}

int64_t Config::integer(const std::string& key, int64_t otherwise) const {
  const ConfigValue* value = lookup(*this, key);
  return value == nullptr ? otherwise : to_integer(*this, key, *value);
}

int64_t Config::integer_in(const std::string& key, int64_t least, int64_t most) const {
  const std::string expected =
      least == most ? fmt::format("{}", least) : fmt::format("an integer from {} to {}", least, most);
  const ConfigValue& value = required(*this, key, expected.c_str());
  const auto* i = std::get_if<int64_t>(&value);
  if (i == nullptr || *i < least || *i > most) refuse(key, expected, described(value));
  return *i;
}

int64_t Config::integer_in(const std::string& key, int64_t otherwise, int64_t least, int64_t most) const {
  return has(key) ? integer_in(key, least, most) : otherwise;
}

double Config::real(const std::string& key) const {
  return to_real(*this, key, required(*this, key, "a finite real number"));
}

double Config::real(const std::string& key, double otherwise) const {
  const ConfigValue* value = lookup(*this, key);
  return value == nullptr ? otherwise : to_real(*this, key, *value);
}

double Config::real_in(const std::string& key, double least, double most) const {
  const double value = real(key);
  if (!(value >= least && value <= most))
    refuse(key, fmt::format("a real number from {} to {}", least, most), fmt::format("{}", value));
  return value;
}

double Config::real_in(const std::string& key, double otherwise, double least, double most) const {
  return has(key) ? real_in(key, least, most) : otherwise;
}

bool Config::boolean(const std::string& key, bool otherwise) const {
  const ConfigValue* value = lookup(*this, key);
  if (value == nullptr) return otherwise;
  if (const auto* b = std::get_if<bool>(value)) return *b;
  refuse(key, "true or false", described(*value));
}

const std::string& Config::text(const std::string& key) const {
  return to_text(*this, key, required(*this, key, "a text"));
}

std::string Config::text(const std::string& key, const std::string& otherwise) const {
  const ConfigValue* value = lookup(*this, key);
  return value == nullptr ? otherwise : to_text(*this, key, *value);
}

std::optional<std::vector<int64_t>> Config::integers(const std::string& key) const {
  const ConfigValue* value = lookup(*this, key);
  if (value == nullptr) return std::nullopt;
  if (const auto* array = std::get_if<std::vector<int64_t>>(value)) return *array;
  if (const auto* array = std::get_if<std::vector<bool>>(value))
    return std::vector<int64_t>(array->begin(), array->end());
  if (is_empty_array(*value)) return std::vector<int64_t>{};
  refuse(key, "an array of integers", described(*value));
}

std::optional<std::vector<double>> Config::reals(const std::string& key) const {
  const ConfigValue* value = lookup(*this, key);
  if (value == nullptr) return std::nullopt;
  if (is_empty_array(*value)) return std::vector<double>{};
  const auto* array = std::get_if<std::vector<double>>(value);
  if (array == nullptr) refuse(key, "an array of reals", described(*value));
  for (size_t i = 0; i < array->size(); ++i)
    if (!std::isfinite((*array)[i])) refuse(key, "finite reals", fmt::format("{} at index {}", (*array)[i], i));
  return *array;
}

const std::vector<std::string>* Config::texts(const std::string& key) const {
  static const std::vector<std::string> empty;
  const ConfigValue* value = lookup(*this, key);
  if (value == nullptr) return nullptr;
  if (const auto* array = std::get_if<std::vector<std::string>>(value)) return array;
  if (is_empty_array(*value)) return &empty;
  refuse(key, "an array of texts", described(*value));
}

std::vector<int64_t> Config::per_layer(const std::string& key, int64_t n) const {
  CHECK(n >= 0, "{} layers", n);
  const std::string expected = fmt::format("an integer, or an array of {}", n);
  const ConfigValue& value = required(*this, key, expected.c_str());
  if (const auto* one = std::get_if<int64_t>(&value)) return std::vector<int64_t>(static_cast<size_t>(n), *one);
  if (!std::holds_alternative<std::vector<int64_t>>(value) && !std::holds_alternative<std::vector<bool>>(value))
    refuse(key, expected, described(value));
  std::vector<int64_t> each = *integers(key);
  if (each.size() != static_cast<size_t>(n)) refuse(key, expected, described(value));
  return each;
}

}  // namespace godwit
