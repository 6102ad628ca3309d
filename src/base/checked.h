// Arithmetic on numbers that came from a file: an overflow is remembered instead of wrapping.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

#include "base/error.h"

namespace godwit {

/// An unsigned 64-bit number that knows whether everything that led to it fitted. After an overflow it stays "too
/// large" whatever is done to it, so a chain of operations is checked once, at its end.
class CheckedU64 {
 public:
  constexpr CheckedU64(uint64_t value) : value_(value) {}  // NOLINT: implicit, so that a + b * 8 reads as it is

  constexpr bool ok() const { return ok_; }
  /// The number; only after ok(), at_most() or as() said that there is one.
  uint64_t value() const {
    CHECK(ok_, "a number that overflowed");
    return value_;
  }
  constexpr bool at_most(uint64_t limit) const { return ok_ && value_ <= limit; }

  /// The number as a T; nothing after an overflow or when a T cannot hold it.
  template <class T>
  constexpr std::optional<T> as() const {
    static_assert(std::is_integral_v<T>);
    if (!at_most(static_cast<uint64_t>(std::numeric_limits<T>::max()))) return std::nullopt;
    return static_cast<T>(value_);
  }

  /// The next multiple of `alignment`, which must not be 0.
  constexpr CheckedU64 pad(uint64_t alignment) const {
    const uint64_t over = value_ % alignment;
    return over == 0 ? *this : *this + (alignment - over);
  }

  friend constexpr CheckedU64 operator+(CheckedU64 a, CheckedU64 b) {
    CheckedU64 sum(0);
    sum.ok_ = !__builtin_add_overflow(a.value_, b.value_, &sum.value_) && a.ok_ && b.ok_;
    return sum;
  }
  friend constexpr CheckedU64 operator*(CheckedU64 a, CheckedU64 b) {
    CheckedU64 product(0);
    product.ok_ = !__builtin_mul_overflow(a.value_, b.value_, &product.value_) && a.ok_ && b.ok_;
    return product;
  }
  CheckedU64& operator+=(CheckedU64 other) { return *this = *this + other; }
  CheckedU64& operator*=(CheckedU64 other) { return *this = *this * other; }

 private:
  uint64_t value_ = 0;
  bool ok_ = true;
};

}  // namespace godwit
