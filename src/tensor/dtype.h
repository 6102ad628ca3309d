// Element types: how weights, caches and activations lie in memory. Names and block layouts are ggml's; the types that
// end in x16 are Godwit's own layouts of the same codes, 16 outputs side by side (tensor/repack.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace godwit {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kTQ1_0,
  kTQ2_0,
  // Panels of 16 outputs: [ceil(n / 16)][k / block] blocks of 16 x (the file type's block bytes).
  kQ4_1x16,
  kQ5_0x16,
  kQ8_0x16,
  kQ4_Kx16,
  kQ6_Kx16,
  kQ4_0x16,
  kMXFP4x16,
};
inline constexpr int kDTypeCount = 25;

struct DTypeInfo {
  std::string_view name;  // as GGUF tools print it: "Q4_K"
  int32_t block;          // elements in a block, along the row
  int32_t block_bytes;    // bytes of a block (of one output, in x16 types too)
  int32_t ggml_id;        // the number in a GGUF file; -1: none
  DType file_type;        // itself, or what an x16 type was made from
};

/// Facts about a type.
const DTypeInfo& info(DType type);
inline std::string_view name(DType type) { return info(type).name; }
inline bool is_packed(DType type) { return type >= DType::kQ4_1x16; }
inline bool is_quantized(DType type) { return type >= DType::kQ4_0; }

/// The type with this GGUF number; nothing for types that Godwit does not decode.
std::optional<DType> dtype_from_ggml(uint32_t id);
/// What ggml calls this number ("IQ2_XXS", "removed type 4 (Q4_2)"), for error messages; "unknown type N" else.
std::string ggml_type_name(uint32_t id);
/// The type of this name, in any case ("q8_0", "Q8_0"); nothing if there is none.
std::optional<DType> dtype_from_name(std::string_view name);

/// Bytes of a matrix of n rows (outputs) of k elements; k must be a multiple of the block, n * k must not overflow.
int64_t matrix_bytes(DType type, int64_t n, int64_t k);

}  // namespace godwit
