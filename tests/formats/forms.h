// What the tests of forms share: values by place, tables, opened files.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "base/random.h"
#include "formats/folder_builder.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"
#include "formats/weights.h"
#include "tensor/decode.h"
#include "tensor/encode.h"
#include "tensor/float16.h"
#include "tensor/repack.h"

namespace godwit {

inline const std::string kLayer = "model.layers.1.";

/// Values by (slice, row, column), the same in every test.
inline float value(int which, int64_t s, int64_t i, int64_t j) {
  const auto bits = random_bits(static_cast<uint64_t>(which), 1, static_cast<uint64_t>((s * 1000 + i) * 1000 + j));
  return bf16_to_f32(static_cast<uint16_t>((bits & 0x807f) | 0x3f80));  // exact in every float type
}

/// The elements of [slices][rows][columns], each given by a function.
template <class Element>
std::vector<Element> filled(int64_t slices, int64_t rows, int64_t columns,
                            const std::function<float(int64_t, int64_t, int64_t)>& at) {
  std::vector<Element> all;
  for (int64_t s = 0; s < slices; ++s)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        if constexpr (std::is_same_v<Element, float>)
          all.push_back(at(s, i, j));
        else
          all.push_back(f32_to_bf16(at(s, i, j)));
      }
  return all;
}
inline std::vector<float> parameter(int which, int64_t slices, int64_t rows, int64_t columns) {
  return filled<float>(slices, rows, columns, [=](int64_t s, int64_t i, int64_t j) { return value(which, s, i, j); });
}

inline TensorNames names_of(const std::vector<TensorName>& layer) {
  TensorNames names;
  names.model = {{"token_embd", "model.embed_tokens"}};
  names.layer = layer;
  return names;
}

/// An opened file, its weights and what they need.
struct Opened {
  StoredModel stored;
  Config config;
  TensorNames names;
  std::unique_ptr<Weights> weights;

  Opened(StoredModel model, TensorNames table, LoadOptions options = {})
      : stored(std::move(model)), names(std::move(table)) {
    config.architecture = "test";
    config.set("block_count", int64_t{2});
    weights = std::make_unique<Weights>(stored_source(stored, config, names, options.decoded_type), options);
  }
  Tensor get(const std::string& name, Shape shape) { return weights->block(1).get(name, shape); }
  void load() {
    weights->check_all_used();
    ThreadPool pool(2);
    weights->load(pool, {});
  }
};

/// The values of a parameter, whatever its type.
inline std::vector<float> values(const Tensor& t) {
  std::vector<float> all(static_cast<size_t>(t.size()));
  const DType type = info(t.dtype).file_type;
  std::vector<std::byte> row(static_cast<size_t>(matrix_bytes(type, 1, t.width())));
  const int64_t rows = t.is_stack() ? t.shape[1] : t.rows();
  for (int64_t r = 0; r < t.rows(); ++r) {
    const std::byte* matrix = t.data + r / rows * t.slice_bytes();
    if (is_packed(t.dtype))
      unpack_row(t.dtype, matrix, r % rows, t.width(), row.data());
    else
      std::memcpy(row.data(), matrix + r % rows * static_cast<int64_t>(row.size()), row.size());
    decode_row(type, row.data(), all.data() + r * t.width(), t.width());
  }
  return all;
}

inline TensorName hf(const std::string& gguf, std::vector<StoredAs> forms) {
  return {.gguf = gguf, .hf_forms = std::move(forms)};
}
inline TensorName gguf(const std::string& name, std::vector<StoredAs> forms) {
  return {.gguf = name, .gguf_forms = std::move(forms)};
}

inline Opened open_folder(const FolderBuilder& f, const TensorNames& names, LoadOptions options = {}) {
  const Scratch scratch;
  return {open_hf_folder(f.write(scratch, "m")), names, options};
}

inline Opened open_gguf_of(const std::vector<GgufTensorBytes>& tensors, const TensorNames& names,
                           LoadOptions options = {}, const GgufBuilder& builder = GgufBuilder::llama()) {
  const Scratch scratch;
  return {open_gguf(scratch.write("m.gguf", gguf_bytes(builder, tensors))), names, options};
}

inline std::string encoded(DType type, const std::vector<float>& all, int64_t width) {
  std::string bytes;
  for (size_t i = 0; i < all.size(); i += static_cast<size_t>(width)) {
    std::string row(static_cast<size_t>(matrix_bytes(type, 1, width)), '\0');
    encode_row(type, all.data() + i, reinterpret_cast<std::byte*>(row.data()), width);
    bytes += row;
  }
  return bytes;
}

}  // namespace godwit
