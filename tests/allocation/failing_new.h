// Allocations that fail when a test says so: this program's operator new throws std::bad_alloc at the n-th call.
#pragma once

#include <cstdint>

namespace godwit {

/// Tests fail every so many times fewer allocations where a sanitizer makes each run many times slower.
#ifdef GODWIT_SANITIZED
inline constexpr int64_t kSparse = 7;
#else
inline constexpr int64_t kSparse = 1;
#endif

/// From now on calls of operator new are counted, on all threads that are not spared, and the n-th (1: the next) and
/// those after it, `how_many` in all, throw. Not those that destroy a tree of JSON: the library takes memory there
/// where nothing may be thrown, and the program ends with exit 4 (src/cli/main.cpp).
void fail_allocations(int64_t n, int64_t how_many = 1);

/// Ends that.
struct Allocations {
  int64_t counted = 0, failed = 0;
};
Allocations stop_failing();

/// While it lives, this thread's calls neither count nor fail.
class Spared {
 public:
  Spared();
  ~Spared();
  Spared(const Spared&) = delete;
  Spared& operator=(const Spared&) = delete;
};

}  // namespace godwit
