// godwit: one binary, one command a job.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "base/cpu.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/streams.h"
#include "cli/version.h"

namespace godwit {
namespace {

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
    const int code = run_program(
        argc, argv, fmt::format("godwit {} ({}, {})", GODWIT_VERSION, git_commit(), level_name(cpu_level())),
        {add_run, add_chat, add_logits, add_inspect, add_tokenize, add_eval, add_doctor, add_bench, add_audit,
         add_convert});
    flush_output();
    return code;
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
