#include "models/save.h"

#include <unistd.h>
#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/text.h"
#include "formats/safetensors.h"
#include "models/llama_cpp.h"
#include "tensor/decode.h"
#include "tensor/encode.h"

namespace godwit {
namespace {

constexpr int64_t kChunkBytes = int64_t{1} << 20;

using Write = std::function<void(const std::byte*, size_t)>;

bool in_safetensors(DType type) { return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16; }

// One parameter on its way from the source to a container.
struct ParameterStream {
  const OpenModel* model;
  std::string name;
  WeightSource::Info info;  // as the source gives it
  DType to;
  int64_t permuted_heads = 0;  // not 0: rows go to Hugging Face's order, head by head
  Transform transform = Transform::kNone;
  float add = 0.0f;
  bool raw = false;  // the stored tensor as it is: already in the target's form

  void read(int64_t first, int64_t n, int64_t row_bytes, std::byte* out) const {
    if (!raw) {
      model->weights->source().read_rows(name, info, first, n, out);
      return;
    }
    const StoredTensor& t = *model->stored.find(name);
    model->stored.files[static_cast<size_t>(t.file)].read_at(t.offset + static_cast<uint64_t>(first * row_bytes),
                                                             {out, static_cast<size_t>(n * row_bytes)});
  }

  void fill(const Write& write) const {
    const bool vector = info.shape.rank <= 1;
    const int64_t width = info.shape.rank == 0 ? 1 : info.shape[-1];
    const int64_t rows = vector ? 1 : info.shape.count() / std::max<int64_t>(1, width);
    const int64_t row_bytes = matrix_bytes(info.dtype, 1, width);
    // Whole heads when they are permuted.
    const int64_t step = permuted_heads > 0 && !vector
                             ? rows / permuted_heads
                             : std::max<int64_t>(1, kChunkBytes / std::max<int64_t>(1, row_bytes));
    std::vector<std::byte> bytes, ordered;
    for (int64_t first = 0; first < rows; first += step) {
      const int64_t n = std::min(step, rows - first);
      bytes.resize(static_cast<size_t>(n * row_bytes));
      read(first, n, row_bytes, bytes.data());
      if (permuted_heads > 0) {
        ordered.resize(bytes.size());
        // A vector's elements are its rows.
        const int64_t items = vector ? width : n, heads = vector ? permuted_heads : 1;
        const auto item = bytes.size() / static_cast<size_t>(items);
        for (int64_t i = 0; i < items; ++i)
          std::memcpy(ordered.data() + static_cast<size_t>(i) * item,
                      bytes.data() + static_cast<size_t>(gguf_row(transform, i, items, heads)) * item, item);
        bytes.swap(ordered);
      }
      pass_on(bytes, n, width, row_bytes, write);
    }
  }

  void pass_on(const std::vector<std::byte>& bytes, int64_t n, int64_t width, int64_t row_bytes,
               const Write& write) const {
    if (to == info.dtype && add == 0.0f) {
      write(bytes.data(), bytes.size());
      return;
    }
    std::vector<float> values(static_cast<size_t>(width));
    const int64_t to_bytes = matrix_bytes(to, 1, width);
    std::vector<std::byte> out(static_cast<size_t>(n * to_bytes));
    for (int64_t r = 0; r < n; ++r) {
      decode_row(info.dtype, bytes.data() + r * row_bytes, values.data(), width);
      if (add != 0.0f)
        for (float& v : values) v += add;
      encode_row(to, values.data(), out.data() + r * to_bytes, width);
    }
    write(out.data(), out.size());
  }
};

ParameterStream stream_of(const OpenModel& m, const Parameter& p, DType to) {
  const auto info = m.weights->source().find(p.name, p.tensor.shape, true);
  CHECK(info.has_value(), "parameter {} has no source", p.name);
  return {.model = &m, .name = p.name, .info = *info, .to = to};
}

TensorToWrite to_write(const std::string& name, const ParameterStream& stream) {
  return {name, stream.to, stream.info.shape, [stream](const Write& write) { stream.fill(write); }};
}

DType fitting(DType wanted, const Shape& shape) { return shape[-1] % info(wanted).block == 0 ? wanted : DType::kF16; }

// The type that most bytes have.
DType main_type(const SavePlan& plan) {
  std::map<DType, int64_t> bytes;
  for (const TensorToWrite& t : plan.tensors)
    bytes[t.dtype] += matrix_bytes(t.dtype, t.shape.count() / t.shape[-1], t.shape[-1]);
  DType best = DType::kF32;
  for (const auto& [type, n] : bytes)
    if (n > bytes[best]) best = type;
  return best;
}

// general.file_type: a label. Source: llama.h, llama_ftype.
std::optional<int64_t> file_type_number(DType type) {
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ8_0:
      return 7;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kBF16:
      return 32;
    default:
      return std::nullopt;
  }
}

// Rotary factors are configuration to us and tensors to GGUF.
void move_rope_factors(GgufPlan& plan) {
  constexpr std::pair<const char*, const char*> kLists[] = {
      {"rope.scaling.factors", "rope_freqs.weight"},
      {"rope.scaling.factors_long", "rope_factors_long.weight"},
      {"rope.scaling.factors_short", "rope_factors_short.weight"}};
  for (const auto& [key, tensor] : kLists) {
    const auto list = plan.config.reals(key);
    if (!list) continue;
    plan.config.values.erase(plan.config.full_key(key));
    const std::vector<float> values(list->begin(), list->end());
    plan.tensors.push_back({tensor, DType::kF32, {static_cast<int64_t>(values.size())}, [values](const Write& write) {
                              write(reinterpret_cast<const std::byte*>(values.data()), 4 * values.size());
                            }});
  }
}

const char* torch_name(DType type) {
  return type == DType::kF32 ? "float32" : type == DType::kBF16 ? "bfloat16" : "float16";
}

}  // namespace

int64_t SavePlan::bytes() const {
  int64_t n = 0;
  for (const TensorToWrite& t : tensors) n += matrix_bytes(t.dtype, t.shape.count() / t.shape[-1], t.shape[-1]);
  return n;
}

GgufPlan plan_gguf(const OpenModel& m, std::optional<DType> type) {
  GgufPlan plan;
  plan.config = m.config;
  const bool from_gguf = m.stored.container == Container::kGguf && !m.stored.files.empty();
  move_rope_factors(plan);
  for (const Parameter& p : m.weights->parameters()) {
    const bool small = kept_in_f32(p.name, p.tensor.shape);
    ParameterStream stream = stream_of(m, p, DType::kF32);
    if (!small) stream.to = type ? fitting(*type, p.tensor.shape) : stream.info.dtype;
    const TensorName* entry = find_name(m.architecture->names, split_gguf_name(p.name));
    if (entry != nullptr && entry->gguf_plus_one) {
      stream.raw = from_gguf;
      if (from_gguf) stream.info.dtype = m.stored.find(p.name)->dtype;
      stream.add = from_gguf ? 0.0f : 1.0f;
    }
    plan.tensors.push_back(to_write(p.name, stream));
  }
  if (type || !plan.config.has("general.file_type")) {
    const auto number = file_type_number(type.value_or(main_type(plan)));
    if (number) plan.config.set("general.file_type", *number);
  }
  for (const TensorToWrite& t : plan.tensors)
    if (is_quantized(t.dtype)) plan.config.set("general.quantization_version", int64_t{2});
  if (!plan.config.has("tokenizer.ggml.model")) plan.config.set("tokenizer.ggml.model", std::string("none"));
  for_llama_cpp(plan.config, plan.warnings);
  return plan;
}

HfPlan plan_hf(const OpenModel& m, std::optional<DType> type) {
  if (type && !in_safetensors(*type))
    fail(ErrorKind::kUsage, "--type {}: a Hugging Face folder holds f32, f16 or bf16; for others name OUT .gguf",
         name(*type));
  HfPlan plan;
  std::optional<DType> rounded;
  for (const Parameter& p : m.weights->parameters()) {
    ParameterStream stream = stream_of(m, p, DType::kF16);
    if (in_safetensors(stream.info.dtype)) stream.to = stream.info.dtype;
    if (type && !kept_in_f32(p.name, p.tensor.shape)) stream.to = *type;
    if (!type && !in_safetensors(stream.info.dtype)) rounded = stream.info.dtype;
    const TensorName* entry = find_name(m.architecture->names, split_gguf_name(p.name));
    CHECK(entry != nullptr, "parameter {} has no Hugging Face name", p.name);
    if (entry->transform != Transform::kNone) {
      stream.transform = entry->transform;
      stream.permuted_heads = m.config.integer(entry->heads);
    }
    plan.tensors.push_back(to_write(*hf_name(m.architecture->names, p.name), stream));
  }
  if (rounded)
    plan.warnings.push_back(
        fmt::format("quantized tensors ({}) become F16; --type f32 or bf16 for others", name(*rounded)));
  plan.config = Json::object();
  m.architecture->to_hf(m.config, plan.config);
  plan.config["dtype"] = torch_name(main_type(plan));
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
