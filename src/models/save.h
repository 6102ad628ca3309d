// Saving a model in either container: what goes into the file is planned first, then streamed. No tensor is ever in
// memory as a whole, but for 1-D ones; of stacks that are transposed or composed, one matrix is (one expert, one head).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/gguf.h"
#include "models/open.h"

namespace godwit {

/// What a saved model consists of. The tensors read from the OpenModel, which must outlive the plan.
struct SavePlan {
  std::vector<TensorToWrite> tensors;
  std::vector<std::string> warnings;  // one line each: what the target cannot say, or what is rounded

  int64_t bytes() const;    // of tensor data, without padding
  DType main_type() const;  // the one that most bytes have
};

struct GgufPlan : SavePlan {
  Config config;
};

struct HfPlan : SavePlan {
  Json config;                               // config.json, with the keys of transformers 5
  std::map<std::string, std::string> files;  // further files of the folder: name to contents
};

/// A GGUF file of this model: matrices in `type` (F16 where rows do not divide by its block), or each in its own type;
/// 1-D and other small parameters in F32. A tensor that keeps its type keeps its bits. From GGUF all metadata is kept;
/// from Hugging Face there is no tokenizer (tokenizer.ggml.model is "none") until the caller sets one. Warnings name
/// what llama.cpp does not do as this model does. Throws Bug unless can_encode(type) or it is kept.
GgufPlan plan_gguf(const OpenModel& model, std::optional<DType> type);

/// A Hugging Face folder of this model: matrices in `type` (F32, F16 or BF16), or each in its own type, F16 where that
/// is quantized; small parameters keep theirs. Throws Error (kUsage) for another type.
HfPlan plan_hf(const OpenModel& model, std::optional<DType> type);

/// Writes a planned folder, whole or not at all: config.json, model.safetensors and the further files go to a folder
/// beside it that is renamed at the end. `path` must be absent or an empty folder. progress(done, all) gets bytes and
/// may be empty. Throws Error (kFailed).
void write_hf_folder(const std::string& path, const HfPlan& plan,
                     const std::function<void(int64_t, int64_t)>& progress);

}  // namespace godwit
