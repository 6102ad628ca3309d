#include "tensor/decode.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "tensor/golden.h"

namespace godwit {
namespace {

// Hand-checked blocks: bytes are (73 i + 41) mod 256, then the scales at `half` (0.5) and `quarter` (0.25).
struct Vector {
  const char* type;
  int half, quarter;                             // byte offsets; -1: none
  double first[4], middle, last, sum, weighted;  // weighted: sum of (i + 1) y[i]
};

const Vector kVectors[] = {
    {"Q4_0", 0, -1, {1.5, -2, 2.5, -1}, 1.5, -4, -16.5, -399.5},
    {"Q4_1", 0, 2, {6.75, 3.25, 7.75, 4.25}, 2.25, 4.75, 120.5, 1865},
    {"Q5_0", 0, -1, {7.5, 4, -7.5, 5}, 6.5, 1, -22.5, -592.5},
    {"Q5_1", 0, 2, {8.75, 5.25, 9.75, 14.25}, 11.75, 5.75, 258.5, 4156},
    {"Q8_0", 0, -1, {-34.5, 2, 38.5, -53}, 37.5, -55, -24, -344},
    {"MXFP4", -1, -1, {1, -1.5, 2, -3}, 6, -1.5, 12.5, 313},
    {"IQ4_NL", 0, -1, {19, -24.5, 34.5, -11}, 19, -63.5, -240.5, -6038},
    {"Q2_K", 80, 82, {4, 8.5, 13, -.5}, -1.25, -1.75, 1021.5, 125495},
    {"Q3_K", 108, -1, {-3.5, 7, -10.5, 14}, 12, -12, 117, 17373},
    {"Q4_K", 0, 2, {46.25, .75, 59.25, 13.75}, 88.25, -5.75, 26676, 3684684},
    {"Q5_K", 0, 2, {150.25, .75, 163.25, 13.75}, 256.25, -5.75, 55036, 7452252},
    {"Q6_K", 208, -1, {80.5, -23, -310.5, 322}, -171.5, 144, -7422, -814064},
    {"IQ4_XS", 0, -1, {-1508, 362.5, -942.5, 768.5}, 884, -375, -3225, 441525.5},
    {"TQ1_0", 52, -1, {-.5, 0, .5, -.5}, .5, .5, -7.5, -373.5},
    {"TQ2_0", 64, -1, {0, .5, 1, -.5}, 0, -.5, 62.5, 8534},
};

TEST(Decode, HandCheckedBlocks) {
  for (const Vector& v : kVectors) {
    const DType type = dtype_from_name(v.type).value();
    std::vector<std::byte> block(static_cast<size_t>(info(type).block_bytes));
    for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>((73 * i + 41) % 256);
    const auto put = [&](int at, uint16_t bits) {
      if (at >= 0) std::memcpy(&block[static_cast<size_t>(at)], &bits, sizeof bits);
    };
    put(v.half, 0x3800);
    put(v.quarter, 0x3400);
    if (type == DType::kMXFP4) block[0] = std::byte{127};

    const auto n = static_cast<size_t>(info(type).block);
    std::vector<float> y(n);
    decode_row(type, block.data(), y.data(), static_cast<int64_t>(n));
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(y[i], v.first[i]) << v.type << " " << i;
    EXPECT_EQ(y[n / 2], v.middle) << v.type;
    EXPECT_EQ(y[n - 1], v.last) << v.type;
    double sum = 0;
    double weighted = 0;
    for (size_t i = 0; i < n; ++i) {
      sum += y[i];
      weighted += static_cast<double>(i + 1) * y[i];
    }
    EXPECT_EQ(sum, v.sum) << v.type;
    EXPECT_EQ(weighted, v.weighted) << v.type;
  }
}

class DecodeGolden : public testing::TestWithParam<std::tuple<const char*, bool>> {};
INSTANTIATE_TEST_SUITE_P(
    Types, DecodeGolden,
    testing::Combine(testing::Values("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K",
                                     "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4", "TQ1_0", "TQ2_0"),
                     testing::Bool()),
    [](const auto& i) { return std::string(std::get<0>(i.param)) + (std::get<1>(i.param) ? "Flushing" : ""); });

TEST_P(DecodeGolden, EqualsAnotherImplementation) {
  const auto [type_name, flush] = GetParam();
  const DType type = dtype_from_name(type_name).value();
  const std::vector<std::byte> file = read_golden(type_name);
  ASSERT_GT(file.size(), 4u);
  uint32_t n_blocks = 0;
  std::memcpy(&n_blocks, file.data(), 4);
  ASSERT_GT(n_blocks, 0u);
  const size_t n = n_blocks * static_cast<size_t>(info(type).block);
  const size_t row_bytes = n_blocks * static_cast<size_t>(info(type).block_bytes);
  ASSERT_EQ(file.size(), 4 + row_bytes + 4 * n);
  std::vector<uint32_t> expected(n);
  std::memcpy(expected.data(), file.data() + 4 + row_bytes, 4 * n);

  for (size_t shift : {0, 1, 3}) {  // rows lie at any address
    std::vector<std::byte> row(row_bytes + shift);
    std::memcpy(row.data() + shift, file.data() + 4, row_bytes);
    std::vector<float> y(n + 1, 7.0f);
    {
      const FlushSubnormals environment(flush);
      decode_row(type, row.data() + shift, y.data(), static_cast<int64_t>(n));
    }
    std::vector<uint32_t> got(n);
    std::memcpy(got.data(), y.data(), 4 * n);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(got[i], expected[i]) << "element " << i << " at +" << shift;
    EXPECT_EQ(y[n], 7.0f);
  }
}

TEST(Decode, F32IsCopiedBitByBit) {
  const FlushSubnormals environment(true);
  const uint32_t bits[] = {0, 0x80000000, 1, 0x807fffff, 0x7f800001, 0xff800000, 0x3f800000};
  std::byte row[sizeof bits + 1];
  std::memcpy(row + 1, bits, sizeof bits);
  float y[7];
  decode_row(DType::kF32, row + 1, y, 7);
  EXPECT_EQ(std::memcmp(y, bits, sizeof bits), 0);
}

TEST(Decode, NothingIsReadOrWrittenForAnEmptyRow) {
  for (int i = 0; i < kDTypeCount; ++i)
    if (!is_packed(static_cast<DType>(i))) decode_row(static_cast<DType>(i), nullptr, nullptr, 0);
}

#ifndef GODWIT_DEBUG  // a Bug aborts in debug builds
TEST(Decode, RefusesPartsOfBlocksAndPanels) {
  std::byte row[1024] = {};
  float y[256];
  EXPECT_THROW(decode_row(DType::kQ8_0, row, y, 31), Bug);
  EXPECT_THROW(decode_row(DType::kQ4_K, row, y, 128), Bug);
  EXPECT_THROW(decode_row(DType::kF32, row, y, -1), Bug);
  EXPECT_THROW(decode_row(DType::kQ8_0x16, row, y, 32), Bug);
}
#endif

}  // namespace
}  // namespace godwit
