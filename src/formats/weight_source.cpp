#include "formats/weight_source.h"

#include <charconv>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "formats/placement.h"
#include "formats/stored_rows.h"
#include "formats/weights.h"
#include "tensor/decode.h"
#include "tensor/encode.h"

namespace godwit {
namespace {

// Sizes of 1 say nothing: [1, d] holds a vector of d.
bool equal_but_for_ones(const Shape& a, const Shape& b) {
  int i = 0, j = 0;
  while (true) {
    while (i < a.rank && a[i] == 1) ++i;
    while (j < b.rank && b[j] == 1) ++j;
    if (i == a.rank || j == b.rank) return i == a.rank && j == b.rank;
    if (a[i++] != b[j++]) return false;
  }
}

// n rows from one type to another.
void encode_rows(DType from, const std::byte* rows, DType to, std::byte* out, int64_t n, int64_t width) {
  const int64_t from_bytes = matrix_bytes(from, 1, width), to_bytes = matrix_bytes(to, 1, width);
  std::vector<float> values(static_cast<size_t>(width));
  for (int64_t r = 0; r < n; ++r) {
    decode_row(from, rows + r * from_bytes, values.data(), width);
    encode_row(to, values.data(), out + r * to_bytes, width);
  }
}

class StoredSource final : public WeightSource {
 public:
  StoredSource(const StoredModel& model, const Config& config, const TensorNames& names,
               std::optional<DType> decoded_type)
      : model_(model), config_(config), names_(names), decoded_type_(decoded_type) {
    for (const std::string& prefix : names.hf_prefixes)
      if (is_hf() && model.find(prefix + names.model.front().hf + ".weight") != nullptr) prefix_ = prefix;
    const std::string& front = names.model.front().hf;
    renamed_ = !names.hf_root.empty() && model.find(front + ".weight") == nullptr &&
               model.find("model." + front.substr(names.hf_root.size()) + ".weight") != nullptr;
  }

  std::optional<Info> find(const std::string& name, const Shape& expected, bool) const override {
    const Place place = locate(name, expected, false);
    if (place.form) {
      const bool decoded = place.form->is_decoded();
      return Info{decoded ? decoded_type(name, expected) : place.form->type(), expected, place.form->by_slice()};
    }
    if (!place.rows) return std::nullopt;
    const Shape& stored = place.rows->shape();
    const TensorName* entry = find_name(names_, split_gguf_name(name));
    const bool flat = entry != nullptr && entry->hf_flat && is_hf() && stored == Shape{expected.count()};
    const Shape& shape = flat || equal_but_for_ones(stored, expected) ? expected : stored;
    if (changed_in_gguf(entry)) return Info{DType::kF32, shape};
    return Info{place.rows->is_decoded() ? decoded_type(name, expected) : place.rows->type(), shape};
  }

  void read_rows(const std::string& name, const Info& info, int64_t first, int64_t n, std::byte* out) const override {
    const Place place = locate(name, info.shape, true);
    CHECK(place.form || place.rows, "{} is not stored", name);
    const DType type = place.form ? place.form->type() : place.rows->type();
    const TensorName* entry = find_name(names_, split_gguf_name(name));
    if (type == info.dtype && !changed_in_gguf(entry)) {
      read_stored(name, place, info.shape, first, n, out);
      return;
    }
    const int64_t width = info.shape.rank == 0 ? 1 : info.shape[-1];
    std::vector<std::byte> raw(static_cast<size_t>(n * matrix_bytes(type, 1, width)));
    read_stored(name, place, info.shape, first, n, raw.data());
    encode_rows(type, raw.data(), info.dtype, out, n, width);
    if (changed_in_gguf(entry)) restore(*entry, name, reinterpret_cast<float*>(out), n * width);
  }

  const std::byte* mapped(const std::string& name, const Info& info) const override {
    const TensorName* entry = find_name(names_, split_gguf_name(name));
    if (changed_in_gguf(entry) ||
        (entry != nullptr && (entry->gguf_plus_one || (is_hf() && entry->transform != Transform::kNone))))
      return nullptr;
    const Place place = locate(name, info.shape, true);
    if (place.form) return place.form->mapped();
    return place.rows->mapped();
  }

  std::vector<std::string> unused(const std::vector<Wanted>& used) const override {
    std::map<std::string, Placement::Share> shares;
    for (const Wanted& wanted : used) {
      const Place place = locate(wanted.name, wanted.shape, true);
      if (place.form) place.form->add_shares(shares);
      if (!place.rows) continue;
      for (const std::string& name : place.rows->names()) shares.try_emplace(name, Placement::Share{0, 0, "", ""});
    }
    for (const auto& [name, share] : shares)
      if (share.taken != share.of)
        invalid("{}: tensor {}: expected shape {}, the file has {}", printable_path(model_.path), printable(name, 120),
                share.whole, share.shape);
    std::vector<std::string> rest;
    for (const StoredTensor& tensor : model_.tensors)
      if (!shares.contains(tensor.name) && !ignored(tensor.name)) rest.push_back(tensor.name);
    for (const auto& [name, codes] : model_.codes)
      if (!shares.contains(name) && !ignored(name) && is_weight(codes)) rest.push_back(name);
    return rest;
  }

 private:
  struct Place {
    std::optional<StoredRows> rows;  // one tensor of the same rows
    std::optional<Placement> form;   // else
  };

  // Whether the file's value is not the trained one.
  bool changed_in_gguf(const TensorName* entry) const {
    return entry != nullptr && (entry->gguf_plus_one || entry->gguf_minus_exp) && !is_hf();
  }

  // GGUF's values to the trained ones.
  void restore(const TensorName& entry, const std::string& name, float* values, int64_t n) const {
    if (entry.gguf_plus_one) {
      for (int64_t i = 0; i < n; ++i) values[i] -= 1.0f;
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
      if (!(values[i] < 0.0f))
        invalid("{}: tensor {}: expected negative values, got {} at {}", printable_path(model_.path),
                printable(name, 120), values[i], i);
      values[i] = static_cast<float>(std::log(-static_cast<double>(values[i])));
    }
  }

  bool is_hf() const { return model_.container == Container::kHuggingFace; }

  // Bytes may also be masks and tables of a program.
  bool is_weight(const StoredCodes& codes) const {
    return codes.type == CodeType::kF8_E4M3 || model_.quant_method == "mxfp4";
  }

  // The type of what has been decoded.
  DType decoded_type(const std::string& name, const Shape& shape) const {
    if (!decoded_type_ || kept_in_f32(name, shape)) return DType::kF32;
    return shape[-1] % godwit::info(*decoded_type_).block == 0 ? *decoded_type_ : DType::kF16;
  }

  Place locate(const std::string& name, const Shape& shape, bool checked) const {
    // A tied checkpoint may still carry a stale head: the configuration decides.
    if (is_hf() && name == "output.weight" && config_.boolean("tie_embeddings", false)) return {};
    const SplitName split = split_gguf_name(name);
    const TensorName* entry = find_name(names_, split);
    const auto plain = is_hf() ? hf_name(names_, name) : std::optional(name);
    Place place;
    if (plain) place.rows = StoredRows::find(model_, in_file(*plain));
    if (place.rows || entry == nullptr) return place;
    const std::string layer = is_hf() ? in_file(split.layer ? names_.hf_layers : "") : split.layer ? "blk." : "";
    const std::string prefix = split.layer ? fmt::format("{}{}.", layer, *split.layer) : layer;
    for (const StoredAs& form : is_hf() ? entry->hf_forms : entry->gguf_forms) {
      place.form = Placement::find(model_, form, prefix, stack_shape(name, shape), checked);
      if (place.form) break;
    }
    return place;
  }

  // A name, or the beginning of one, as the file has it.
  std::string in_file(const std::string& name) const {
    if (renamed_ && name.starts_with(names_.hf_root)) return "model." + name.substr(names_.hf_root.size());
    return prefix_ + name;
  }

  bool ignored(const std::string& name) const {
    if (!is_hf()) return name.starts_with("rope_f") || predicts(name, "blk.");  // rotary factors are part of Config
    for (const std::string& part : names_.hf_ignored)
      if (name.find(part) != std::string::npos) return true;
    // How activations were to be rounded: of no use where they are not FP8.
    if (model_.quant_method == "fp8" && (name.ends_with(".activation_scale") || name.ends_with(".input_scale")))
      return true;
    return name == prefix_ + "lm_head.weight" || predicts(name, in_file(names_.hf_layers));  // stale, see locate()
  }

  // Whether a tensor belongs to a layer that predicts further tokens.
  bool predicts(const std::string& name, const std::string& layers) const {
    if (!name.starts_with(layers) || !(is_hf() ? names_.prediction_layers : model_.prediction_layers > 0)) return false;
    int64_t layer = 0;
    const char *begin = name.data() + layers.size(), *end = name.data() + name.size();
    const auto [next, error] = std::from_chars(begin, end, layer);
    const int64_t n = config_.integer("block_count");
    if (error != std::errc() || next == end || *next != '.' || layer < n) return false;
    return is_hf() || layer < n + model_.prediction_layers;
  }

  // Rows as the file has them, in the parameter's order.
  void read_stored(const std::string& name, const Place& place, const Shape& shape, int64_t first, int64_t n,
                   std::byte* out) const {
    if (place.form) {
      read_form(*place.form, stack_shape(name, shape), first, n, out);
      return;
    }
    const TensorName* entry = find_name(names_, split_gguf_name(name));
    if (is_hf() && entry != nullptr && entry->transform != Transform::kNone)
      read_permuted(*entry, *place.rows, shape, first, n, out);
    else
      place.rows->read(first, n, shape.rank == 0 ? 1 : shape[-1], out);
  }

  static void read_form(const Placement& form, const StackShape& stack, int64_t first, int64_t n, std::byte* out) {
    if (stack.is_bias) {  // a slice is one row
      for (int64_t s = first; s < first + n; ++s, out += matrix_bytes(form.type(), 1, stack.rows))
        form.read(s, 0, stack.rows, out);
      return;
    }
    for (const int64_t end = first + n; first < end;) {
      const int64_t slice = first / stack.rows, row = first % stack.rows;
      const int64_t count = std::min(end - first, stack.rows - row);
      form.read(slice, row, count, out);
      first += count;
      out += matrix_bytes(form.type(), count, stack.width);
    }
  }

  // Rows one by one from where they lie; a 1-D parameter's rows are its elements.
  void read_permuted(const TensorName& entry, const StoredRows& stored, const Shape& shape, int64_t first, int64_t n,
                     std::byte* out) const {
    const bool vector = shape.rank == 1;
    const int64_t rows = shape[0], heads = permuted_heads(entry, config_), width = vector ? 1 : shape[-1];
    const int64_t row_bytes = matrix_bytes(stored.type(), 1, width);
    if (vector) n = rows;
    for (int64_t r = 0; r < n; ++r)
      stored.read(hf_row(entry.transform, first + r, rows, heads), 1, width, out + r * row_bytes);
  }

  const StoredModel& model_;
  const Config& config_;
  const TensorNames& names_;
  std::optional<DType> decoded_type_;
  std::string prefix_;
  bool renamed_ = false;  // hf_root is "model." there
};

}  // namespace

std::unique_ptr<WeightSource> stored_source(const StoredModel& model, const Config& config, const TensorNames& names,
                                            std::optional<DType> decoded_type) {
  return std::make_unique<StoredSource>(model, config, names, decoded_type);
}

}  // namespace godwit
