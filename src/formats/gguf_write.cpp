#include <cmath>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "base/text.h"
#include "formats/gguf.h"
#include "formats/gguf_format.h"

namespace godwit {
namespace {

using gguf::ValueType;

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_string(std::string& out, const std::string& text) {
  put(out, uint64_t{text.size()});
  out += text;
}

template <class T>
void put_typed(std::string& out, ValueType type, T value) {
  put(out, type);
  put(out, value);
}

void put_array_start(std::string& out, ValueType type, size_t count) {
  put(out, ValueType::kArray);
  put(out, type);
  put(out, uint64_t{count});
}

template <class T>
bool fits(int64_t value) {
  return value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
}

// llama.cpp takes counts and ids only as u32, reals only as f32, and token types only as i32: a value gets the type
// that its key has there, and a wider one only when it must.
struct ValueWriter {
  std::string& out;

  void operator()(bool value) const { put_typed(out, ValueType::kBool, uint8_t{value}); }
  void operator()(int64_t value) const {
    if (fits<uint32_t>(value))
      put_typed(out, ValueType::kU32, static_cast<uint32_t>(value));
    else if (fits<int32_t>(value))
      put_typed(out, ValueType::kI32, static_cast<int32_t>(value));
    else
      put_typed(out, ValueType::kI64, value);
  }
  void operator()(uint64_t value) const { put_typed(out, ValueType::kU64, value); }
  void operator()(double value) const {
    const bool too_large = std::isfinite(value) && std::fabs(value) > std::numeric_limits<float>::max();
    if (too_large)
      put_typed(out, ValueType::kF64, value);
    else
      put_typed(out, ValueType::kF32, static_cast<float>(value));
  }
  void operator()(const std::string& value) const {
    put(out, ValueType::kString);
    put_string(out, value);
  }
  void operator()(const std::vector<bool>& values) const {
    put_array_start(out, ValueType::kBool, values.size());
    for (bool value : values) put(out, uint8_t{value});
  }
  void operator()(const std::vector<int64_t>& values) const {
    bool narrow = true;
    for (int64_t value : values) narrow = narrow && fits<int32_t>(value);
    put_array_start(out, narrow ? ValueType::kI32 : ValueType::kI64, values.size());
    for (int64_t value : values) {
      if (narrow)
        put(out, static_cast<int32_t>(value));
      else
        put(out, value);
    }
  }
  void operator()(const std::vector<double>& values) const {
    put_array_start(out, ValueType::kF32, values.size());
    for (double value : values) put(out, static_cast<float>(value));
  }
  void operator()(const std::vector<std::string>& values) const {
    put_array_start(out, ValueType::kString, values.size());
    for (const std::string& value : values) put_string(out, value);
  }
};

// These say how a file is laid out, not what the model is.
bool is_layout(const std::string& key) { return key == "general.alignment" || key.starts_with("split."); }

void put_keys(std::string& out, const Config& config) {
  const std::string kArchitecture = "general.architecture";
  uint64_t count = 1;
  std::string keys;
  put_string(keys, kArchitecture);
  ValueWriter{keys}(config.architecture);
  for (const auto& [key, value] : config.values) {
    if (key == kArchitecture || is_layout(key)) continue;
    put_string(keys, key);
    std::visit(ValueWriter{keys}, value);
    ++count;
  }
  put(out, count);
  out += keys;
}

uint64_t bytes_of(const TensorToWrite& tensor) {
  const int64_t width = tensor.shape[-1];
  return static_cast<uint64_t>(matrix_bytes(tensor.dtype, tensor.shape.count() / width, width));
}

// Returns where the tensor's padded data ends.
CheckedU64 put_tensor(std::string& out, const TensorToWrite& tensor, CheckedU64 offset, const std::string& path) {
  if (tensor.name.empty() || tensor.name.size() > gguf::kMaxName)
    invalid("{}: gguf: tensor {}: expected a name of 1 to {} bytes, got {}", printable_path(path),
            printable(tensor.name), gguf::kMaxName, tensor.name.size());
  const Shape& shape = tensor.shape;
  CHECK(shape.rank >= 1 && shape.count() > 0, "tensor {} is {}", tensor.name, shape.text());
  CHECK(info(tensor.dtype).ggml_id >= 0, "tensor {} is {}", tensor.name, name(tensor.dtype));
  put_string(out, tensor.name);
  put(out, static_cast<uint32_t>(shape.rank));
  for (int i = shape.rank - 1; i >= 0; --i) put(out, shape[i]);
  put(out, static_cast<uint32_t>(info(tensor.dtype).ggml_id));
  put(out, offset.value());
  return (offset + bytes_of(tensor)).pad(gguf::kDefaultAlignment);
}

void pad(OutputFile& file) {
  const uint64_t end = CheckedU64(file.position()).pad(gguf::kDefaultAlignment).value();
  file.write(std::string(static_cast<size_t>(end - file.position()), '\0'));
}

}  // namespace

void write_gguf(const std::string& path, const Config& config, const std::vector<TensorToWrite>& tensors,
                const std::function<void(int64_t, int64_t)>& progress) {
  std::string header(gguf::kMagic);
  put(header, gguf::kVersion);
  put(header, uint64_t{tensors.size()});
  put_keys(header, config);
  CheckedU64 data_bytes(0);
  for (const TensorToWrite& tensor : tensors) data_bytes = put_tensor(header, tensor, data_bytes, path);

  OutputFile file(path);
  file.write(header);
  pad(file);
  const uint64_t data = file.position();
  for (const TensorToWrite& tensor : tensors) {
    const uint64_t begin = file.position();
    tensor.fill([&](const std::byte* bytes, size_t size) {
      file.write({bytes, size});
      if (progress) progress(static_cast<int64_t>(file.position() - data), static_cast<int64_t>(data_bytes.value()));
    });
    CHECK(file.position() - begin == bytes_of(tensor), "tensor {}: {} bytes written", tensor.name,
          file.position() - begin);
    pad(file);
  }
  file.commit();
}

}  // namespace godwit
