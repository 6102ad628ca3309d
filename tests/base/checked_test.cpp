#include "base/checked.h"

#include <gtest/gtest.h>

namespace godwit {
namespace {

constexpr uint64_t kMax = ~uint64_t{0};

TEST(CheckedU64, CountsWhileItFits) {
  EXPECT_EQ((CheckedU64(3) * 5 + 2).value(), 17u);
  EXPECT_EQ((CheckedU64(kMax - 1) + 1).value(), kMax);
  EXPECT_EQ((CheckedU64(uint64_t{1} << 32) * ((uint64_t{1} << 32) - 1)).value(), kMax - ((uint64_t{1} << 32) - 1));
  CheckedU64 n(4);
  n += 2;
  n *= 7;
  EXPECT_EQ(n.value(), 42u);
}

TEST(CheckedU64, RemembersAnOverflow) {
  EXPECT_FALSE((CheckedU64(kMax) + 1).ok());
  EXPECT_FALSE((CheckedU64(uint64_t{1} << 32) * (uint64_t{1} << 32)).ok());
  EXPECT_FALSE(((CheckedU64(kMax) + 1) * 0).ok());
  EXPECT_FALSE((CheckedU64(1) + (CheckedU64(kMax) + 1)).ok());
  EXPECT_FALSE((CheckedU64(kMax) + 1).at_most(kMax));
  EXPECT_FALSE((CheckedU64(kMax) + 1).as<uint64_t>());
}

TEST(CheckedU64, Pads) {
  EXPECT_EQ(CheckedU64(0).pad(32).value(), 0u);
  EXPECT_EQ(CheckedU64(1).pad(32).value(), 32u);
  EXPECT_EQ(CheckedU64(32).pad(32).value(), 32u);
  EXPECT_EQ(CheckedU64(kMax - 31).pad(32).value(), kMax - 31);
  EXPECT_FALSE(CheckedU64(kMax - 30).pad(32).ok());
  EXPECT_FALSE((CheckedU64(kMax) + 1).pad(32).ok());
}

TEST(CheckedU64, NarrowsOnlyWhatFits) {
  EXPECT_EQ(CheckedU64(127).as<int8_t>(), int8_t{127});
  EXPECT_FALSE(CheckedU64(128).as<int8_t>());
  EXPECT_EQ(CheckedU64(kMax >> 1).as<int64_t>(), INT64_MAX);
  EXPECT_FALSE(CheckedU64((kMax >> 1) + 1).as<int64_t>());
  EXPECT_EQ(CheckedU64(kMax).as<uint64_t>(), kMax);
  EXPECT_TRUE(CheckedU64(7).at_most(7));
  EXPECT_FALSE(CheckedU64(8).at_most(7));
}

}  // namespace
}  // namespace godwit
