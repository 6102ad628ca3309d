#include "models/save_forms.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "formats/placement.h"

namespace godwit {
namespace {

// A part of a stored matrix: element (i, j) of the parameter's [n, k] lies at row * width + column of the matrix.
struct Area {
  StackShape stack;
  Pick pick;
  bool transposed, picks_columns;
};

template <class Element>
void put(const Area& area, int64_t height, int64_t width, const Element* part, Element* matrix) {
  const auto& [slices, n, k, is_bias] = area.stack;
  for (int64_t i = 0; i < n; ++i) {
    if (!area.transposed) {
      std::copy(part + i * k, part + (i + 1) * k, matrix + picked(area.pick, i, n, height) * width);
      continue;
    }
    for (int64_t j = 0; j < k; ++j) {
      const int64_t row = area.picks_columns ? j : picked(area.pick, j, k, height);
      const int64_t column = area.picks_columns ? picked(area.pick, i, n, width) : i;
      matrix[row * width + column] = part[i * k + j];
    }
  }
}

// The side that parts are picked from; checks that they fill it.
int64_t side_of(const std::string& name, const std::vector<Area>& areas) {
  int64_t side = 0;
  unsigned picks = 0;
  for (const Area& a : areas) {
    picks |= 1u << static_cast<unsigned>(a.pick);
    side += a.transposed && !a.picks_columns ? a.stack.width : a.stack.rows;
  }
  const auto of = [](Pick pick) { return 1u << static_cast<unsigned>(pick); };
  const bool halves =
      picks == (of(Pick::kEven) | of(Pick::kOdd)) && areas.front().stack.rows == areas.back().stack.rows;
  const bool pair = areas.size() == 2 && (halves || picks == (of(Pick::kFirst) | of(Pick::kLast)));
  CHECK(pair || (areas.size() == 1 && picks == of(Pick::kAll)), "tensor {} of {} parts (kinds {:#x})", name,
        areas.size(), picks);
  return side;
}

}  // namespace

FormWriter::Whole& FormWriter::whole(const std::string& name) {
  const auto [found, added] = whole_numbers_.emplace(name, wholes_.size());
  if (added) wholes_.push_back({name, {}});
  return wholes_[found->second];
}

void FormWriter::add(const TensorName& entry, const ParameterStream& stream) {
  const auto form = std::find_if(entry.hf_forms.begin(), entry.hf_forms.end(), [](const auto& f) { return !f.mxfp4; });
  CHECK(form != entry.hf_forms.end(), "parameter {} has no Hugging Face form", stream.name);
  const SplitName split = split_gguf_name(stream.name);
  const std::string name =
      split.layer ? fmt::format("{}{}.{}", names_.hf_layers, *split.layer, form->name) : form->name;
  const int64_t slices = stack_shape(stream.name, stream.info.shape).slices;
  if (slice_name(name, 0) == name) {
    whole(name).parts.push_back({stream, *form, -1});
    return;
  }
  for (int64_t s = 0; s < slices; ++s) whole(slice_name(name, s)).parts.push_back({stream, *form, s});
}

void FormWriter::move_to(std::vector<TensorToWrite>& tensors) {
  for (Whole& w : wholes_) {
    DType type = w.parts.front().stream.to;
    for (const Part& p : w.parts)
      if (p.stream.to != type) type = DType::kF32;
    for (Part& p : w.parts) p.stream.to = type;
    tensors.push_back(composed(w));
  }
  wholes_.clear();
}

TensorToWrite FormWriter::composed(const Whole& w) {
  const Part& first = w.parts.front();
  const bool plain = first.form.pick == Pick::kAll && !first.form.transposed && first.slice < 0;
  if (plain && w.parts.size() == 1) return to_write(w.name, first.stream);

  const bool turned = std::all_of(w.parts.begin(), w.parts.end(), [](const Part& p) { return p.form.transposed; });
  // Parts that lie differently in it are rows of heads of one matrix, whose heads stand one below the other.
  const bool flat =
      !turned && std::any_of(w.parts.begin(), w.parts.end(), [](const Part& p) { return p.form.transposed; });
  std::vector<Area> areas;
  for (const Part& p : w.parts)
    areas.push_back({stack_shape(p.stream.name, p.stream.info.shape), p.form.pick, p.form.transposed, turned});
  const StackShape& stack = areas.front().stack;
  const int64_t side = side_of(w.name, areas);
  const int64_t other = areas.front().transposed && !turned ? stack.rows : stack.width;
  const int64_t height = turned ? other : side, width = turned ? side : other;
  for (const Area& a : areas)
    CHECK(a.stack.slices == stack.slices && (a.transposed && !turned ? a.stack.rows : a.stack.width) == other,
          "tensor {}: parts that do not fit", w.name);

  const int64_t begin = std::max<int64_t>(first.slice, 0), end = first.slice < 0 ? stack.slices : begin + 1;
  const int rank = first.slice >= 0 ? 0 : first.stream.info.shape.rank;
  const Shape shape = stack.is_bias        ? (rank == 2 ? Shape{stack.slices, height} : Shape{height})
                      : rank == 3 && !flat ? Shape{stack.slices, height, width}
                                           : Shape{(end - begin) * height, width};
  const DType type = first.stream.to;
  const auto fill = [parts = w.parts, areas, begin, end, height, width, type](const ParameterStream::Write& write) {
    std::vector<std::byte> matrix(static_cast<size_t>(matrix_bytes(type, height, width)));
    for (int64_t s = begin; s < end; ++s) {
      for (size_t i = 0; i < parts.size(); ++i) {
        const std::vector<std::byte> part = parts[i].stream.slice(s);
        if (type == DType::kF32)
          put(areas[i], height, width, reinterpret_cast<const uint32_t*>(part.data()),
              reinterpret_cast<uint32_t*>(matrix.data()));
        else
          put(areas[i], height, width, reinterpret_cast<const uint16_t*>(part.data()),
              reinterpret_cast<uint16_t*>(matrix.data()));
      }
      write(matrix.data(), matrix.size());
    }
  };
  return {w.name, type, shape, fill};
}

}  // namespace godwit
