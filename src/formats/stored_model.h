// A model as it lies on disk, validated and unread: files, tensors with their places, and what the container says of
// the model. The only way to get one is through a reader that checks every field (gguf.h, hf_folder.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/config.h"
#include "tensor/tensor.h"

namespace godwit {

enum class Container { kGguf, kHuggingFace };

struct StoredTensor {
  std::string name;     // as in the file
  DType dtype;          // a file type
  Shape shape;          // outermost first (GGUF's ne reversed)
  int32_t file = 0;     // which of the files
  uint64_t offset = 0;  // absolute, in that file; offset + bytes <= its size
  uint64_t bytes = 0;   // equals matrix_bytes of shape and type
};

struct StoredModel {
  Container container = Container::kGguf;
  std::string path;  // as the user named it
  std::vector<InputFile> files;
  std::vector<StoredTensor> tensors;       // names are unique
  std::map<std::string, int32_t> by_name;  // ordered: a hash table's time is for the file to choose
  // Of a safetensors file, what cannot be a weight: by name, what it is: "F8_E4M3", "F32 of rank 5".
  std::map<std::string, std::string> other_dtypes;
  Config config;            // GGUF: all metadata. Hugging Face: empty, the architecture translates config_json
  std::string config_json;  // Hugging Face: text of config.json, already checked (depth, size, an object)

  const StoredTensor* find(const std::string& name) const {
    auto it = by_name.find(name);
    return it == by_name.end() ? nullptr : &tensors[static_cast<size_t>(it->second)];
  }
};

}  // namespace godwit
