// Ctrl-C and SIGTERM: the first asks for a clean end, the second ends the process. Some who send one send it twice, to
// the process and to its group: what comes within half a second is the same one.
#include <time.h>

#include <csignal>
#include <cstdlib>

#include "cli/commands.h"

namespace godwit {
namespace {

constexpr int64_t kSame_ms = 500;

std::atomic<bool> stop{false};
std::atomic<int64_t> first_ms{0};

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{1000} * now.tv_sec + now.tv_nsec / 1000000;
}

void on_interrupt(int) {
  if (!stop.exchange(true)) {
    first_ms = now_ms();
  } else if (now_ms() - first_ms > kSame_ms) {
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

}  // namespace godwit
