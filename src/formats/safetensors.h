// safetensors: reading (one file or sharded) and writing. Source: huggingface/safetensors, README.md.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"  // TensorToWrite
#include "formats/stored_model.h"

namespace godwit {

/// Adds one safetensors file and its tensors to `model`. Throws Error (kInvalid) naming file, tensor, expected and got.
/// F32, F16 and BF16 of at most 4 sizes are weights, U8 and F8_E4M3 of at most 4 are codes; the format's other types
/// and up to 8 sizes are checked like them and go to other_dtypes. Stricter than the reference reader: no unknown
/// fields, no duplicate keys, names up to 1 KiB.
void open_safetensors(const std::string& path, StoredModel& model);

/// The header given as bytes (after the 8-byte length): what the fuzz target calls. `data_size` bytes follow it at
/// data_start of model.files[file], and the tensors must tile them.
void parse_safetensors_header(std::string_view json, uint64_t data_size, const std::string& source, int32_t file,
                              uint64_t data_start, StoredModel& model);

/// Writes a safetensors file (metadata {"format": "pt"}), whole or not at all. Types: F32, F16, BF16. The 4-byte
/// tensors come first, so that all are aligned; else the order is kept, and `fill` is called in the order of the file.
/// progress (may be empty) gets the data bytes written so far and in all.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::function<void(int64_t, int64_t)>& progress);

}  // namespace godwit
