// A hash table from 64-bit keys to 32-bit values: what the merges and the special tokens are looked up in.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace godwit {

/// Open addressing, linear probing, at most half full. Keys may not be kEmpty. Not for removal.
class IdMap {
 public:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  static constexpr uint32_t kNone = ~uint32_t{0};

  explicit IdMap(size_t expected = 0) : slots_(std::bit_ceil(expected * 2 + 16), Slot{kEmpty, kNone}) {}

  size_t size() const { return size_; }

  /// The value of a key; kNone when it is absent.
  uint32_t find(uint64_t key) const {
    for (size_t i = place(key);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return slots_[i].value;
      if (slots_[i].key == kEmpty) return kNone;
    }
  }

  /// Adds a key; leaves the value of one that is there. True when it was new.
  bool insert(uint64_t key, uint32_t value) {
    if ((size_ + 1) * 2 > slots_.size()) grow();
    for (size_t i = place(key);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return false;
      if (slots_[i].key == kEmpty) {
        slots_[i] = {key, value};
        ++size_;
        return true;
      }
    }
  }

 private:
  struct Slot {
    uint64_t key;
    uint32_t value;
  };

  size_t place(uint64_t key) const {
    key ^= key >> 32;
    key *= 0x9E3779B97F4A7C15u;
    return static_cast<size_t>(key ^ key >> 29) & (slots_.size() - 1);
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2, Slot{kEmpty, kNone});
    old.swap(slots_);
    size_ = 0;
    for (const Slot& slot : old) {
      if (slot.key != kEmpty) insert(slot.key, slot.value);
    }
  }

  std::vector<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace godwit
