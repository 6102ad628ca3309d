// Ctrl-C and SIGTERM: the first asks for a clean end, the second ends the process. Some who send one send it twice, to
// the process and to its group: what comes within half a second is the same one. Where a command outlives Ctrl-C, only
// a second SIGTERM ends the process.
#include <time.h>

#include <csignal>
#include <cstdlib>

#include "cli/commands.h"

namespace godwit {
namespace {

constexpr int64_t kSame_ms = 500;

std::atomic<bool> stop{false}, terminated{false}, outliving{false};
std::atomic<int64_t> first_ms{0};

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{1000} * now.tv_sec + now.tv_nsec / 1000000;
}

void on_interrupt(int signal) {
  const bool first = signal == SIGTERM && outliving ? !terminated.exchange(true) : !stop.exchange(true);
  if (signal == SIGTERM) terminated = stop = true;
  if (first) {
    first_ms = now_ms();
  } else if (now_ms() - first_ms > kSame_ms && (signal == SIGTERM || !outliving)) {
    std::_Exit(130);
  }
}

}  // namespace

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

const std::atomic<bool>& interrupted() { return stop; }

void outlive_interrupts() { outliving = true; }

void forget_interrupt() {
  stop = false;
  if (terminated) stop = true;  // it may have come in between
}

}  // namespace godwit
