// Writes GGUF files byte by byte, right or wrong: every field can be given a value that no writer would write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace godwit {

/// Numbers of value types, written out apart from the reader's own. Source: ggml's docs/gguf.md.
enum GgufType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

template <class T>
std::string le(T value) {
  static_assert(std::is_arithmetic_v<T>);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::string gguf_string(const std::string& text) { return le(uint64_t{text.size()}) + text; }

class GgufBuilder {
 public:
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> n_tensors, n_keys;  // instead of the true counts
  uint64_t alignment = 32;                    // of the data that build() adds; the key is apart

  /// A valid beginning: the architecture.
  static GgufBuilder llama() {
    GgufBuilder b;
    b.text("general.architecture", "llama");
    return b;
  }

  GgufBuilder& raw_key(const std::string& name_field, uint32_t type, const std::string& payload) {
    keys_ += name_field + le(type) + payload;
    ++keys_written_;
    return *this;
  }
  template <class T>
  GgufBuilder& key(const std::string& name, uint32_t type, T value) {
    return raw_key(gguf_string(name), type, le(value));
  }
  GgufBuilder& text(const std::string& name, const std::string& value) {
    return raw_key(gguf_string(name), kString, gguf_string(value));
  }
  /// An array as `payload` has its elements; `count` need not be true.
  GgufBuilder& array(const std::string& name, uint32_t type, uint64_t count, const std::string& payload) {
    return raw_key(gguf_string(name), kArray, le(type) + le(count) + payload);
  }

  GgufBuilder& raw_tensor(const std::string& name_field, uint32_t n_dims, const std::vector<uint64_t>& ne,
                          uint32_t type, uint64_t offset) {
    tensors_ += name_field + le(n_dims);
    for (uint64_t n : ne) tensors_ += le(n);
    tensors_ += le(type) + le(offset);
    ++tensors_written_;
    return *this;
  }
  GgufBuilder& tensor(const std::string& name, const std::vector<uint64_t>& ne, uint32_t type, uint64_t offset) {
    return raw_tensor(gguf_string(name), static_cast<uint32_t>(ne.size()), ne, type, offset);
  }

  std::string header() const {
    return magic + le(version) + le(n_tensors.value_or(tensors_written_)) + le(n_keys.value_or(keys_written_)) + keys_ +
           tensors_;
  }
  /// The header, padded, and `bytes` of data.
  std::string build(size_t bytes = 0, char fill = 0) const {
    std::string out = header();
    if (bytes == 0) return out;
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out + std::string(bytes, fill);
  }

 private:
  std::string keys_, tensors_;
  uint64_t keys_written_ = 0, tensors_written_ = 0;
};

}  // namespace godwit
