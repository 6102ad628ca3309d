#include "cli/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "base/error.h"
#include "base/text.h"
#include "cli/streams.h"

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

// An unknown flag or command, with the nearest one that exists.
std::string with_suggestion(const CLI::App& app, const std::string& message) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  for (const CLI::App* command : app.get_subcommands({})) known.push_back(command->get_name());
  const std::vector<std::string_view> views(known.begin(), known.end());
  const size_t at = message.rfind(' ');
  std::string word = at == std::string::npos ? message : message.substr(at + 1);
  word = word.substr(0, word.find('='));
  const std::string_view near = closest(word, views);
  return near.empty() ? message : fmt::format("{}; did you mean {}?", message, near);
}

int usage_error(const CLI::App& app, const CLI::Error& e) {
  const CLI::App* command = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
  std::string message = e.what();
  for (char& c : message)
    if (c == '\n') c = ' ';
  complain(fmt::format("{}; see godwit {}--help", one_line(with_suggestion(*command, message), 400),
                       command == &app ? "" : command->get_name() + " "));
  return static_cast<int>(ErrorKind::kUsage);
}

bool knows(const CLI::App& app, const std::string& command) {
  for (const CLI::App* known : app.get_subcommands({}))
    if (known->get_name() == command) return true;
  return false;
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

int run_program(int argc, char** argv, const std::string& version, const std::vector<void (*)(CLI::App&)>& commands) {
  CLI::App app(
      "One engine for efficient language models, every architecture: run, measure, convert.\n\n"
      "  godwit run model.gguf -p 'The capital of France is' -n 32\n"
      "  godwit inspect model.gguf\n"
      "  godwit bench model.gguf --prompt 512 --generate 128",
      "godwit");
  app.set_version_flag("--version", version);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of every command");
  for (auto* add : commands) add(app);
  // CLI11 would only say that a command is required.
  if (argc > 1 && argv[1][0] != '-' && !knows(app, argv[1])) {
    complain(fmt::format("{}; see godwit --help",
                         with_suggestion(app, fmt::format("unknown command {}", printable(argv[1])))));
    return static_cast<int>(ErrorKind::kUsage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    app.exit(e);  // prints help or version
  } catch (const CLI::ParseError& e) {
    return usage_error(app, e);
  }
  return 0;
}

}  // namespace godwit
