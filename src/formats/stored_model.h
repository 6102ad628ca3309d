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

/// Bytes that become weights only together with scales: codes of FP8 or MXFP4.
enum class CodeType : uint8_t { kU8, kF8_E4M3 };
struct StoredCodes {
  CodeType type;
  Shape shape;  // one byte an element
  int32_t file = 0;
  uint64_t offset = 0;  // as a StoredTensor's
};
inline const char* name(CodeType type) { return type == CodeType::kU8 ? "U8" : "F8_E4M3"; }

struct StoredModel {
  Container container = Container::kGguf;
  std::string path;  // as the user named it
  std::vector<InputFile> files;
  std::vector<StoredTensor> tensors;         // names are unique
  std::map<std::string, int32_t> by_name;    // ordered: a hash table's time is for the file to choose
  std::map<std::string, StoredCodes> codes;  // of safetensors files; names that `tensors` has not
  // Of a safetensors file, what cannot be a weight: by name, what it is: "F8_E5M2", "F32 of rank 5".
  std::map<std::string, std::string> other_dtypes;
  Config config;            // GGUF: all metadata. Hugging Face: empty, the architecture translates config_json
  std::string config_json;  // Hugging Face: text of config.json, already checked (depth, size, an object)
  // Of config.json's quantization_config: "", "mxfp4" or "fp8"; and of what block of weights an FP8 scale is.
  std::string quant_method;
  int64_t fp8_block_rows = 128, fp8_block_columns = 128;
  // GGUF: blocks that follow the block_count that the architecture sees, for predicting further tokens: ignored.
  int64_t prediction_layers = 0;

  const StoredTensor* find(const std::string& name) const {
    auto it = by_name.find(name);
    return it == by_name.end() ? nullptr : &tensors[static_cast<size_t>(it->second)];
  }
};

}  // namespace godwit
