#include "tensor/float16.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <random>

#include "tensor/golden.h"

namespace godwit {
namespace {

static_assert(f16_to_f32(0x3c00) == 1.0f && f16_to_f32(0xc000) == -2.0f && f16_to_f32(0x0001) == 0x1p-24f);
static_assert(f32_to_f16(65504.0f) == 0x7bff && f32_to_f16(65520.0f) == 0x7c00 && f32_to_f16(0x1p-25f) == 0);
static_assert(bf16_to_f32(0x3f80) == 1.0f && f32_to_bf16(1.0f) == 0x3f80);

bool is_nan_f16(uint32_t h) { return (h & 0x7fff) > 0x7c00; }

// IEEE 754's definition of a half that is not a NaN, in double.
double half_value(uint32_t h) {
  const int exponent = h >> 10 & 31;
  const int fraction = h & 1023;
  const double magnitude = exponent == 31  ? std::numeric_limits<double>::infinity()
                           : exponent == 0 ? std::ldexp(fraction, -24)
                                           : std::ldexp(1024 + fraction, exponent - 25);
  return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

// The nearest half by rounding to a multiple of its unit in the last place, looked up among all halves.
uint16_t nearest_half(float x) {
  static const std::map<double, uint16_t> halves = [] {
    std::map<double, uint16_t> all;
    for (uint32_t h = 0; h <= 0x7c00; ++h) all[half_value(h)] = static_cast<uint16_t>(h);
    return all;
  }();
  const double magnitude = std::fabs(static_cast<double>(x));
  double rounded = magnitude;
  if (magnitude >= 65520) {
    rounded = std::numeric_limits<double>::infinity();
  } else if (magnitude != 0) {
    const int unit = std::max(std::ilogb(magnitude) - 10, -24);
    rounded = std::ldexp(std::nearbyint(std::ldexp(magnitude, -unit)), unit);
  }
  return static_cast<uint16_t>(halves.at(rounded) | (std::signbit(x) ? 0x8000 : 0));
}

class Float16 : public testing::TestWithParam<bool> {
 protected:
  FlushSubnormals flush_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(FlushToZero, Float16, testing::Bool());

TEST_P(Float16, EveryHalfHasItsValueAndComesBack) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float value = f16_to_f32(static_cast<uint16_t>(h));
    if (is_nan_f16(h)) {
      EXPECT_EQ(float_bits(value), (h & 0x8000) << 16 | 0x7fc00000 | (h & 0x1ff) << 13) << h;
      EXPECT_EQ(f32_to_f16(value), h | 0x200) << h;
    } else {
      ASSERT_EQ(static_cast<double>(value), half_value(h)) << h;
      ASSERT_EQ(std::signbit(value), (h & 0x8000) != 0) << h;
      ASSERT_EQ(f32_to_f16(value), h) << h;
    }
  }
}

TEST_P(Float16, RoundsToTheNearestHalfAroundEveryMidpoint) {
  for (uint32_t h = 0; h < 0x7c00; ++h) {
    const double upper = h == 0x7bff ? 65536 : half_value(h + 1);
    const auto middle = static_cast<float>((half_value(h) + upper) / 2);
    const uint32_t bits = float_bits(middle);
    for (uint32_t near : {bits - 1, bits, bits + 1}) {
      const float x = float_from_bits(near);
      ASSERT_EQ(f32_to_f16(x), nearest_half(x)) << x;
      ASSERT_EQ(f32_to_f16(-x), nearest_half(-x)) << -x;
    }
  }
}

TEST_P(Float16, RoundsAnyFloatToTheNearestHalf) {
  std::mt19937 random(5);
  for (int i = 0; i < 300000; ++i) {
    const float any = float_from_bits(random());
    const float in_range = float_from_bits((random() & 0x8fffffff) | (random() % 2 == 0 ? 0x30000000 : 0x40000000));
    for (float x : {any, in_range}) {
      if ((float_bits(x) & 0x7f800000) != 0 && !std::isnan(x)) {
        ASSERT_EQ(f32_to_f16(x), nearest_half(x)) << x;
      }
    }
  }
  for (uint32_t subnormal : {1u, 0x7fffffu}) {
    EXPECT_EQ(f32_to_f16(float_from_bits(subnormal)), 0);
    EXPECT_EQ(f32_to_f16(float_from_bits(subnormal | 0x80000000)), 0x8000);
  }
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::infinity()), 0x7c00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(f32_to_f16(float_from_bits(0x7f800001)), 0x7e00);  // a NaN whose payload does not fit
  EXPECT_EQ(f32_to_f16(float_from_bits(0xffc02000)), 0xfe01);
}

TEST_P(Float16, Bfloat16IsTheUpperHalf) {
  for (uint32_t b = 0; b < 65536; ++b) {
    EXPECT_EQ(float_bits(bf16_to_f32(static_cast<uint16_t>(b))), b << 16);
    const bool nan = (b & 0x7fff) > 0x7f80;
    EXPECT_EQ(f32_to_bf16(float_from_bits(b << 16)), nan ? b | 64 : b);
  }
}

TEST_P(Float16, Bfloat16RoundsToNearestEven) {
  // Of finite floats, bits are in the order of magnitudes: the nearest upper half by distance, 0x8000 being halfway.
  for (uint32_t b = 0; b < 0x7f80; ++b) {
    const uint32_t odd = b & 1;
    EXPECT_EQ(f32_to_bf16(float_from_bits(b << 16 | 0x0001)), b);
    EXPECT_EQ(f32_to_bf16(float_from_bits(b << 16 | 0x7fff)), b);
    EXPECT_EQ(f32_to_bf16(float_from_bits(b << 16 | 0x8000)), b + odd);
    EXPECT_EQ(f32_to_bf16(float_from_bits(b << 16 | 0x8001)), b + 1);
    EXPECT_EQ(f32_to_bf16(float_from_bits(b << 16 | 0x80008000)), 0x8000 | (b + odd));
  }
  EXPECT_EQ(f32_to_bf16(float_from_bits(0x7f800001)), 0x7fc0);  // not infinity
  EXPECT_EQ(f32_to_bf16(float_from_bits(0xffffffff)), 0xffff);
}

}  // namespace
}  // namespace godwit
