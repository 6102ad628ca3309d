// Where parameters come from: a GGUF file, a Hugging Face folder, or a seed. All give them under GGUF names, in GGUF's
// row order, and in the form in which they are trained.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/stored_model.h"
#include "formats/tensor_names.h"
#include "tensor/tensor.h"

namespace godwit {

class WeightSource {
 public:
  struct Info {
    DType dtype;  // a file type
    Shape shape;
    bool by_slice = false;  // a row of a stack costs as much to read as its slice: best read slice by slice
  };
  struct Wanted {
    std::string name;
    Shape shape;
  };
  virtual ~WeightSource() = default;
  /// Nothing when there is no such parameter. A random source has just what is `required`, in the `expected` shape.
  virtual std::optional<Info> find(const std::string& name, const Shape& expected, bool required) const = 0;
  /// Rows [first, first + n) in the type and shape that find gave; 1-D parameters are one row. Thread-safe.
  virtual void read_rows(const std::string& name, const Info& info, int64_t first, int64_t n, std::byte* out) const = 0;
  /// The parameter's bytes mapped from its file, or null when it must be read.
  virtual const std::byte* mapped(const std::string& /*name*/, const Info&) const { return nullptr; }
  /// Names (as the file has them) of what no parameter of `used` is made from. Throws Error (kInvalid) naming a tensor
  /// of which a part is left.
  virtual std::vector<std::string> unused(const std::vector<Wanted>& used) const = 0;
};

/// A file or folder seen through an architecture's table. `config` gives head counts; both outlive the source. What
/// must be decoded gets `decoded_type` (LoadOptions).
std::unique_ptr<WeightSource> stored_source(const StoredModel& model, const Config& config, const TensorNames& names,
                                            std::optional<DType> decoded_type = {});

/// Normal values of deviation 0.02 (gains: 1, or 0 where they are offsets; biases: 0) from a seed and the name;
/// matrices in `type`, F16 where rows do not divide by its block, small parameters F32.
std::unique_ptr<WeightSource> random_source(uint64_t seed, DType type, bool gains_are_offsets);

}  // namespace godwit
