// Saving as a Hugging Face folder.
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/text.h"
#include "formats/safetensors.h"
#include "models/parameter_stream.h"
#include "models/save.h"
#include "models/save_forms.h"

namespace godwit {
namespace {

bool in_safetensors(DType type) { return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16; }

const char* torch_name(DType type) {
  return type == DType::kF32 ? "float32" : type == DType::kBF16 ? "bfloat16" : "float16";
}

}  // namespace

HfPlan plan_hf(const OpenModel& m, std::optional<DType> type) {
  if (type && !in_safetensors(*type))
    fail(ErrorKind::kUsage, "--type {}: a Hugging Face folder holds f32, f16 or bf16; for others name OUT .gguf",
         name(*type));
  HfPlan plan;
  std::optional<DType> rounded;
  FormWriter forms(m.architecture->names);
  for (const Parameter& p : m.weights->parameters()) {
    ParameterStream stream = stream_of(m, p, DType::kF16);
    if (in_safetensors(stream.info.dtype)) stream.to = stream.info.dtype;
    if (type && !kept_in_f32(p.name, p.tensor.shape)) stream.to = *type;
    if (!type && !in_safetensors(stream.info.dtype)) rounded = stream.info.dtype;
    const TensorName* entry = find_name(m.architecture->names, split_gguf_name(p.name));
    CHECK(entry != nullptr, "parameter {} has no Hugging Face name", p.name);
    if (entry->transform != Transform::kNone) {
      stream.transform = entry->transform;
      stream.permuted_heads = permuted_heads(*entry, m.config);
    }
    if (entry->hf.empty()) {
      forms.add(*entry, stream);
      continue;
    }
    plan.tensors.push_back(to_write(*hf_name(m.architecture->names, p.name), stream));
    const Shape shape = stream.info.shape;
    if (entry->hf_row) plan.tensors.back().shape = shape.rank == 1 ? Shape{1, shape[0]} : Shape{shape[0], 1, shape[1]};
    if (entry->hf_flat) plan.tensors.back().shape = {shape.count()};
  }
  forms.move_to(plan.tensors);
  if (rounded)
    plan.warnings.push_back(
        fmt::format("quantized tensors ({}) become F16; --type f32 or bf16 for others", name(*rounded)));
  plan.config = Json::object();
  Config config = m.config;
  // A GGUF file says that the embedding is the head by having no other.
  if (!config.has("tie_embeddings")) {
    const auto& all = m.weights->parameters();
    config.set("tie_embeddings",
               std::none_of(all.begin(), all.end(), [](const Parameter& p) { return p.name == "output.weight"; }));
  }
  m.architecture->to_hf(config, plan.config);
  plan.config["dtype"] = torch_name(plan.main_type());
  return plan;
}

void write_hf_folder(const std::string& path, const HfPlan& plan,
                     const std::function<void(int64_t, int64_t)>& progress) {
  namespace fs = std::filesystem;
  fs::path target(path);
  if (!target.has_filename()) target = target.parent_path();  // "out/"
  const fs::path partial = target.string() + fmt::format(".{}.partial", ::getpid());
  std::error_code error;
  if (!fs::create_directory(partial, error))
    fail(ErrorKind::kFailed, "{}: cannot make the folder: {}", printable_path(partial.string()),
         error ? error.message() : "it exists");
  try {
    const auto text = [&](const std::string& name, const std::string& contents) {
      OutputFile file((partial / name).string());
      file.write(contents);
      file.commit();
    };
    write_safetensors((partial / "model.safetensors").string(), plan.tensors, progress);
    for (const auto& [name, contents] : plan.files) text(name, contents);
    text("config.json", plan.config.dump(2) + "\n");
    fs::rename(partial, target, error);
    if (error) fail(ErrorKind::kFailed, "{}: cannot rename to it: {}", printable_path(path), error.message());
  } catch (...) {
    fs::remove_all(partial, error);
    throw;
  }
}

}  // namespace godwit
