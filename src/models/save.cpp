#include "models/save.h"

#include "models/llama_cpp.h"
#include "models/parameter_stream.h"

namespace godwit {
namespace {

DType fitting(DType wanted, const Shape& shape) { return shape[-1] % info(wanted).block == 0 ? wanted : DType::kF16; }

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
    plan.tensors.push_back(
        {tensor, DType::kF32, {static_cast<int64_t>(values.size())}, [values](const ParameterStream::Write& write) {
           write(reinterpret_cast<const std::byte*>(values.data()), 4 * values.size());
         }});
  }
}

}  // namespace

int64_t SavePlan::bytes() const {
  int64_t n = 0;
  for (const TensorToWrite& t : tensors) n += matrix_bytes(t.dtype, t.shape.count() / t.shape[-1], t.shape[-1]);
  return n;
}

DType SavePlan::main_type() const {
  std::map<DType, int64_t> bytes;
  for (const TensorToWrite& t : tensors)
    bytes[t.dtype] += matrix_bytes(t.dtype, t.shape.count() / t.shape[-1], t.shape[-1]);
  DType best = DType::kF32;
  for (const auto& [type, n] : bytes)
    if (n > bytes[best]) best = type;
  return best;
}

GgufPlan plan_gguf(const OpenModel& m, std::optional<DType> type) {
  GgufPlan plan;
  plan.config = m.config;
  const RowFactors factors = m.architecture->bake != nullptr ? m.architecture->bake(plan.config) : RowFactors();
  const bool from_gguf = m.stored.container == Container::kGguf && !m.stored.files.empty();
  move_rope_factors(plan);
  for (const Parameter& p : m.weights->parameters()) {
    const bool small = kept_in_f32(p.name, p.tensor.shape);
    ParameterStream stream = stream_of(m, p, DType::kF32);
    if (!small) stream.to = type ? fitting(*type, p.tensor.shape) : stream.info.dtype;
    const TensorName* entry = find_name(m.architecture->names, split_gguf_name(p.name));
    if (entry != nullptr && (entry->gguf_plus_one || entry->gguf_minus_exp)) {
      stream.raw = from_gguf;
      if (from_gguf) stream.info.dtype = m.stored.find(p.name)->dtype;
      stream.add = entry->gguf_plus_one && !from_gguf ? 1.0f : 0.0f;
      stream.minus_exp = entry->gguf_minus_exp && !from_gguf;
    }
    if (factors) stream.factor = [=, name = p.name](int64_t row) { return factors(name, row); };
    plan.tensors.push_back(to_write(p.name, stream));
    if (p.name != "token_embd.weight" || !m.config.boolean("tie_embeddings", false) ||
        plan.config.boolean("tie_embeddings", false))
      continue;
    stream.factor = [=](int64_t row) { return factors("output.weight", row); };
    plan.tensors.push_back(to_write("output.weight", stream));
  }
  if (type || !plan.config.has("general.file_type")) {
    const auto number = file_type_number(type.value_or(plan.main_type()));
    if (number) plan.config.set("general.file_type", *number);
  }
  for (const TensorToWrite& t : plan.tensors)
    if (is_quantized(t.dtype)) plan.config.set("general.quantization_version", int64_t{2});
  if (!plan.config.has("tokenizer.ggml.model")) plan.config.set("tokenizer.ggml.model", std::string("none"));
  for_llama_cpp(plan.config, plan.warnings);
  return plan;
}

}  // namespace godwit
