#include "models/parameter_stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "formats/placement.h"
#include "tensor/decode.h"
#include "tensor/encode.h"

namespace godwit {
namespace {

constexpr int64_t kChunkBytes = int64_t{1} << 20;

}  // namespace

void ParameterStream::read(int64_t first, int64_t n, int64_t row_bytes, std::byte* out) const {
  if (!raw) {
    model->weights->source().read_rows(name, info, first, n, out);
    return;
  }
  const StoredTensor& t = *model->stored.find(name);
  model->stored.files[static_cast<size_t>(t.file)].read_at(t.offset + static_cast<uint64_t>(first * row_bytes),
                                                           {out, static_cast<size_t>(n * row_bytes)});
}

void ParameterStream::fill(const Write& write) const {
  const bool vector = info.shape.rank <= 1;
  fill_rows(0, vector ? 1 : info.shape.count() / std::max<int64_t>(1, info.shape[-1]), write);
}

std::vector<std::byte> ParameterStream::slice(int64_t index) const {
  const StackShape stack = stack_shape(name, info.shape);
  const int64_t rows = stack.is_bias ? 1 : stack.rows;  // a vector is one
  std::vector<std::byte> all;
  fill_rows(index * rows, (index + 1) * rows,
            [&](const std::byte* bytes, size_t size) { all.insert(all.end(), bytes, bytes + size); });
  return all;
}

void ParameterStream::fill_rows(int64_t begin, int64_t end, const Write& write) const {
  const bool vector = info.shape.rank <= 1;
  const int64_t width = info.shape.rank == 0 ? 1 : info.shape[-1];
  const int64_t row_bytes = matrix_bytes(info.dtype, 1, width);
  int64_t step = std::max<int64_t>(1, kChunkBytes / std::max<int64_t>(1, row_bytes));
  if (info.by_slice) step = info.shape[-2];
  if (permuted_heads > 0 && !vector) step = end / permuted_heads;  // whole heads
  std::vector<std::byte> bytes, ordered;
  for (int64_t first = begin; first < end; first += step) {
    const int64_t n = std::min(step, end - first);
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
    pass_on(bytes, first, n, width, row_bytes, write);
  }
}

void ParameterStream::change(int64_t row, std::vector<float>& values) const {
  if (add != 0.0f)
    for (float& v : values) v += add;
  if (minus_exp)
    for (float& v : values) v = static_cast<float>(-std::exp(static_cast<double>(v)));
  if (!factor) return;
  if (info.shape.rank <= 1) {
    for (size_t i = 0; i < values.size(); ++i) values[i] *= factor(static_cast<int64_t>(i));
  } else {
    const float f = factor(row);
    for (float& v : values) v *= f;
  }
}

void ParameterStream::pass_on(const std::vector<std::byte>& bytes, int64_t first, int64_t n, int64_t width,
                              int64_t row_bytes, const Write& write) const {
  if (to == info.dtype && add == 0.0f && !minus_exp && !factor) {
    write(bytes.data(), bytes.size());
    return;
  }
  std::vector<float> values(static_cast<size_t>(width));
  const int64_t to_bytes = matrix_bytes(to, 1, width);
  std::vector<std::byte> out(static_cast<size_t>(n * to_bytes));
  for (int64_t r = 0; r < n; ++r) {
    decode_row(info.dtype, bytes.data() + r * row_bytes, values.data(), width);
    change(first + r, values);
    encode_row(to, values.data(), out.data() + r * to_bytes, width);
  }
  write(out.data(), out.size());
}

ParameterStream stream_of(const OpenModel& m, const Parameter& p, DType to) {
  const auto info = m.weights->source().find(p.name, p.tensor.shape, true);
  CHECK(info.has_value(), "parameter {} has no source", p.name);
  return {.model = &m, .name = p.name, .info = *info, .to = to};
}

TensorToWrite to_write(const std::string& name, const ParameterStream& stream) {
  return {name, stream.to, stream.info.shape, [stream](const ParameterStream::Write& write) { stream.fill(write); }};
}

}  // namespace godwit
