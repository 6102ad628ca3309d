// GGUF v2 and v3: reading and writing. Source: ggml's docs/gguf.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formats/stored_model.h"

namespace godwit {

/// Opens a GGUF file (the first part of a split one opens all) and checks everything but tensor data. Throws Error
/// (kInvalid) naming file, key or tensor, offset, expected and got. Limits: docs/formats.md.
StoredModel open_gguf(const std::string& path);

/// The header of one file given as bytes: what the fuzz target calls. `file_size` is what tensors must fit in.
void parse_gguf_header(const std::byte* bytes, size_t size, uint64_t file_size, const std::string& source,
                       StoredModel& model);

/// One tensor to be written. `fill` is called once, in order, and must pass exactly matrix_bytes to `write`.
struct TensorToWrite {
  std::string name;
  DType dtype;
  Shape shape;  // outermost first
  std::function<void(const std::function<void(const std::byte*, size_t)>& write)> fill;
};

/// Writes a GGUF v3 file, whole or not at all: config.architecture first, then config.values in order, without the keys
/// that describe a file's layout (general.alignment, split.*). Types are those that llama.cpp asks for: integers u32
/// (else i32, i64, u64), reals f32, arrays of i32 (else i64), f32, bool or string. progress (may be empty) gets the
/// bytes of tensor data written so far and in all. Throws Error: kFailed when writing fails, kInvalid for a name over
/// 63 bytes.
void write_gguf(const std::string& path, const Config& config, const std::vector<TensorToWrite>& tensors,
                const std::function<void(int64_t, int64_t)>& progress);

}  // namespace godwit
