// Memory that is ours but must not be touched: marked for the address sanitizer, free of cost without it.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#define GODWIT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GODWIT_ASAN 1
#endif
#endif
#ifdef GODWIT_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace godwit {

/// From here on touching these bytes is an error that the sanitizer reports.
inline void poison([[maybe_unused]] std::byte* p, [[maybe_unused]] int64_t bytes) {
#ifdef GODWIT_ASAN
  ASAN_POISON_MEMORY_REGION(p, static_cast<size_t>(bytes));
#endif
}

/// They may be used again.
inline void unpoison([[maybe_unused]] std::byte* p, [[maybe_unused]] int64_t bytes) {
#ifdef GODWIT_ASAN
  ASAN_UNPOISON_MEMORY_REGION(p, static_cast<size_t>(bytes));
#endif
}

}  // namespace godwit
