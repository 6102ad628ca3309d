// Model folders and GGUF files with tensors of given bytes, made by hand.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "formats/gguf_builder.h"
#include "formats/safetensors_bytes.h"
#include "formats/scratch.h"
#include "tensor/tensor.h"

namespace godwit {

/// The bytes of plain values.
template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

struct TensorBytes {
  std::string type;  // as safetensors calls it
  Shape shape;
  std::string bytes;
  bool operator==(const TensorBytes& o) const { return type == o.type && shape == o.shape && bytes == o.bytes; }
  friend std::ostream& operator<<(std::ostream& out, const TensorBytes& t) {
    return out << t.type << ' ' << t.shape.text();
  }
};

/// A folder of one safetensors file.
struct FolderBuilder {
  std::map<std::string, TensorBytes> tensors;
  std::string config = "{}";

  template <class T>
  FolderBuilder& add(const std::string& name, const std::string& type, const Shape& shape,
                     const std::vector<T>& values) {
    tensors[name] = {type, shape, bytes_of(values)};
    return *this;
  }
  std::string write(const Scratch& scratch, const std::string& folder) const {
    std::string header = "{", data;
    for (const auto& [name, t] : tensors) {
      header += fmt::format(R"({}"{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", data.empty() ? "" : ",",
                            name, t.type, t.shape.text(), data.size(), data.size() + t.bytes.size());
      data += t.bytes;
    }
    scratch.write(folder + "/config.json", config);
    scratch.write(folder + "/model.safetensors", safetensors_bytes(header + "}", 0) + data);
    return scratch.path(folder);
  }
};

/// A GGUF file of tensors (type by ggml's number) in this order.
struct GgufTensorBytes {
  std::string name;
  uint32_t type;
  Shape shape;
  std::string bytes;
};
inline std::string gguf_bytes(GgufBuilder builder, const std::vector<GgufTensorBytes>& tensors) {
  std::string data;
  for (const GgufTensorBytes& t : tensors) {
    std::vector<uint64_t> ne;
    for (int i = t.shape.rank - 1; i >= 0; --i) ne.push_back(static_cast<uint64_t>(t.shape[i]));
    builder.tensor(t.name, ne, t.type, data.size());
    data += t.bytes;
    data.resize((data.size() + 31) / 32 * 32, '\0');
  }
  std::string file = builder.header();
  file.resize((file.size() + 31) / 32 * 32, '\0');
  return file + data;
}

}  // namespace godwit
