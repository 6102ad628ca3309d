#include "tensor/dtype.h"

#include <array>

#include "base/error.h"

namespace godwit {
namespace {

constexpr std::array<DTypeInfo, kDTypeCount> kInfo = {{
    {"F32", 1, 4, 0, DType::kF32},
    {"F16", 1, 2, 1, DType::kF16},
    {"BF16", 1, 2, 30, DType::kBF16},
    {"Q4_0", 32, 18, 2, DType::kQ4_0},
    {"Q4_1", 32, 20, 3, DType::kQ4_1},
    {"Q5_0", 32, 22, 6, DType::kQ5_0},
    {"Q5_1", 32, 24, 7, DType::kQ5_1},
    {"Q8_0", 32, 34, 8, DType::kQ8_0},
    {"Q2_K", 256, 84, 10, DType::kQ2_K},
    {"Q3_K", 256, 110, 11, DType::kQ3_K},
    {"Q4_K", 256, 144, 12, DType::kQ4_K},
    {"Q5_K", 256, 176, 13, DType::kQ5_K},
    {"Q6_K", 256, 210, 14, DType::kQ6_K},
    {"IQ4_NL", 32, 18, 20, DType::kIQ4_NL},
    {"IQ4_XS", 256, 136, 23, DType::kIQ4_XS},
    {"MXFP4", 32, 17, 39, DType::kMXFP4},
    {"TQ1_0", 256, 54, 34, DType::kTQ1_0},
    {"TQ2_0", 256, 66, 35, DType::kTQ2_0},
    {"Q4_1x16", 32, 20, -1, DType::kQ4_1},
    {"Q5_0x16", 32, 22, -1, DType::kQ5_0},
    {"Q8_0x16", 32, 34, -1, DType::kQ8_0},
    {"Q4_Kx16", 256, 144, -1, DType::kQ4_K},
    {"Q6_Kx16", 256, 210, -1, DType::kQ6_K},
    {"Q4_0x16", 32, 18, -1, DType::kQ4_0},
    {"MXFP4x16", 32, 17, -1, DType::kMXFP4},
}};

constexpr int64_t kPanel = 16;  // outputs side by side in an x16 type

// Every number that ggml has given out; the removed ones were repacked layouts or early formats.
constexpr std::array<std::string_view, 43> kGgmlNames = {"F32",
                                                         "F16",
                                                         "Q4_0",
                                                         "Q4_1",
                                                         "removed type 4 (Q4_2)",
                                                         "removed type 5 (Q4_3)",
                                                         "Q5_0",
                                                         "Q5_1",
                                                         "Q8_0",
                                                         "Q8_1",
                                                         "Q2_K",
                                                         "Q3_K",
                                                         "Q4_K",
                                                         "Q5_K",
                                                         "Q6_K",
                                                         "Q8_K",
                                                         "IQ2_XXS",
                                                         "IQ2_XS",
                                                         "IQ3_XXS",
                                                         "IQ1_S",
                                                         "IQ4_NL",
                                                         "IQ3_S",
                                                         "IQ2_S",
                                                         "IQ4_XS",
                                                         "I8",
                                                         "I16",
                                                         "I32",
                                                         "I64",
                                                         "F64",
                                                         "IQ1_M",
                                                         "BF16",
                                                         "removed type 31 (Q4_0_4_4)",
                                                         "removed type 32 (Q4_0_4_8)",
                                                         "removed type 33 (Q4_0_8_8)",
                                                         "TQ1_0",
                                                         "TQ2_0",
                                                         "removed type 36 (IQ4_NL_4_4)",
                                                         "removed type 37 (IQ4_NL_4_8)",
                                                         "removed type 38 (IQ4_NL_8_8)",
                                                         "MXFP4",
                                                         "NVFP4",
                                                         "Q1_0",
                                                         "Q2_0"};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool equal_in_any_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (upper(a[i]) != upper(b[i])) return false;
  return true;
}

}  // namespace

const DTypeInfo& info(DType type) {
  const auto index = static_cast<size_t>(type);
  CHECK(index < kInfo.size(), "element type {}", index);
  return kInfo[index];
}

std::optional<DType> dtype_from_ggml(uint32_t id) {
  for (size_t i = 0; i < kInfo.size(); ++i)
    if (kInfo[i].ggml_id >= 0 && static_cast<uint32_t>(kInfo[i].ggml_id) == id) return static_cast<DType>(i);
  return std::nullopt;
}

std::string ggml_type_name(uint32_t id) {
  return id < kGgmlNames.size() ? std::string(kGgmlNames[id]) : fmt::format("unknown type {}", id);
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (size_t i = 0; i < kInfo.size(); ++i)
    if (equal_in_any_case(kInfo[i].name, name)) return static_cast<DType>(i);
  return std::nullopt;
}

int64_t matrix_bytes(DType type, int64_t n, int64_t k) {
  const DTypeInfo& t = info(type);
  CHECK(n >= 0 && k >= 0 && k % t.block == 0, "a matrix [{}, {}] of {} (blocks of {})", n, k, t.name, t.block);
  const int64_t rows = is_packed(type) ? (n + kPanel - 1) / kPanel * kPanel : n;
  int64_t bytes = 0;
  const bool overflow = __builtin_mul_overflow(k / t.block, int64_t{t.block_bytes}, &bytes) ||
                        __builtin_mul_overflow(bytes, rows, &bytes);
  CHECK(!overflow, "the bytes of a matrix [{}, {}] of {}", n, k, t.name);
  return bytes;
}

}  // namespace godwit
