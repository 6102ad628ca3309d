// One function a command: adds it to the program. Its callback does the work and throws Error.
#pragma once

#include <atomic>
#include <stdexcept>

namespace CLI {
class App;
}

namespace godwit {

void add_run(CLI::App& app);
void add_chat(CLI::App& app);
void add_logits(CLI::App& app);
void add_inspect(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_eval(CLI::App& app);
void add_bench(CLI::App& app);
void add_audit(CLI::App& app);
void add_convert(CLI::App& app);
void add_doctor(CLI::App& app);

/// From here on Ctrl-C (SIGINT) and SIGTERM are noticed instead of ending the process at once.
void watch_interrupts();
/// Becomes true at the first of these signals; a second one, half a second later or more, ends the process. Who stops
/// early throws Interrupted.
const std::atomic<bool>& interrupted();
/// From here on Ctrl-C never ends the process: the command sees to each, and to that what hangs can still be ended by
/// SIGTERM or SIGQUIT.
void outlive_interrupts();
/// A Ctrl-C has been seen to: interrupted() is false again, unless SIGTERM came.
void forget_interrupt();
/// A command that was stopped before its end: exit code 130.
class Interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace godwit
