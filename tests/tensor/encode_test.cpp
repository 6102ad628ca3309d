#include "tensor/encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "tensor/decode.h"
#include "tensor/golden.h"

namespace godwit {
namespace {

class EncodeGolden : public testing::TestWithParam<std::tuple<const char*, bool>> {};
INSTANTIATE_TEST_SUITE_P(Types, EncodeGolden,
                         testing::Combine(testing::Values("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"),
                                          testing::Bool()),
                         [](const auto& i) {
                           return std::string(std::get<0>(i.param)) + (std::get<1>(i.param) ? "Flushing" : "");
                         });

TEST_P(EncodeGolden, EqualsAnotherImplementation) {
  const auto [type_name, flush] = GetParam();
  const DType type = dtype_from_name(type_name).value();
  const std::vector<std::byte> file = read_golden(std::string("encode_") + type_name);
  ASSERT_GT(file.size(), 4u);
  uint32_t n = 0;
  std::memcpy(&n, file.data(), 4);
  const size_t row_bytes = n / static_cast<size_t>(info(type).block) * static_cast<size_t>(info(type).block_bytes);
  ASSERT_EQ(file.size(), 4 + 4 * size_t{n} + row_bytes);
  std::vector<float> x(n);
  std::memcpy(x.data(), file.data() + 4, 4 * size_t{n});
  const std::byte* expected = file.data() + 4 + 4 * size_t{n};

  for (size_t shift : {0, 1}) {  // rows lie at any address
    std::vector<std::byte> row(row_bytes + shift + 1, std::byte{0xa5});
    {
      const FlushSubnormals environment(flush);
      encode_row(type, x.data(), row.data() + shift, n);
    }
    const auto block_bytes = static_cast<size_t>(info(type).block_bytes);
    for (size_t i = 0; i < row_bytes; ++i)
      ASSERT_EQ(row[shift + i], expected[i]) << "block " << i / block_bytes << " byte " << i % block_bytes;
    EXPECT_EQ(row.back(), std::byte{0xa5});
  }
}

TEST(Encode, LeavesTheFloatEnvironmentAsItWas) {
  const float x[32] = {1};
  std::byte row[34];
  for (bool flush : {false, true}) {
    const FlushSubnormals environment(flush);
    const unsigned before = _mm_getcsr() & ~0x3fu;  // without the sticky flags
    encode_row(DType::kQ8_0, x, row, 32);
    EXPECT_EQ(_mm_getcsr() & ~0x3fu, before);
  }
}

TEST(Encode, ABlockWithANonFiniteValueDecodesToNan) {
  const float inf = std::numeric_limits<float>::infinity();
  for (DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0}) {
    for (float bad : {inf, -inf, std::nanf("")}) {
      float x[64];
      for (int i = 0; i < 64; ++i) x[i] = static_cast<float>(i);
      x[7] = bad;
      std::byte row[2 * 34];
      encode_row(type, x, row, 64);
      float y[64];
      decode_row(type, row, y, 64);
      for (int i = 0; i < 32; ++i) EXPECT_TRUE(std::isnan(y[i])) << name(type) << " " << bad << " " << i;
      for (int i = 32; i < 64; ++i) EXPECT_NEAR(y[i], x[i], 4.0f) << name(type);  // the next block is its own
    }
  }
}

TEST(Encode, ValuesTooSmallForTheirInverseBecomeZero) {
  for (DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0}) {
    float x[32];
    for (int i = 0; i < 32; ++i) x[i] = static_cast<float>(i - 16) * std::numeric_limits<float>::denorm_min() * 100;
    std::byte row[34];
    encode_row(type, x, row, 32);
    float y[32];
    decode_row(type, row, y, 32);
    for (float v : y) EXPECT_EQ(v, 0.0f) << name(type);
  }
}

TEST(Encode, F32IsCopiedBitByBit) {
  const uint32_t bits[] = {1, 0x807fffff, 0x7f800001, 0xff800000};
  float x[4];
  std::memcpy(x, bits, sizeof bits);
  std::byte row[17];
  encode_row(DType::kF32, x, row + 1, 4);
  EXPECT_EQ(std::memcmp(row + 1, bits, sizeof bits), 0);
}

#ifndef GODWIT_DEBUG  // a Bug aborts in debug builds
TEST(Encode, RefusesOtherTypesAndPartsOfBlocks) {
  const float x[256] = {};
  std::byte row[1024];
  int encoded = 0;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto type = static_cast<DType>(i);
    encoded += can_encode(type) ? 1 : 0;
    if (!can_encode(type)) {
      EXPECT_THROW(encode_row(type, x, row, 256), Bug) << name(type);
    }
  }
  EXPECT_EQ(encoded, 8);
  EXPECT_THROW(encode_row(DType::kQ8_0, x, row, 33), Bug);
}
#endif

}  // namespace
}  // namespace godwit
