#include "formats/weight_source.h"

#include <cmath>
#include <cstring>
#include <unordered_set>

#include "base/error.h"
#include "base/random.h"
#include "formats/weights.h"
#include "tensor/decode.h"
#include "tensor/encode.h"
#include "tensor/float16.h"

namespace godwit {
namespace {

class StoredSource final : public WeightSource {
 public:
  StoredSource(const StoredModel& model, const Config& config, const TensorNames& names)
      : model_(model), config_(config), names_(names) {
    for (const std::string& prefix : names.hf_prefixes)
      if (is_hf() && model.find(prefix + names.model.front().hf + ".weight") != nullptr) prefix_ = prefix;
  }

  std::optional<Info> find(const std::string& name, const Shape&, bool) const override {
    const StoredTensor* stored = place(name);
    if (stored == nullptr) return std::nullopt;
    const TensorName* entry = find_name(names_, split_gguf_name(name));
    if (entry != nullptr && entry->gguf_plus_one && !is_hf()) return Info{DType::kF32, stored->shape};
    return Info{stored->dtype, stored->shape};
  }

  void read_rows(const std::string& name, const Info&, int64_t first, int64_t n, std::byte* out) const override {
    const StoredTensor& stored = *place(name);
    const InputFile& file = model_.files[static_cast<size_t>(stored.file)];
    const TensorName* entry = find_name(names_, split_gguf_name(name));
    if (is_hf() && entry != nullptr && entry->transform != Transform::kNone) {
      read_permuted(*entry, stored, file, first, n, out);
      return;
    }
    const int64_t width = stored.shape.rank == 0 ? 1 : stored.shape[-1];
    const int64_t row_bytes = matrix_bytes(stored.dtype, 1, width);
    const auto offset = stored.offset + static_cast<uint64_t>(first * row_bytes);
    if (entry == nullptr || !entry->gguf_plus_one || is_hf()) {
      file.read_at(offset, {out, static_cast<size_t>(n * row_bytes)});
      return;
    }
    std::vector<std::byte> raw(static_cast<size_t>(n * row_bytes));
    file.read_at(offset, raw);
    auto* values = reinterpret_cast<float*>(out);
    for (int64_t r = 0; r < n; ++r) decode_row(stored.dtype, raw.data() + r * row_bytes, values + r * width, width);
    for (int64_t i = 0; i < n * width; ++i) values[i] -= 1.0f;
  }

  const std::byte* mapped(const std::string& name) const override {
    const TensorName* entry = find_name(names_, split_gguf_name(name));
    if (entry != nullptr && (entry->gguf_plus_one || (is_hf() && entry->transform != Transform::kNone))) return nullptr;
    const StoredTensor& stored = *place(name);
    const std::byte* p = model_.files[static_cast<size_t>(stored.file)].map() + stored.offset;
    return reinterpret_cast<uintptr_t>(p) % 4 == 0 ? p : nullptr;  // safetensors guarantees no alignment
  }

  std::vector<std::string> unused(const std::vector<std::string>& used) const override {
    std::unordered_set<std::string> known;
    for (const std::string& name : used)
      if (const StoredTensor* stored = place(name)) known.insert(stored->name);
    std::vector<std::string> rest;
    for (const StoredTensor& tensor : model_.tensors)
      if (!known.contains(tensor.name) && !ignored(tensor.name)) rest.push_back(tensor.name);
    return rest;
  }

 private:
  bool is_hf() const { return model_.container == Container::kHuggingFace; }

  const StoredTensor* place(const std::string& name) const {
    if (!is_hf()) return model_.find(name);
    // A tied checkpoint may still carry a stale head: the configuration decides.
    if (name == "output.weight" && config_.boolean("tie_embeddings", false)) return nullptr;
    const auto hf = hf_name(names_, name);
    return hf ? model_.find(prefix_ + *hf) : nullptr;
  }

  bool ignored(const std::string& name) const {
    if (!is_hf()) return name.starts_with("rope_f");  // the rotary factor tensors: part of Config
    for (const std::string& part : names_.hf_ignored)
      if (name.find(part) != std::string::npos) return true;
    return name == prefix_ + "lm_head.weight";  // stale, see place()
  }

  // Rows one by one from where they lie; a 1-D parameter's rows are its elements.
  void read_permuted(const TensorName& entry, const StoredTensor& stored, const InputFile& file, int64_t first,
                     int64_t n, std::byte* out) const {
    const bool vector = stored.shape.rank == 1;
    const int64_t rows = stored.shape[0], heads = config_.integer(entry.heads);
    const int64_t row_bytes = matrix_bytes(stored.dtype, 1, vector ? 1 : stored.shape[-1]);
    if (vector) n = rows;
    for (int64_t r = 0; r < n; ++r)
      file.read_at(stored.offset + static_cast<uint64_t>(hf_row(entry.transform, first + r, rows, heads) * row_bytes),
                   {out + r * row_bytes, static_cast<size_t>(row_bytes)});
  }

  const StoredModel& model_;
  const Config& config_;
  const TensorNames& names_;
  std::string prefix_;
};

class RandomSource final : public WeightSource {
 public:
  RandomSource(uint64_t seed, DType type, bool gains_are_offsets)
      : seed_(seed), type_(type), gains_are_offsets_(gains_are_offsets) {}

  std::optional<Info> find(const std::string& name, const Shape& expected, bool required) const override {
    if (!required) return std::nullopt;
    if (kept_in_f32(name, expected)) return Info{DType::kF32, expected};
    return Info{expected[-1] % godwit::info(type_).block == 0 ? type_ : DType::kF16, expected};
  }

  void read_rows(const std::string& name, const Info& info, int64_t first, int64_t n, std::byte* out) const override {
    const int64_t width = info.shape[-1], row_bytes = matrix_bytes(info.dtype, 1, width);
    std::vector<float> row(static_cast<size_t>(width));
    for (int64_t r = 0; r < n; ++r) {
      fill(name, (first + r) * width, row);
      encode_row(info.dtype, row.data(), out + r * row_bytes, width);
    }
  }

  std::vector<std::string> unused(const std::vector<std::string>&) const override { return {}; }

 private:
  // Four uniforms make a normal near enough; what matters is that it is the same everywhere.
  void fill(const std::string& name, int64_t first, std::vector<float>& row) const {
    const SplitName split = split_gguf_name(name);
    const bool gain = split.stem.ends_with("norm"), bias = split.suffix == ".bias";
    const float mean = gain && !gains_are_offsets_ ? 1.0f : 0.0f;
    const float deviation = gain || bias ? 0.0f : 0.02f;
    uint64_t key = mix64(seed_);
    for (char c : name) key = mix64(key ^ static_cast<uint64_t>(static_cast<unsigned char>(c)));
    for (size_t i = 0; i < row.size(); ++i) {
      const uint64_t bits = random_bits(key, 0, static_cast<uint64_t>(first) + i);
      float sum = 0.0f;
      for (int part = 0; part < 4; ++part) sum += static_cast<float>((bits >> (16 * part)) & 0xffff) / 65536.0f - 0.5f;
      row[i] = mean + deviation * 1.7320508f * sum;  // four uniforms: variance 4 / 12
    }
  }

  uint64_t seed_;
  DType type_;
  bool gains_are_offsets_;
};

}  // namespace

std::unique_ptr<WeightSource> stored_source(const StoredModel& model, const Config& config, const TensorNames& names) {
  return std::make_unique<StoredSource>(model, config, names);
}

std::unique_ptr<WeightSource> random_source(uint64_t seed, DType type, bool gains_are_offsets) {
  return std::make_unique<RandomSource>(seed, type, gains_are_offsets);
}

}  // namespace godwit
