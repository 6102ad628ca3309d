#include "formats/stored_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "tensor/blocks.h"
#include "tensor/decode.h"
#include "tensor/float16.h"
#include "tensor/float_environment.h"

namespace godwit {
namespace {

constexpr int64_t kMxfp4Block = 32, kMxfp4Codes = 16;

bool is_nan_code(uint8_t code) { return (code & 0x7f) == 0x7f; }

// E4M3: sign, 4 bits of exponent (bias 7), 3 of fraction; no infinity.
std::array<float, 256> fp8_values() {
  std::array<float, 256> values{};
  for (int code = 0; code < 256; ++code) {
    const int exponent = code >> 3 & 15, fraction = code & 7;
    const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                                          : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    values[static_cast<size_t>(code)] = code >> 7 != 0 ? -magnitude : magnitude;
  }
  return values;
}

// By bits: denormals-are-zero must not make a small scale a zero.
bool is_positive(float x) {
  const uint32_t bits = float_bits(x);
  return bits != 0 && bits < 0x7f800000u;
}

int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

// A file's codes of a block, elements 2 j and 2 j + 1 in byte j, as ggml has them: j and j + 16.
void regroup_nibbles(const uint8_t* codes, uint8_t* qs) {
  const auto nibble = [&](int i) { return static_cast<uint8_t>(codes[i / 2] >> (i % 2 * 4) & 15); };
  for (int j = 0; j < kMxfp4Codes; ++j) qs[j] = static_cast<uint8_t>(nibble(j) | nibble(j + 16) << 4);
}

const StoredCodes* find_codes(const StoredModel& model, const std::string& name) {
  const auto it = model.codes.find(name);
  return it == model.codes.end() ? nullptr : &it->second;
}

// What a file has under this name, for messages.
std::string described_tensor(const StoredModel& model, const std::string& name) {
  if (const StoredTensor* t = model.find(name)) return fmt::format("{} {}", godwit::name(t->dtype), t->shape.text());
  if (const StoredCodes* c = find_codes(model, name))
    return fmt::format("{} {}", godwit::name(c->type), c->shape.text());
  const auto it = model.other_dtypes.find(name);
  return it == model.other_dtypes.end() ? "nothing" : it->second;
}

}  // namespace

template <class... Args>
void StoredRows::refuse(const std::string& tensor, fmt::format_string<Args...> format, Args&&... args) const {
  invalid("{}: tensor {}: {}", printable_path(model_->path), printable(tensor, 120),
          fmt::format(format, std::forward<Args>(args)...));
}

std::optional<StoredRows> StoredRows::find(const StoredModel& model, const std::string& name, bool mxfp4) {
  StoredRows rows(model, mxfp4 ? name + "_blocks" : name);
  rows.plain_ = mxfp4 ? nullptr : model.find(name);
  if (rows.plain_ != nullptr) {
    rows.shape_ = rows.plain_->shape;
    return rows;
  }
  rows.codes_ = find_codes(model, rows.name_);
  if (rows.codes_ == nullptr) {
    const bool half = mxfp4 && (find_codes(model, name + "_scales") != nullptr || model.find(rows.name_) != nullptr);
    if (half || model.other_dtypes.contains(rows.name_))
      rows.refuse(rows.name_, "expected {}, the file has {}", mxfp4 ? "U8" : "F32, F16 or BF16",
                  described_tensor(model, rows.name_));
    return std::nullopt;
  }
  if (mxfp4)
    rows.take_mxfp4();
  else
    rows.take_fp8();
  return rows;
}

void StoredRows::take_fp8() {
  if (codes_->type != CodeType::kF8_E4M3 || model_->quant_method != "fp8")
    refuse(name_, "expected F32, F16 or BF16 (F8_E4M3 under quantization_config.quant_method fp8), the file has {}",
           described_tensor(*model_, name_));
  shape_ = codes_->shape;
  if (shape_.rank != 2 && shape_.rank != 3) refuse(name_, "expected F8_E4M3 of rank 2 or 3, got {}", shape_.text());
  const std::string scale_name = name_ + "_scale_inv";
  scales_ = model_->find(scale_name);
  const int64_t slices = shape_.rank == 3 ? shape_[0] : 1, rows = shape_[-2], columns = shape_[-1];
  block_rows_ = model_->fp8_block_rows;
  block_columns_ = model_->fp8_block_columns;
  const Shape wanted = shape_.rank == 3 ? Shape{slices, blocks(rows, block_rows_), blocks(columns, block_columns_)}
                                        : Shape{blocks(rows, block_rows_), blocks(columns, block_columns_)};
  if (scales_ != nullptr && scales_->shape == wanted) return;
  // One for the whole tensor, or one for each matrix of the stack.
  block_rows_ = std::max<int64_t>(1, rows);
  block_columns_ = std::max<int64_t>(1, columns);
  if (scales_ != nullptr && (scales_->shape.count() == 1 || (slices > 1 && scales_->shape.count() == slices))) return;
  refuse(scale_name, "expected the scales {} of {} {}, the file has {}", wanted.text(), godwit::name(codes_->type),
         shape_.text(), described_tensor(*model_, scale_name));
}

void StoredRows::take_mxfp4() {
  if (codes_->type != CodeType::kU8 || model_->quant_method != "mxfp4")
    refuse(name_, "expected U8 under quantization_config.quant_method mxfp4, the file has {}",
           described_tensor(*model_, name_));
  const Shape& codes = codes_->shape;
  if (codes.rank < 3 || codes[-1] != kMxfp4Codes)
    refuse(name_, "expected U8 [..., rows, groups, {}], the file has {}", kMxfp4Codes, codes.text());
  const std::string scale_name = name_.substr(0, name_.size() - std::strlen("_blocks")) + "_scales";
  exponents_ = find_codes(*model_, scale_name);
  Shape wanted = codes;
  --wanted.rank;
  if (exponents_ == nullptr || exponents_->type != CodeType::kU8 || !(exponents_->shape == wanted))
    refuse(scale_name, "expected U8 {}, the file has {}", wanted.text(), described_tensor(*model_, scale_name));
  shape_ = wanted;
  shape_.sizes[static_cast<size_t>(shape_.rank - 1)] *= kMxfp4Block;
}

DType StoredRows::type() const {
  return plain_ != nullptr ? plain_->dtype : exponents_ != nullptr ? DType::kMXFP4 : DType::kF32;
}

std::vector<std::string> StoredRows::names() const {
  if (plain_ != nullptr) return {name_};
  if (exponents_ != nullptr) return {name_, name_.substr(0, name_.size() - std::strlen("_blocks")) + "_scales"};
  return {name_, scales_->name};
}

void StoredRows::read_codes(const StoredCodes& codes, int64_t first, int64_t n, std::byte* out) const {
  model_->files[static_cast<size_t>(codes.file)].read_at(codes.offset + static_cast<uint64_t>(first),
                                                         {out, static_cast<size_t>(n)});
}

void StoredRows::read(int64_t first, int64_t n, int64_t width, std::byte* out) const {
  if (n == 0 || width == 0) return;
  if (plain_ != nullptr) {
    const int64_t row_bytes = matrix_bytes(plain_->dtype, 1, width);
    model_->files[static_cast<size_t>(plain_->file)].read_at(plain_->offset + static_cast<uint64_t>(first * row_bytes),
                                                             {out, static_cast<size_t>(n * row_bytes)});
    return;
  }
  CHECK(width == shape_[-1], "{}: rows of {} from {}", name_, width, shape_.text());
  if (exponents_ != nullptr)
    read_mxfp4(first, n, out);
  else
    read_fp8(first, n, reinterpret_cast<float*>(out));
}

// Scales [first, first + n) in the order of the file.
std::vector<float> StoredRows::read_scales(int64_t first, int64_t n) const {
  const int64_t size = matrix_bytes(scales_->dtype, 1, 1);
  std::vector<std::byte> raw(static_cast<size_t>(n * size));
  model_->files[static_cast<size_t>(scales_->file)].read_at(scales_->offset + static_cast<uint64_t>(first * size), raw);
  std::vector<float> scales(static_cast<size_t>(n));
  decode_row(scales_->dtype, raw.data(), scales.data(), n);
  for (int64_t i = 0; i < n; ++i)
    if (const float s = scales[static_cast<size_t>(i)]; !is_positive(s))
      refuse(scales_->name, "expected finite scales above 0, got {} at {}", s, first + i);
  return scales;
}

void StoredRows::read_fp8(int64_t first, int64_t n, float* out) const {
  static const std::array<float, 256> values = fp8_values();
  const int64_t rows = shape_[-2], columns = shape_[-1];
  const int64_t per_matrix = blocks(rows, block_rows_), per_row = blocks(columns, block_columns_);
  const bool one = scales_->shape.count() == 1;
  const auto scale_row = [&](int64_t row) { return one ? 0 : row / rows * per_matrix + row % rows / block_rows_; };
  const int64_t first_scales = scale_row(first), last_scales = scale_row(first + n - 1);
  const std::vector<float> scales = read_scales(first_scales * per_row, (last_scales - first_scales + 1) * per_row);
  std::vector<uint8_t> codes(static_cast<size_t>(n * columns));
  read_codes(*codes_, first * columns, n * columns, reinterpret_cast<std::byte*>(codes.data()));
  const DefaultFloatEnvironment environment;  // products may be subnormal
  for (int64_t r = first; r < first + n; ++r) {
    const float* row_scales = scales.data() + (scale_row(r) - first_scales) * per_row;
    const uint8_t* row = codes.data() + (r - first) * columns;
    for (int64_t c = 0; c < columns; ++c) {
      const uint8_t code = row[c];
      if (is_nan_code(code)) refuse(name_, "expected numbers, got NaN (code {:#04x}) at row {}, column {}", code, r, c);
      *out++ = values[code] * row_scales[c / block_columns_];
    }
  }
}

void StoredRows::read_mxfp4(int64_t first, int64_t n, std::byte* out) const {
  const int64_t groups = n * (shape_[-1] / kMxfp4Block), begin = first * (shape_[-1] / kMxfp4Block);
  std::vector<uint8_t> codes(static_cast<size_t>(groups * kMxfp4Codes)), exponents(static_cast<size_t>(groups));
  read_codes(*codes_, begin * kMxfp4Codes, groups * kMxfp4Codes, reinterpret_cast<std::byte*>(codes.data()));
  read_codes(*exponents_, begin, groups, reinterpret_cast<std::byte*>(exponents.data()));
  for (int64_t g = 0; g < groups; ++g) {
    BlockMXFP4 block;
    block.e = exponents[static_cast<size_t>(g)];
    if (block.e == 255) refuse(names()[1], "expected numbers, got NaN (scale code 255) at group {}", begin + g);
    regroup_nibbles(codes.data() + g * kMxfp4Codes, block.qs);
    std::memcpy(out + g * static_cast<int64_t>(sizeof block), &block, sizeof block);
  }
}

const std::byte* StoredRows::mapped() const {
  if (plain_ == nullptr) return nullptr;
  const std::byte* p = model_->files[static_cast<size_t>(plain_->file)].map() + plain_->offset;
  return reinterpret_cast<uintptr_t>(p) % 4 == 0 ? p : nullptr;  // safetensors guarantees no alignment
}

}  // namespace godwit
