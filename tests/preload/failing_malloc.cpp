// For LD_PRELOAD before the program: malloc number GODWIT_FAIL_AT and those after it, GODWIT_FAIL_COUNT in all, give
// null. They are counted from main's first call to the system, sigaction, so that what runs before main is spared.
#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

extern "C" {

void* __libc_malloc(size_t bytes);

namespace {
std::atomic<bool> counting{false};
std::atomic<long> calls{0};
long first = 0, count = 0;

long number(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::atol(text);
}
}  // namespace

void* malloc(size_t bytes) {
  if (counting.load()) {
    const long call = calls.fetch_add(1) + 1;
    if (call >= first && call - first < count) {
      errno = ENOMEM;
      return nullptr;
    }
  }
  return __libc_malloc(bytes);
}

int sigaction(int signal_number, const struct sigaction* action, struct sigaction* before) {
  static const auto next = reinterpret_cast<decltype(&sigaction)>(dlsym(RTLD_NEXT, "sigaction"));
  if (!counting.load()) {
    first = number("GODWIT_FAIL_AT");
    count = number("GODWIT_FAIL_COUNT");
    counting = true;
  }
  return next(signal_number, action, before);
}

}  // extern "C"
