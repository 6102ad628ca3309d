#include "base/arena.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"

namespace godwit {
namespace {

TEST(Arena, MarksAndPeak) {
  Arena arena(1000 * 64);
  std::byte* a = arena.alloc(1);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 64, 0u);
  const int64_t mark = arena.mark();
  EXPECT_EQ(mark, 64);
  std::byte* b = arena.alloc(500);
  std::memset(b, 1, 500);
  arena.release(mark);
  EXPECT_EQ(arena.alloc(100), b);
  EXPECT_EQ(arena.peak(), 64 + 512);
}

TEST(Arena, MeasuringCountsTheSame) {
  Arena measure(Arena::Measure{});
  {
    ArenaScope scope(measure);
    measure.alloc(int64_t{1} << 40);
  }
  EXPECT_EQ(measure.mark(), 0);
  EXPECT_EQ(measure.peak(), int64_t{1} << 40);
}

#ifndef GODWIT_DEBUG
TEST(Arena, FullIsABug) {
  Arena arena(128);
  arena.alloc(100);
  EXPECT_THROW(arena.alloc(1), Bug);
}
#endif

}  // namespace
}  // namespace godwit
