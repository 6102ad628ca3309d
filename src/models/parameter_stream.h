// One parameter on its way from the source to a container, a chunk of rows at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "models/save.h"

namespace godwit {

struct ParameterStream {
  const OpenModel* model;
  std::string name;
  WeightSource::Info info;  // as the source gives it
  DType to;
  int64_t permuted_heads = 0;  // not 0: rows go to Hugging Face's order, head by head
  Transform transform = Transform::kNone;
  float add = 0.0f;
  bool minus_exp = false;                         // -exp of the values
  std::function<float(int64_t row)> factor = {};  // of each row, of a vector's elements
  bool raw = false;                               // the stored tensor as it is: already in the target's form

  using Write = std::function<void(const std::byte*, size_t)>;
  /// Gives all rows to `write`, in the target's type and order.
  void fill(const Write& write) const;
  /// The rows of one matrix of a stack (StackShape) in the target's type.
  std::vector<std::byte> slice(int64_t index) const;

  void fill_rows(int64_t begin, int64_t end, const Write& write) const;
  void read(int64_t first, int64_t n, int64_t row_bytes, std::byte* out) const;
  void pass_on(const std::vector<std::byte>& bytes, int64_t first, int64_t n, int64_t width, int64_t row_bytes,
               const Write& write) const;
  void change(int64_t row, std::vector<float>& values) const;
};

/// The stream of a parameter as the source has it, to be written as `to`.
ParameterStream stream_of(const OpenModel& model, const Parameter& parameter, DType to);

/// What a writer is given for it.
TensorToWrite to_write(const std::string& name, const ParameterStream& stream);

}  // namespace godwit
