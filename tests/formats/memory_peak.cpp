#include "formats/memory_peak.h"

#include <atomic>
#include <cstdlib>
#include <new>

#ifdef GODWIT_SANITIZED

namespace godwit {
bool memory_is_counted() { return false; }
int64_t memory_peak() { return 0; }
void reset_memory_peak() {}
}  // namespace godwit

#else

#include <malloc.h>

namespace godwit {
namespace {
std::atomic<int64_t> g_now{0}, g_peak{0}, g_base{0};

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  const int64_t now = g_now += static_cast<int64_t>(::malloc_usable_size(memory));
  int64_t peak = g_peak;
  while (now > peak && !g_peak.compare_exchange_weak(peak, now)) {
  }
  return memory;
}

void uncounted(void* memory) {
  if (memory == nullptr) return;
  g_now -= static_cast<int64_t>(::malloc_usable_size(memory));
  std::free(memory);
}
}  // namespace

bool memory_is_counted() { return true; }
int64_t memory_peak() { return g_peak - g_base; }
void reset_memory_peak() {
  g_base = g_now.load();
  g_peak = g_now.load();
}
}  // namespace godwit

void* operator new(size_t size) { return godwit::counted(std::malloc(size > 0 ? size : 1)); }
void* operator new[](size_t size) { return godwit::counted(std::malloc(size > 0 ? size : 1)); }
void operator delete(void* memory) noexcept { godwit::uncounted(memory); }
void operator delete[](void* memory) noexcept { godwit::uncounted(memory); }
void operator delete(void* memory, size_t) noexcept { godwit::uncounted(memory); }
void operator delete[](void* memory, size_t) noexcept { godwit::uncounted(memory); }

#endif
