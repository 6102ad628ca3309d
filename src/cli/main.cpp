// godwit: one binary, one command a job.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "base/cpu.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/streams.h"
#include "cli/version.h"

namespace godwit {
namespace {

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

int out_of_memory() {
  std::fputs("godwit: out of memory: the system refuses more; lower -c or --parallel, or take a smaller model\n",
             stderr);
  return static_cast<int>(ErrorKind::kMemory);
}

std::terminate_handler otherwise_at_terminate = nullptr;

/// Trees of JSON take memory to be destroyed, and destructors cannot throw: where it is refused there, the program ends
/// here, and says why as it does elsewhere.
[[noreturn]] void at_terminate() {
  try {
    if (const std::exception_ptr error = std::current_exception()) std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    std::_Exit(out_of_memory());
  } catch (...) {
  }
  otherwise_at_terminate();
  std::abort();
}

int main_with(int argc, char** argv) {
  CLI::App app(
      "One engine for efficient language models, every architecture: run, measure, convert.\n\n"
      "  godwit run model.gguf -p 'The capital of France is' -n 32\n"
      "  godwit inspect model.gguf\n"
      "  godwit bench model.gguf --prompt 512 --generate 128",
      "godwit");
  app.set_version_flag("--version",
                       fmt::format("godwit {} ({}, {})", GODWIT_VERSION, git_commit(), level_name(cpu_level())));
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of every command");
  for (auto* add : {add_run, add_logits, add_inspect, add_tokenize, add_eval, add_doctor, add_bench, add_convert})
    add(app);
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
  flush_output();
  return 0;
}

}  // namespace

}  // namespace godwit

int main(int argc, char** argv) {
  using namespace godwit;
  otherwise_at_terminate = std::set_terminate(at_terminate);
  open_standard_streams();
  watch_interrupts();
  // A write that fails says so; the process would end with files half written.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return main_with(argc, argv);
  } catch (const Error& e) {
    complain(e.what());
    return static_cast<int>(e.kind());
  } catch (const Interrupted& e) {
    complain(e.what());
    return 130;
  } catch (const ReaderGone&) {
    return static_cast<int>(ErrorKind::kFailed);
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& e) {
    complain(e.what());
    return 1;
  }
}
