#include "tensor/dtype.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace godwit {
namespace {

std::vector<DType> all_types() {
  std::vector<DType> types;
  for (int i = 0; i < kDTypeCount; ++i) types.push_back(static_cast<DType>(i));
  return types;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

struct TypeRow {
  uint32_t id;
  const char* name;
  int block, bytes;
};

// The table of types in ggml's documentation, as far as Godwit decodes them.
const TypeRow kDecoded[] = {{0, "F32", 1, 4},       {1, "F16", 1, 2},       {30, "BF16", 1, 2},
                            {2, "Q4_0", 32, 18},    {3, "Q4_1", 32, 20},    {6, "Q5_0", 32, 22},
                            {7, "Q5_1", 32, 24},    {8, "Q8_0", 32, 34},    {10, "Q2_K", 256, 84},
                            {11, "Q3_K", 256, 110}, {12, "Q4_K", 256, 144}, {13, "Q5_K", 256, 176},
                            {14, "Q6_K", 256, 210}, {20, "IQ4_NL", 32, 18}, {23, "IQ4_XS", 256, 136},
                            {39, "MXFP4", 32, 17},  {34, "TQ1_0", 256, 54}, {35, "TQ2_0", 256, 66}};

const std::map<uint32_t, std::string> kOnlyNamed = {
    {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {22, "IQ2_S"}, {18, "IQ3_XXS"},
    {21, "IQ3_S"}, {19, "IQ1_S"}, {29, "IQ1_M"},   {24, "I8"},     {25, "I16"},   {26, "I32"},
    {27, "I64"},   {28, "F64"},   {40, "NVFP4"},   {41, "Q1_0"},   {42, "Q2_0"}};

TEST(DType, FactsAreGgmls) {
  for (const TypeRow& row : kDecoded) {
    const auto type = dtype_from_ggml(row.id);
    ASSERT_TRUE(type.has_value()) << row.name;
    EXPECT_EQ(name(*type), row.name);
    EXPECT_EQ(info(*type).block, row.block) << row.name;
    EXPECT_EQ(info(*type).block_bytes, row.bytes) << row.name;
    EXPECT_EQ(info(*type).ggml_id, static_cast<int32_t>(row.id)) << row.name;
    EXPECT_EQ(info(*type).file_type, *type) << row.name;
    EXPECT_EQ(ggml_type_name(row.id), row.name);
    EXPECT_FALSE(is_packed(*type)) << row.name;
    EXPECT_EQ(is_quantized(*type), row.block > 1) << row.name;
  }
}

TEST(DType, PanelsHaveTheBlocksOfTheirFileType) {
  int packed = 0;
  for (DType type : all_types()) {
    if (!is_packed(type)) continue;
    ++packed;
    const DTypeInfo& file = info(info(type).file_type);
    EXPECT_FALSE(is_packed(info(type).file_type)) << name(type);
    EXPECT_EQ(std::string(name(type)), std::string(file.name) + "x16");
    EXPECT_EQ(info(type).block, file.block) << name(type);
    EXPECT_EQ(info(type).block_bytes, file.block_bytes) << name(type);
    EXPECT_EQ(info(type).ggml_id, -1) << name(type);
    EXPECT_TRUE(is_quantized(type)) << name(type);
  }
  EXPECT_EQ(packed + static_cast<int>(std::size(kDecoded)), kDTypeCount);
}

TEST(DType, NamesRoundTripInAnyCase) {
  std::set<std::string_view> names;
  for (DType type : all_types()) {
    EXPECT_EQ(dtype_from_name(name(type)), type);
    EXPECT_EQ(dtype_from_name(lower(name(type))), type);
    names.insert(name(type));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kDTypeCount));
  for (const char* wrong : {"", "Q4", "Q4_00", "Q4_K_M", " F16", "F16 ", "IQ2_XXS", "Q8_K"})
    EXPECT_EQ(dtype_from_name(wrong), std::nullopt) << wrong;
}

TEST(DType, EveryGgmlNumberHasAName) {
  for (const auto& [id, expected] : kOnlyNamed) {
    EXPECT_EQ(ggml_type_name(id), expected);
    EXPECT_EQ(dtype_from_ggml(id), std::nullopt) << expected;
  }
  for (uint32_t id : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u}) {
    EXPECT_THAT(ggml_type_name(id), testing::StartsWith("removed type " + std::to_string(id)));
    EXPECT_EQ(dtype_from_ggml(id), std::nullopt) << id;
  }
  EXPECT_EQ(std::size(kDecoded) + kOnlyNamed.size() + 8, 43u);  // 0 to 42, each once
  for (uint32_t id : {43u, 1000u, 0x80000000u, 0xffffffffu}) {
    EXPECT_EQ(ggml_type_name(id), "unknown type " + std::to_string(id));
    EXPECT_EQ(dtype_from_ggml(id), std::nullopt) << id;
  }
}

TEST(DType, MatrixBytes) {
  EXPECT_EQ(matrix_bytes(DType::kF32, 3, 5), 60);
  EXPECT_EQ(matrix_bytes(DType::kBF16, 3, 5), 30);
  EXPECT_EQ(matrix_bytes(DType::kQ8_0, 7, 64), 7 * 2 * 34);
  EXPECT_EQ(matrix_bytes(DType::kQ6_K, 2, 512), 2 * 2 * 210);
  EXPECT_EQ(matrix_bytes(DType::kQ8_0x16, 17, 64), 32 * 2 * 34);  // two panels
  EXPECT_EQ(matrix_bytes(DType::kQ4_Kx16, 16, 256), 16 * 144);
  EXPECT_EQ(matrix_bytes(DType::kQ4_K, 0, 256), 0);
  EXPECT_EQ(matrix_bytes(DType::kQ4_K, 9, 0), 0);
  EXPECT_EQ(matrix_bytes(DType::kF32, int64_t{1} << 30, int64_t{1} << 30), int64_t{1} << 62);
}

#ifndef GODWIT_DEBUG  // a Bug aborts in debug builds
TEST(DType, MatrixBytesRefusesWhatHasNoSize) {
  EXPECT_THROW(matrix_bytes(DType::kQ8_0, 4, 33), Bug);
  EXPECT_THROW(matrix_bytes(DType::kF32, -1, 4), Bug);
  EXPECT_THROW(matrix_bytes(DType::kF32, int64_t{1} << 31, int64_t{1} << 31), Bug);
  EXPECT_THROW(info(static_cast<DType>(kDTypeCount)), Bug);
}
#endif

}  // namespace
}  // namespace godwit
