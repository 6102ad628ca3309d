// Where a container keeps a parameter that is not one tensor of the same rows: a StoredAs of the architecture's table,
// held against the tensors of a file.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/stored_rows.h"
#include "formats/tensor_names.h"

namespace godwit {

/// A parameter as a stack of matrices.
struct StackShape {
  int64_t slices, rows, width;  // [S, n, k]
  bool is_bias;                 // k is 1: rows are elements
};
/// [S, n, k]; [n, k] is one matrix; of a ".bias", [S, n] is a stack of vectors and [n] one.
StackShape stack_shape(const std::string& name, const Shape& shape);

/// Of `n` items picked from `of`, where item i lies.
int64_t picked(Pick pick, int64_t i, int64_t n, int64_t of);

/// "mlp.experts.{}.up_proj.weight" of slice 3; names without "{}" stay.
std::string slice_name(const std::string& name, int64_t slice);

class Placement {
 public:
  /// Where a parameter of this shape lies when `form`, its names preceded by `prefix`, is how it is stored; nothing
  /// when the model has none of its tensors. Throws Error (kInvalid) naming the tensor when some are missing or of
  /// another shape; `checked`: all slices' have been checked before.
  static std::optional<Placement> find(const StoredModel& model, const StoredAs& form, const std::string& prefix,
                                       const StackShape& wanted, bool checked);

  DType type() const;                                  // of what read() gives
  bool is_decoded() const;                             // nothing computes in the file's form, or its blocks lie across
  bool by_slice() const { return form_->transposed; }  // read() costs as much for one row as for a slice

  /// Rows [first, first + n) of one slice to `out`. A transposed slice is read a piece at a time, but whole.
  void read(int64_t slice, int64_t first, int64_t n, std::byte* out) const;
  /// All slices mapped from the file; null when they do not lie there as read() gives them.
  const std::byte* mapped() const;

  /// How much of each tensor the parameter takes; tensors of scales count as taken whole.
  struct Share {
    int64_t taken, of;  // rows of a slice, or columns
    std::string whole;  // the shape that the tensor would have if that were all of it
    std::string shape;  // the tensor's
  };
  void add_shares(std::map<std::string, Share>& shares) const;

 private:
  Placement(const StoredModel& model, const StoredAs& form, std::string name, const StackShape& wanted, StoredRows rows)
      : model_(&model), form_(&form), name_(std::move(name)), wanted_(wanted), rows_(std::move(rows)) {}
  StoredRows rows_of(int64_t slice) const;
  bool measure();
  bool fits();
  void check_slices() const;
  std::string expected(const std::string& side) const;
  [[noreturn]] void refuse_shape(const StoredRows& rows) const;
  void read_transposed(const StoredRows& rows, int64_t begin, int64_t first, int64_t n, std::byte* out) const;

  const StoredModel* model_;
  const StoredAs* form_;
  std::string name_;  // with "{}"
  StackShape wanted_;
  StoredRows rows_;                 // of the stack, or of slice 0
  int64_t height_ = 0, width_ = 0;  // of a slice as stored
  bool picks_columns_ = false;
};

}  // namespace godwit
