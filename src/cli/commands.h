// One function a command: adds it to the program. Its callback does the work and throws Error.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>

namespace godwit {

void add_run(CLI::App& app);
void add_logits(CLI::App& app);
void add_inspect(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_eval(CLI::App& app);
void add_bench(CLI::App& app);
void add_convert(CLI::App& app);
void add_doctor(CLI::App& app);

/// From here on Ctrl-C is noticed instead of ending the process at once.
void watch_interrupts();
/// Becomes true at the first Ctrl-C; a second one ends the process.
const std::atomic<bool>& interrupted();

}  // namespace godwit
