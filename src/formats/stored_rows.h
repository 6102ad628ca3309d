// Rows of a tensor of a file, in a type that the engine knows, however the container writes it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/stored_model.h"

namespace godwit {

/// The rows of one tensor as they lie; of FP8 codes with their scales (`name` + "_scale_inv"), decoded to F32: value
/// times scale of its block, rounded once; of MXFP4 codes and scales (`name` + "_blocks", "_scales") as blocks of
/// DType::kMXFP4. Sources: DeepSeek-V3 Technical Report (2024), section 3.3; OCP Microscaling Formats v1.0.
class StoredRows {
 public:
  /// Nothing when the model has no such tensor. Throws Error (kInvalid) naming the tensor when its scales are missing
  /// or of another shape, or when config.json does not say that there are such codes.
  static std::optional<StoredRows> find(const StoredModel& model, const std::string& name, bool mxfp4 = false);

  const std::string& name() const { return name_; }  // as a file has it
  DType type() const;                                // of what read() gives
  bool is_decoded() const { return codes_ != nullptr && scales_ != nullptr; }
  const Shape& shape() const { return shape_; }  // outermost first, in elements
  std::vector<std::string> names() const;        // of all tensors that belong to it

  /// Rows [first, first + n), the tensor being cut into rows of `width` elements (of codes: its own), to `out`.
  /// Thread-safe. Throws Error (kInvalid) naming the tensor at codes and scales that are no numbers.
  void read(int64_t first, int64_t n, int64_t width, std::byte* out) const;

  /// What read() would give from the first row on, mapped from the file; null when it does not lie there so.
  const std::byte* mapped() const;

 private:
  StoredRows(const StoredModel& model, std::string name) : model_(&model), name_(std::move(name)) {}
  void take_fp8();
  void take_mxfp4();
  void read_codes(const StoredCodes& codes, int64_t first, int64_t n, std::byte* out) const;
  std::vector<float> read_scales(int64_t first, int64_t n) const;
  void read_fp8(int64_t first, int64_t n, float* out) const;
  void read_mxfp4(int64_t first, int64_t n, std::byte* out) const;
  template <class... Args>
  [[noreturn]] void refuse(const std::string& tensor, fmt::format_string<Args...> format, Args&&... args) const;

  const StoredModel* model_;
  std::string name_;
  Shape shape_;
  const StoredTensor* plain_ = nullptr;
  const StoredCodes* codes_ = nullptr;
  const StoredTensor* scales_ = nullptr;        // FP8
  const StoredCodes* exponents_ = nullptr;      // MXFP4
  int64_t block_rows_ = 0, block_columns_ = 0;  // FP8: of a scale, within a matrix of the stack
};

}  // namespace godwit
