// Weights: every parameter of a model once, by name. Building a model asks for them by name and shape, which gives
// their places and sizes; load() fills them. Load, save, quantize and count walk the same list.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/thread_pool.h"
#include "formats/weight_source.h"
#include "tensor/tensor.h"

namespace godwit {

struct Parameter {
  std::string name;       // "blk.3.attn_q.weight"
  Tensor tensor;          // as laid out: type (perhaps packed), shape, address
  DType file_type;        // as the source gives it
  bool by_slice = false;  // WeightSource::Info
  WeightSource::Info info() const { return {file_type, tensor.shape, by_slice}; }
};

struct LoadOptions {
  bool repack = true;  // false: quantized matrices stay as the file has them, mapped where possible
  /// The type of matrices that are decoded at load, as nothing computes in the file's form (FP8; quantized matrices
  /// that must be transposed): one of can_encode, F16 where rows do not divide by its block; nothing: F32.
  std::optional<DType> decoded_type = {};
};

class Scope;

class Weights {
 public:
  Weights(std::unique_ptr<WeightSource> source, LoadOptions options);
  ~Weights();
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  /// A parameter of this shape. Throws Error (kInvalid) naming it when the source lacks it or has another shape. Its
  /// memory is reserved, not filled. Asking twice gives the same tensor.
  Tensor get(const std::string& name, Shape shape);
  /// As get, or an empty tensor when the source lacks it.
  Tensor find(const std::string& name, Shape shape);
  Scope root();
  Scope block(int64_t i);

  /// Throws Error (kInvalid) naming the first tensor of the file that nothing asked for: what is not understood is not
  /// run.
  void check_all_used() const;

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const WeightSource& source() const { return *source_; }
  int64_t count() const;       // parameters, elements
  int64_t bytes() const;       // as laid out
  int64_t file_bytes() const;  // as the source has them
  /// Of bytes(): those that are read where the file is mapped, so the system may drop them from memory at any time.
  int64_t mapped_bytes() const;
  /// The memory that they lie in, as the stretches that parameters fill side by side (but for padding).
  std::vector<std::span<const std::byte>> stretches() const;

  /// Reads, widens and repacks everything, on all threads. progress(done, all) gets bytes, from the calling thread.
  void load(ThreadPool& pool, const std::function<void(int64_t, int64_t)>& progress);

 private:
  struct Memory;  // reserved address space
  Tensor place(const std::string& name, Shape shape, bool required);
  std::byte* reserve(int64_t bytes);
  bool is_mapped(const Parameter& parameter) const;
  void load_range(const Parameter& parameter, int64_t slice, int64_t first, int64_t n) const;

  std::unique_ptr<WeightSource> source_;
  LoadOptions options_;
  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, size_t> by_name_;
  std::unique_ptr<Memory> memory_;
};

/// A prefix of names: what a block is built from.
class Scope {
 public:
  Scope(Weights& weights, std::string prefix) : weights_(weights), prefix_(std::move(prefix)) {}
  Tensor get(const std::string& name, Shape shape) const { return weights_.get(prefix_ + name, shape); }
  Tensor find(const std::string& name, Shape shape) const { return weights_.find(prefix_ + name, shape); }
  std::string full_name(const std::string& name) const { return prefix_ + name; }

 private:
  Weights& weights_;
  std::string prefix_;
};

/// Whether GGUF converters keep this parameter in F32 (1-D, norms, biases, routers and other small ones): it is widened
/// to F32 from any container. Source: llama.cpp's converters.
bool kept_in_f32(const std::string& name, const Shape& shape);

}  // namespace godwit
