#include "formats/placement.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "tensor/decode.h"

namespace godwit {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;

bool is_per_slice(const std::string& name) { return name.find("{}") != std::string::npos; }

// Whether `size` is what a side can be that `n` items are picked from.
bool can_pick(Pick pick, int64_t n, int64_t size) {
  switch (pick) {
    case Pick::kAll:
      return size == n;
    case Pick::kFirst:
    case Pick::kLast:
      return size >= n;
    case Pick::kEven:
    case Pick::kOdd:
      return size % 2 == 0 && size / 2 == n;
  }
  return false;
}

}  // namespace

StackShape stack_shape(const std::string& name, const Shape& shape) {
  const bool bias = name.ends_with(".bias");
  if (bias && shape.rank == 2) return {shape[0], shape[1], 1, true};
  if (shape.rank == 1) return {1, shape[0], 1, true};
  CHECK(shape.rank == 2 || shape.rank == 3, "{} {} is no stack", name, shape.text());
  return {shape.rank == 3 ? shape[0] : 1, shape[-2], shape[-1], false};
}

int64_t picked(Pick pick, int64_t i, int64_t n, int64_t of) {
  switch (pick) {
    case Pick::kLast:
      return of - n + i;
    case Pick::kEven:
      return 2 * i;
    case Pick::kOdd:
      return 2 * i + 1;
    default:
      return i;
  }
}

std::string slice_name(const std::string& name, int64_t slice) {
  const size_t at = name.find("{}");
  return at == std::string::npos ? name : name.substr(0, at) + std::to_string(slice) + name.substr(at + 2);
}

std::optional<Placement> Placement::find(const StoredModel& model, const StoredAs& form, const std::string& prefix,
                                         const StackShape& wanted, bool checked) {
  const std::string name = prefix + form.name;
  std::optional<StoredRows> rows = StoredRows::find(model, slice_name(name, 0), form.mxfp4);
  if (!rows) {
    for (int64_t s = 1; is_per_slice(name) && s < wanted.slices; ++s)
      if (StoredRows::find(model, slice_name(name, s), form.mxfp4))
        invalid("{}: tensor {}: missing, expected shape {}", printable_path(model.path),
                printable(slice_name(name, 0), 120), Shape{wanted.rows, wanted.width}.text());
    return std::nullopt;
  }
  Placement place(model, form, name, wanted, std::move(*rows));
  if (!place.measure() || !place.fits()) place.refuse_shape(place.rows_);
  if (!checked) place.check_slices();
  return place;
}

// A slice's sides as stored; false when the tensor is not a stack of that many.
bool Placement::measure() {
  const Shape& shape = rows_.shape();
  const int64_t slices = is_per_slice(name_) ? 1 : wanted_.slices;
  Shape stack{slices, 0, 0};
  if (shape.rank == 3) {
    stack = shape;
  } else if (shape.rank == 2 && wanted_.is_bias) {
    stack = {shape[0], shape[1], 1};
  } else if (shape.rank == 2 && slices > 0 && shape[0] % slices == 0) {
    stack = {slices, shape[0] / slices, shape[1]};
  } else if (shape.rank == 1 && wanted_.is_bias) {
    stack = {1, shape[0], 1};
  }
  height_ = stack[1];
  width_ = stack[2];
  return stack[0] == slices && height_ > 0 && width_ > 0;
}

// Whether the sides can hold the parameter; also finds the side that it is picked from.
bool Placement::fits() {
  const auto& [slices, rows, width, is_bias] = wanted_;
  if (!form_->transposed) return width_ == width && can_pick(form_->pick, rows, height_);
  picks_columns_ = height_ == width && can_pick(form_->pick, rows, width_);
  return picks_columns_ || (width_ == rows && can_pick(form_->pick, width, height_));
}

void Placement::check_slices() const {
  for (int64_t s = 1; is_per_slice(name_) && s < wanted_.slices; ++s) {
    const auto rows = StoredRows::find(*model_, slice_name(name_, s), form_->mxfp4);
    if (!rows)
      invalid("{}: tensor {}: missing, expected shape {}", printable_path(model_->path),
              printable(slice_name(name_, s), 120), rows_.shape().text());
    if (!(rows->shape() == rows_.shape())) refuse_shape(*rows);
    if (rows->type() != rows_.type())
      invalid("{}: tensor {}: expected {} as its like, the file has {}", printable_path(model_->path),
              printable(rows->name(), 120), godwit::name(rows_.type()), godwit::name(rows->type()));
  }
}

// The tensor's shape when the side that the parameter is picked from has `side` items.
std::string Placement::expected(const std::string& side) const {
  const bool columns = form_->transposed && (picks_columns_ || width_ != wanted_.rows);
  const std::string height = columns ? std::to_string(wanted_.width) : side;
  const std::string width = columns ? side : std::to_string(form_->transposed ? wanted_.rows : wanted_.width);
  const bool stack = !is_per_slice(name_) && rows_.shape().rank == 3;
  if (wanted_.is_bias)
    return rows_.shape().rank == 1 ? fmt::format("[{}]", height) : fmt::format("[{}, {}]", wanted_.slices, height);
  if (stack) return fmt::format("[{}, {}, {}]", wanted_.slices, height, width);
  if (is_per_slice(name_) || wanted_.slices == 1) return fmt::format("[{}, {}]", height, width);
  return fmt::format("[{} x {}, {}]", wanted_.slices, height, width);
}

void Placement::refuse_shape(const StoredRows& rows) const {
  const bool columns = form_->transposed && width_ != wanted_.rows;
  const int64_t n = form_->transposed && !columns ? wanted_.width : wanted_.rows;
  const bool half = form_->pick == Pick::kEven || form_->pick == Pick::kOdd;
  const bool more = form_->pick == Pick::kFirst || form_->pick == Pick::kLast;
  invalid("{}: tensor {}: expected shape {}, the file has {}", printable_path(model_->path),
          printable(rows.name(), 120), expected(fmt::format("{}{}", half ? 2 * n : n, more ? " or more" : "")),
          rows.shape().text());
}

DType Placement::type() const { return form_->transposed && is_quantized(rows_.type()) ? DType::kF32 : rows_.type(); }

bool Placement::is_decoded() const { return rows_.is_decoded() || (form_->transposed && is_quantized(rows_.type())); }

StoredRows Placement::rows_of(int64_t slice) const {
  if (!is_per_slice(name_) || slice == 0) return rows_;
  return *StoredRows::find(*model_, slice_name(name_, slice), form_->mxfp4);
}

void Placement::read(int64_t slice, int64_t first, int64_t n, std::byte* out) const {
  const StoredRows rows = rows_of(slice);
  const int64_t begin = is_per_slice(name_) ? 0 : slice * height_;
  if (form_->transposed) return read_transposed(rows, begin, first, n, out);
  const bool half = form_->pick == Pick::kEven || form_->pick == Pick::kOdd;
  if (!half) return rows.read(begin + picked(form_->pick, first, wanted_.rows, height_), n, width_, out);
  const int64_t row_bytes = matrix_bytes(rows.type(), 1, width_), step = std::max<int64_t>(1, kPieceBytes / row_bytes);
  std::vector<std::byte> piece;
  for (int64_t i = 0; i < n; i += step) {
    const int64_t count = std::min(step, n - i);
    piece.resize(static_cast<size_t>((2 * count - 1) * row_bytes));
    rows.read(begin + picked(form_->pick, first + i, wanted_.rows, height_), 2 * count - 1, width_, piece.data());
    for (int64_t r = 0; r < count; ++r)
      std::memcpy(out + (i + r) * row_bytes, piece.data() + 2 * r * row_bytes, static_cast<size_t>(row_bytes));
  }
}

void Placement::read_transposed(const StoredRows& rows, int64_t begin, int64_t first, int64_t n, std::byte* out) const {
  const int64_t k = wanted_.width, row_bytes = matrix_bytes(rows.type(), 1, width_);
  const int64_t step = std::max<int64_t>(1, kPieceBytes / row_bytes);
  const auto row_of = [&](int64_t i) { return picks_columns_ ? i : picked(form_->pick, i, k, height_); };
  const auto column_of = [&](int64_t i) { return picks_columns_ ? picked(form_->pick, i, wanted_.rows, width_) : i; };
  std::vector<std::byte> piece;
  std::vector<float> values;
  for (int64_t done = 0; done < k; done += step) {
    const int64_t count = std::min(step, k - done), top = row_of(done), height = row_of(done + count - 1) - top + 1;
    piece.resize(static_cast<size_t>(height * row_bytes));
    rows.read(begin + top, height, width_, piece.data());
    const bool decode = is_quantized(rows.type());
    values.resize(decode ? static_cast<size_t>(height * width_) : 0);
    for (int64_t r = 0; decode && r < height; ++r)
      decode_row(rows.type(), piece.data() + r * row_bytes, values.data() + r * width_, width_);
    const auto turn = [&]<class Element>(const Element* from, Element* to) {
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < count; ++j)
          to[i * k + done + j] = from[(row_of(done + j) - top) * width_ + column_of(first + i)];
    };
    if (matrix_bytes(type(), 1, 1) == 2)
      turn(reinterpret_cast<const uint16_t*>(piece.data()), reinterpret_cast<uint16_t*>(out));
    else
      turn(decode ? reinterpret_cast<const uint32_t*>(values.data()) : reinterpret_cast<const uint32_t*>(piece.data()),
           reinterpret_cast<uint32_t*>(out));
  }
}

const std::byte* Placement::mapped() const {
  const bool whole = form_->pick == Pick::kAll && (!is_per_slice(name_) || wanted_.slices == 1);
  const bool stretch = wanted_.slices == 1 && (form_->pick == Pick::kFirst || form_->pick == Pick::kLast);
  if (form_->transposed || (!whole && !stretch)) return nullptr;
  const std::byte* p = rows_.mapped();
  if (p == nullptr) return nullptr;
  p += picked(form_->pick, 0, wanted_.rows, height_) * matrix_bytes(rows_.type(), 1, width_);
  return reinterpret_cast<uintptr_t>(p) % 4 == 0 ? p : nullptr;
}

void Placement::add_shares(std::map<std::string, Share>& shares) const {
  const int64_t of = picks_columns_ ? width_ : height_;
  const int64_t taken = form_->transposed && !picks_columns_ ? wanted_.width : wanted_.rows;
  for (int64_t s = 0; s < (is_per_slice(name_) ? wanted_.slices : 1); ++s) {
    const StoredRows rows = rows_of(s);
    for (const std::string& name : rows.names()) shares.try_emplace(name, Share{0, 0, "", ""});
    Share& share = shares[rows.name()];
    share.taken += form_->pick == Pick::kAll ? of : taken;
    share.of = of;
    share.whole = expected(fmt::format("{}", share.taken));
    share.shape = rows.shape().text();
  }
}

}  // namespace godwit
