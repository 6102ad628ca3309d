#include "cli/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "base/text.h"

namespace godwit {
namespace {

// GODWIT_KV_TYPE for --kv-type.
CLI::Option* with_environment(CLI::Option* option) {
  if (option->get_lnames().empty()) return option;
  std::string env = "GODWIT_" + option->get_lnames().front();
  for (char& c : env) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return option->envname(env);
}

// CLI11 takes the nearest for a number that T cannot hold.
template <class T>
std::string held_by(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? "" : fmt::format("{}: expected an integer of {} bits", printable(text, 60), 8 * sizeof(T));
}

template <class T>
Flag add(CLI::App& app, const std::string& names, T& value, const std::string& help) {
  return Flag(with_environment(app.add_option(names, value, help)));
}
template <class T, class V>
Flag add_integer(CLI::App& app, const std::string& names, V& value, const std::string& help) {
  return Flag(with_environment(app.add_option(names, value, help)->check(held_by<T>)));
}

}  // namespace

Flag& Flag::required() {
  option_->required();
  return *this;
}
Flag& Flag::range(int64_t least, int64_t most) {
  option_->check(CLI::Range(least, most));
  return *this;
}
Flag& Flag::one_of(const std::vector<std::string>& values) {
  option_->check(CLI::IsMember(values));
  return *this;
}
Flag& Flag::delimiter(char c) {
  option_->delimiter(c);
  return *this;
}
Flag& Flag::describe(const std::string& help) {
  option_->description(help);
  return *this;
}
bool Flag::given() const { return option_->count() > 0; }

Flag Command::flag(const std::string& names, bool& value, const std::string& help) {
  return Flag(with_environment(app_->add_flag(names, value, help)));
}
Flag Command::flag(const std::string& names, int& value, const std::string& help) {
  return add_integer<int>(*app_, names, value, help);
}
Flag Command::flag(const std::string& names, int64_t& value, const std::string& help) {
  return add_integer<int64_t>(*app_, names, value, help);
}
Flag Command::flag(const std::string& names, uint64_t& value, const std::string& help) {
  return add_integer<uint64_t>(*app_, names, value, help);
}
Flag Command::flag(const std::string& names, std::string& value, const std::string& help) {
  return add(*app_, names, value, help);
}
Flag Command::flag(const std::string& names, std::vector<std::string>& value, const std::string& help) {
  return add(*app_, names, value, help);
}
Flag Command::flag(const std::string& names, std::optional<int64_t>& value, const std::string& help) {
  return add_integer<int64_t>(*app_, names, value, help);
}
Flag Command::flag(const std::string& names, std::optional<uint64_t>& value, const std::string& help) {
  return add_integer<uint64_t>(*app_, names, value, help);
}
Flag Command::flag(const std::string& names, std::optional<double>& value, const std::string& help) {
  return add(*app_, names, value, help);
}

Flag Command::find(const std::string& name) const { return Flag(app_->get_option(name)); }

void Command::runs(std::function<void()> action) { app_->callback(std::move(action)); }

Command add_command(CLI::App& app, const std::string& name, const std::string& help) {
  return Command(app.add_subcommand(name, help));
}

}  // namespace godwit
