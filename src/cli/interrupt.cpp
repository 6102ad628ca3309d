// Ctrl-C and SIGTERM: the first asks for a clean end, the second ends the process.
#include <csignal>
#include <cstdlib>

#include "cli/commands.h"

namespace godwit {
namespace {

std::atomic<bool> stop{false};

void on_interrupt(int) {
  if (stop.exchange(true)) std::_Exit(130);
}

}  // namespace

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

const std::atomic<bool>& interrupted() { return stop; }

}  // namespace godwit
