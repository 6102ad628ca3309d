#include "formats/tensor_names.h"

#include <algorithm>

#include "base/error.h"
#include "formats/config.h"

namespace godwit {
namespace {

// How many rows of a head rotate.
int64_t rotary_rows(Transform transform, int64_t dim) { return transform == Transform::kHalfRopePairs ? dim / 2 : dim; }

}  // namespace

SplitName split_gguf_name(std::string_view name) {
  SplitName out;
  if (name.starts_with("blk.")) {
    size_t i = 4;
    int64_t layer = 0;
    while (i < name.size() && i < 14 && name[i] >= '0' && name[i] <= '9') layer = 10 * layer + (name[i++] - '0');
    if (i > 4 && i < name.size() && name[i] == '.') {
      out.layer = layer;
      name.remove_prefix(i + 1);
    }
  }
  const size_t dot = name.rfind('.');
  out.stem = std::string(name.substr(0, dot));
  out.suffix = dot == std::string_view::npos ? "" : std::string(name.substr(dot));
  return out;
}

bool is_complete(const TensorName& entry) { return entry.gguf.ends_with(".weight") || entry.gguf.ends_with(".bias"); }

const TensorName* find_name(const TensorNames& names, const SplitName& name) {
  const TensorName* by_stem = nullptr;
  for (const TensorName& entry : name.layer ? names.layer : names.model) {
    if (is_complete(entry) && entry.gguf == name.stem + name.suffix) return &entry;
    if (by_stem == nullptr && entry.gguf == name.stem) by_stem = &entry;
  }
  return by_stem;
}

std::optional<std::string> hf_name(const TensorNames& names, std::string_view gguf) {
  const SplitName split = split_gguf_name(gguf);
  const TensorName* entry = find_name(names, split);
  if (entry == nullptr || entry->hf.empty()) return std::nullopt;
  const std::string name = entry->hf + (is_complete(*entry) ? "" : split.suffix);
  return split.layer ? fmt::format("{}{}.{}", names.hf_layers, *split.layer, name) : name;
}

int64_t permuted_heads(const TensorName& entry, const Config& c) {
  if (std::holds_alternative<int64_t>(c.values.at(c.full_key(entry.heads)))) return c.integer(entry.heads);
  const std::vector<int64_t> list = *c.integers(entry.heads);
  return *std::max_element(list.begin(), list.end());
}

int64_t hf_row(Transform transform, int64_t row, int64_t rows, int64_t heads) {
  if (transform == Transform::kNone) return row;
  const int64_t dim = rows / heads, in_head = row % dim, rotary = rotary_rows(transform, dim);
  return in_head >= rotary ? row : row - in_head + (in_head % 2) * (rotary / 2) + in_head / 2;
}

int64_t gguf_row(Transform transform, int64_t row, int64_t rows, int64_t heads) {
  if (transform == Transform::kNone) return row;
  const int64_t dim = rows / heads, in_head = row % dim, rotary = rotary_rows(transform, dim);
  return in_head >= rotary ? row : row - in_head + 2 * (in_head % (rotary / 2)) + in_head / (rotary / 2);
}

}  // namespace godwit
