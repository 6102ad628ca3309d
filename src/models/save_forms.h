// Parameters that a Hugging Face folder keeps in other tensors than one of the same rows (StoredAs).
#pragma once

#include <string>
#include <vector>

#include "models/parameter_stream.h"

namespace godwit {

/// Collects such parameters, and composes the tensors that they are parts of: one for each expert, stacks, gate and up
/// as one, transposed ones, kv_b of k_b and v_b. A tensor whose parts are of several types is F32.
class FormWriter {
 public:
  explicit FormWriter(const TensorNames& names) : names_(names) {}

  /// A parameter of an entry that has forms only; `stream` gives it in the type to be written.
  void add(const TensorName& entry, const ParameterStream& stream);

  /// Appends what is to be written. Throws Bug when a tensor lacks a part.
  void move_to(std::vector<TensorToWrite>& tensors);

 private:
  struct Part {
    ParameterStream stream;
    StoredAs form;
    int64_t slice;  // the only one of it, or -1: all
  };
  struct Whole {
    std::string name;
    std::vector<Part> parts;
  };
  Whole& whole(const std::string& name);
  static TensorToWrite composed(const Whole& whole);

  const TensorNames& names_;
  std::vector<Whole> wholes_;                    // in the order of their first parts
  std::map<std::string, size_t> whole_numbers_;  // by name
};

}  // namespace godwit
