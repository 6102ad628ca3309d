// safetensors: reading (one file or sharded) and writing. Source: huggingface/safetensors, README.md.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "formats/gguf.h"  // TensorToWrite
#include "formats/stored_model.h"

namespace godwit {

/// Adds one safetensors file and its tensors to `model`. Throws Error (kInvalid) naming file, tensor, expected and got.
/// Types: F32, F16, BF16 are weights; any other dtype is kept out of `tensors` but remembered so that asking for such a
/// tensor can name its type (see unsupported_dtype).
void open_safetensors(const std::string& path, StoredModel& model);

/// The header given as bytes (after the 8-byte length): what the fuzz target calls.
void parse_safetensors_header(std::string_view json, uint64_t data_size, const std::string& source, int32_t file,
                              uint64_t data_start, StoredModel& model);

/// Writes a safetensors file (metadata {"format": "pt"}), whole or not at all. Also for `godwit logits`.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::function<void(int64_t, int64_t)>& progress);

}  // namespace godwit
