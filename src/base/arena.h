// Arena: bump allocation with marks. A pass allocates its temporaries here and releases them by mark; nothing is freed
// one by one, and from the first full-size pass on nothing is taken from the system.
#pragma once

#include <cstddef>
#include <cstdint>

namespace godwit {

class Arena {
 public:
  /// An arena that only measures: alloc returns addresses that must not be touched (dry passes).
  struct Measure {};
  explicit Arena(Measure) {}
  /// Reserves `bytes` (address space now, memory when touched). Throws Error (kMemory) when that is refused.
  explicit Arena(int64_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// `bytes` bytes, aligned to 64. A full arena is a Bug: its size comes from a dry pass.
  std::byte* alloc(int64_t bytes);
  template <class T>
  T* alloc_array(int64_t n) {
    return reinterpret_cast<T*>(alloc(n * static_cast<int64_t>(sizeof(T))));
  }
  int64_t mark() const { return used_; }
  void release(int64_t mark);
  int64_t peak() const { return peak_; }  // most bytes ever in use
  int64_t capacity() const { return capacity_; }

 private:
  std::byte* base_ = nullptr;  // null: measuring
  int64_t capacity_ = INT64_MAX;
  int64_t used_ = 0, peak_ = 0;
};

/// Releases what was allocated since it was made.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.release(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  int64_t mark_;
};

}  // namespace godwit
