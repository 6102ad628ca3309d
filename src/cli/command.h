// A command's flags. Only command.cpp sees the library that parses them: its headers take seconds to
// compile.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace godwit {

/// One flag or argument, as it is described and, once the command runs, as it was given.
class Flag {
 public:
  explicit Flag(CLI::Option* option) : option_(option) {}
  Flag& required();
  Flag& range(int64_t least, int64_t most);
  Flag& one_of(const std::vector<std::string>& values);
  /// For a list: "a,b" is two values.
  Flag& delimiter(char c);
  Flag& describe(const std::string& help);
  bool given() const;

 private:
  CLI::Option* option_;
};

class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}

  /// `names` as "-n,--max-tokens", without dashes for an argument ("MODEL,-m,--model"). Each can also come from the
  /// environment: GODWIT_MAX_TOKENS. Integers are refused when they do not fit.
  Flag flag(const std::string& names, bool& value, const std::string& help);
  Flag flag(const std::string& names, int& value, const std::string& help);
  Flag flag(const std::string& names, int64_t& value, const std::string& help);
  Flag flag(const std::string& names, uint64_t& value, const std::string& help);
  Flag flag(const std::string& names, std::string& value, const std::string& help);
  Flag flag(const std::string& names, std::vector<std::string>& value, const std::string& help);
  Flag flag(const std::string& names, std::optional<int64_t>& value, const std::string& help);
  Flag flag(const std::string& names, std::optional<uint64_t>& value, const std::string& help);
  Flag flag(const std::string& names, std::optional<double>& value, const std::string& help);
  /// A flag that was added before.
  Flag find(const std::string& name) const;

  /// What the command does. What it throws ends the program.
  void runs(std::function<void()> action);

 private:
  CLI::App* app_;
};

/// A command of this name; `help`: a line of what it does, then an empty one and examples.
Command add_command(CLI::App& app, const std::string& name, const std::string& help);

/// Makes the commands, parses the arguments and runs the command that they name. Returns 0, or 2 where the arguments
/// are wrong, which it has said then.
int run_program(int argc, char** argv, const std::string& version, const std::vector<void (*)(CLI::App&)>& commands);

}  // namespace godwit
