// What a GGUF file is made of: numbers that its reader and its writer share. Source: ggml's docs/gguf.md.
#pragma once

#include <cstdint>
#include <string_view>

namespace godwit::gguf {

inline constexpr std::string_view kMagic = "GGUF";
inline constexpr uint32_t kVersion = 3;
inline constexpr uint32_t kDefaultAlignment = 32;

enum class ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
inline constexpr uint32_t kValueTypeCount = 13;

/// Least bytes of a value in a file, by type: of a string its length, of an array its type and count.
inline constexpr uint64_t kLeastBytes[kValueTypeCount] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
inline constexpr std::string_view kValueTypeNames[kValueTypeCount] = {
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};

// Limits (docs/formats.md). Bytes unless they count.
inline constexpr uint64_t kMaxHeader = uint64_t{256} << 20;
inline constexpr uint64_t kMaxString = uint64_t{16} << 20;
inline constexpr uint64_t kMaxElements = uint64_t{16} << 20;
inline constexpr uint64_t kMaxKeys = 65536;
inline constexpr uint64_t kMaxTensors = 131072;
inline constexpr uint64_t kMaxKey = 65535;
inline constexpr uint64_t kMaxName = 63;
inline constexpr uint32_t kMaxRank = 4;
inline constexpr uint32_t kLeastAlignment = 8;
inline constexpr uint32_t kMaxAlignment = 4096;
inline constexpr uint64_t kMaxParts = 1024;
/// Metadata may take this much memory and twice the bytes it takes in the file.
inline constexpr uint64_t kSpareMemory = uint64_t{48} << 20;
/// What may follow the last tensor: padding.
inline constexpr uint64_t kMaxTrailing = kMaxAlignment;

}  // namespace godwit::gguf
