#include "base/arena.h"

#include <sys/mman.h>

#include "base/error.h"
#include "base/poison.h"

namespace godwit {

Arena::Arena(int64_t bytes) : capacity_((bytes + 63) & ~int64_t{63}) {
  void* memory = mmap(nullptr, static_cast<size_t>(capacity_ > 0 ? capacity_ : 1), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail(ErrorKind::kMemory, "working memory: the system refuses {} bytes", bytes);
  base_ = static_cast<std::byte*>(memory);
}

Arena::~Arena() {
  if (base_ == nullptr) return;
  unpoison(base_, capacity_);
  munmap(base_, static_cast<size_t>(capacity_ > 0 ? capacity_ : 1));
}

std::byte* Arena::alloc(int64_t bytes) {
  const int64_t rounded = (bytes + 63) & ~int64_t{63};
  CHECK(bytes >= 0 && rounded <= capacity_ - used_, "arena: {} bytes asked, {} of {} in use", bytes, used_, capacity_);
  // A measuring arena hands out addresses that only differ: 64 keeps them from being null.
  std::byte* p = base_ == nullptr ? reinterpret_cast<std::byte*>(64 + used_) : base_ + used_;
  if (base_ != nullptr) unpoison(p, bytes);
  used_ += rounded;
  if (used_ > peak_) peak_ = used_;
  return p;
}

void Arena::release(int64_t mark) {
  CHECK(mark >= 0 && mark <= used_, "arena: release to {} of {}", mark, used_);
  if (base_ != nullptr) poison(base_ + mark, used_ - mark);
  used_ = mark;
}

}  // namespace godwit
