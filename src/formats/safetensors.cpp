#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace godwit {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the reference reader's
constexpr size_t kMaxTensors = size_t{1} << 20;
constexpr size_t kMaxMetadata = 65'536;
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxRank = 8;

struct FileType {
  std::string_view name;
  uint32_t bits;
  std::optional<DType> dtype;     // nothing: not a type of weights
  std::optional<CodeType> codes;  // of weights with their scales
};

// Source: safetensors/src/tensor.rs, enum Dtype.
constexpr FileType kFileTypes[] = {
    {"F32", 32, DType::kF32, {}},
    {"F16", 16, DType::kF16, {}},
    {"BF16", 16, DType::kBF16, {}},
    {"F64", 64, {}, {}},
    {"C64", 64, {}, {}},
    {"BOOL", 8, {}, {}},
    {"U8", 8, {}, CodeType::kU8},
    {"I8", 8, {}, {}},
    {"U16", 16, {}, {}},
    {"I16", 16, {}, {}},
    {"U32", 32, {}, {}},
    {"I32", 32, {}, {}},
    {"U64", 64, {}, {}},
    {"I64", 64, {}, {}},
    {"F8_E4M3", 8, {}, CodeType::kF8_E4M3},
    {"F8_E5M2", 8, {}, {}},
    {"F8_E8M0", 8, {}, {}},
    {"F8_E4M3FNUZ", 8, {}, {}},
    {"F8_E5M2FNUZ", 8, {}, {}},
    {"F4", 4, {}, {}},
    {"F6_E2M3", 6, {}, {}},
    {"F6_E3M2", 6, {}, {}},
};

/// Bytes of `shape`; nothing when they do not fill the last byte or any product of its sizes overflows.
std::optional<uint64_t> shape_bytes(const std::vector<uint64_t>& shape, uint32_t bits) {
  // Sizes after a zero count too: a Shape's users multiply any of them.
  uint64_t product = bits;
  bool is_empty = false;
  for (uint64_t size : shape) {
    is_empty |= size == 0;
    if (size != 0 && __builtin_mul_overflow(product, size, &product)) return {};
  }
  if (product > static_cast<uint64_t>(INT64_MAX)) return {};
  if (is_empty) return 0;
  if (product % 8 != 0) return {};
  return product / 8;
}

std::string shape_text(const std::vector<uint64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

/// The header's events straight into the model: no tree of a hundred megabytes of JSON is built.
class HeaderReader : public JsonHandler {
 public:
  HeaderReader(uint64_t data_size, const std::string& source, int32_t file, uint64_t data_start, StoredModel& model)
      : data_size_(data_size), source_(source), file_(file), data_start_(data_start), model_(model) {}

  void begin_object() override {
    if (in_ == In::kStart) {
      in_ = In::kTop;
    } else if (in_ == In::kTop && name_ == "__metadata__") {
      in_ = In::kMetadata;
    } else if (in_ == In::kTop) {
      in_ = In::kTensor;
      type_ = nullptr;
      has_shape_ = has_offsets_ = false;
    } else {
      unexpected("an object");
    }
  }

  void key(std::string&& name) override {
    if (in_ == In::kTensor) return tensor_field(name);
    if (in_ == In::kMetadata) {
      metadata_.push_back(std::move(name));
      if (metadata_.size() > kMaxMetadata) wrong("__metadata__ has over {} keys", kMaxMetadata);
      return;
    }
    if (name.size() > kMaxNameBytes)
      wrong("name {} has {} bytes, expected at most {}", quoted(name), name.size(), kMaxNameBytes);
    if (name == "__metadata__" && std::exchange(has_metadata_, true)) wrong("duplicate key \"__metadata__\"");
    name_ = std::move(name);
  }

  void end_object() override {
    if (in_ == In::kTensor) add_tensor();
    if (in_ == In::kMetadata) check_metadata();
    in_ = in_ == In::kTop ? In::kEnd : In::kTop;
  }

  void begin_array() override {
    if (in_ != In::kTensor || field_ == Field::kDType) unexpected("an array");
    in_ = field_ == Field::kShape ? In::kShape : In::kOffsets;
    numbers().clear();
  }
  void end_array() override {
    if (in_ == In::kOffsets && offsets_.size() != 2)
      wrong("tensor {}: data_offsets: expected 2 offsets, got {}", quoted(name_), offsets_.size());
    in_ = In::kTensor;
  }

  void string(std::string&& value) override {
    if (in_ == In::kMetadata) return;
    if (in_ != In::kTensor || field_ != Field::kDType) unexpected("a string");
    const auto* end = std::end(kFileTypes);
    const auto* found = std::find_if(std::begin(kFileTypes), end, [&](const FileType& t) { return t.name == value; });
    if (found == end) wrong("tensor {}: unknown dtype {}", quoted(name_), quoted(value, kShownBytes));
    type_ = found;
  }
  void unsigned_integer(uint64_t value) override {
    if (in_ != In::kShape && in_ != In::kOffsets) unexpected("a number");
    if (numbers().size() == kMaxRank)
      wrong("tensor {}: {} of more than {} numbers", quoted(name_), in_ == In::kShape ? "shape" : "data_offsets",
            kMaxRank);
    numbers().push_back(value);
  }
  void negative_integer(int64_t value) override { unexpected(fmt::format("{}", value)); }
  void real(double value) override { unexpected(fmt::format("{:#}", value)); }
  void boolean(bool value) override { unexpected(value ? "true" : "false"); }
  void null() override { unexpected("null"); }

  /// The tensors, whatever their types, must tile the data: no hole, no overlap, nothing after the last.
  void check_tiling() {
    std::sort(extents_.begin(), extents_.end(),
              [](const Extent& a, const Extent& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
    uint64_t end = 0;
    const Extent* before = nullptr;
    for (const Extent& e : extents_) {
      if (e.begin > end)
        invalid("{}: tensor {}: {} bytes before it belong to no tensor (data_offsets begin at {}, expected {})",
                source_, quoted(name_of(e)), e.begin - end, e.begin, end);
      if (e.begin < end)
        invalid("{}: tensor {}: overlaps tensor {}: data_offsets begin at {}, expected {}", source_, quoted(name_of(e)),
                quoted(name_of(*before)), e.begin, end);
      end = e.end;
      before = &e;
    }
    if (end != data_size_)
      invalid("{}: {} bytes of data belong to no tensor: the tensors end at {}, the data at {}", source_,
              data_size_ - end, end, data_size_);
  }

 private:
  enum class In { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };
  enum class Field { kDType, kShape, kOffsets };
  struct Extent {
    uint64_t begin, end;
    int32_t tensor;  // in model.tensors; below 0: ~index in others_
  };
  static constexpr size_t kShownBytes = 32;

  template <class... Args>
  [[noreturn]] void wrong(fmt::format_string<Args...> format, Args&&... args) const {
    invalid("{}: header byte {}: {}", source_, offset, fmt::format(format, std::forward<Args>(args)...));
  }

  [[noreturn]] void unexpected(std::string_view got) const {
    switch (in_) {
      case In::kMetadata:
        wrong("__metadata__: {}: expected a string, got {}", quoted(metadata_.back()), got);
      case In::kTensor:
        wrong("tensor {}: {}, got {}", quoted(name_),
              field_ == Field::kDType ? "dtype: expected a string"
                                      : (field_ == Field::kShape ? "shape: expected an array of integers"
                                                                 : "data_offsets: expected an array of 2 integers"),
              got);
      case In::kShape:
      case In::kOffsets:
        wrong("tensor {}: {}: expected an integer from 0 to 2^64 - 1, got {}", quoted(name_),
              in_ == In::kShape ? "shape" : "data_offsets", got);
      default:
        wrong("{}: expected an object, got {}", in_ == In::kStart ? "the header" : "tensor " + quoted(name_), got);
    }
  }

  std::vector<uint64_t>& numbers() { return in_ == In::kShape ? shape_ : offsets_; }

  void tensor_field(const std::string& name) {
    if (name == "dtype") {
      field_ = Field::kDType;
      if (type_ != nullptr) wrong("tensor {}: duplicate key \"dtype\"", quoted(name_));
    } else if (name == "shape") {
      field_ = Field::kShape;
      if (std::exchange(has_shape_, true)) wrong("tensor {}: duplicate key \"shape\"", quoted(name_));
    } else if (name == "data_offsets") {
      field_ = Field::kOffsets;
      if (std::exchange(has_offsets_, true)) wrong("tensor {}: duplicate key \"data_offsets\"", quoted(name_));
    } else {
      wrong("tensor {}: unknown field {}, expected dtype, shape and data_offsets", quoted(name_),
            quoted(name, kShownBytes));
    }
  }

  void check_metadata() const {
    const std::vector<std::string_view> keys(metadata_.begin(), metadata_.end());
    if (const size_t i = find_duplicate(keys); i != std::string_view::npos)
      wrong("__metadata__: duplicate key {}", quoted(keys[i]));
  }

  /// Checks the tensor just read and adds it to the model.
  void add_tensor() {
    if (type_ == nullptr || !has_shape_ || !has_offsets_)
      wrong("tensor {}: no {}", quoted(name_), type_ == nullptr ? "dtype" : has_shape_ ? "data_offsets" : "shape");
    const uint64_t begin = offsets_[0], end = offsets_[1];
    if (begin > end || end > data_size_)
      wrong("tensor {}: data_offsets [{}, {}]: expected 0 <= begin <= end <= {}, the size of the data", quoted(name_),
            begin, end, data_size_);
    const std::optional<uint64_t> bytes = shape_bytes(shape_, type_->bits);
    if (!bytes)
      wrong("tensor {}: shape {} of {} is too large or does not fill its last byte", quoted(name_), shape_text(shape_),
            type_->name);
    if (*bytes != end - begin)
      wrong("tensor {}: {} {} takes {} bytes, data_offsets [{}, {}] give {}", quoted(name_), type_->name,
            shape_text(shape_), *bytes, begin, end, end - begin);
    if (model_.tensors.size() + model_.codes.size() + model_.other_dtypes.size() >= kMaxTensors)
      wrong("over {} tensors", kMaxTensors);
    if (model_.find(name_) != nullptr || model_.codes.count(name_) != 0 || model_.other_dtypes.count(name_) != 0)
      wrong("duplicate tensor {}", quoted(name_));
    constexpr size_t kUsableRank = 4;
    const bool usable = shape_.size() <= kUsableRank;
    if (type_->dtype && usable) return add_weight(begin, end);
    if (type_->codes && usable) {
      const StoredCodes codes{*type_->codes, shape(), file_, data_start_ + begin};
      add_other(model_.codes.emplace(name_, codes).first->first, begin, end);
      return;
    }
    std::string why(type_->name);
    if (type_->dtype || type_->codes) why += fmt::format(" of rank {}", shape_.size());
    add_other(model_.other_dtypes.emplace(name_, std::move(why)).first->first, begin, end);
  }

  Shape shape() const {
    Shape shape;
    shape.rank = static_cast<int>(shape_.size());
    for (size_t i = 0; i < shape_.size(); ++i) shape.sizes[i] = static_cast<int64_t>(shape_[i]);
    return shape;
  }

  /// `name` is a key of the model's map.
  void add_other(const std::string& name, uint64_t begin, uint64_t end) {
    extents_.push_back({begin, end, ~static_cast<int32_t>(others_.size())});
    others_.push_back(&name);
  }

  void add_weight(uint64_t begin, uint64_t end) {
    StoredTensor tensor;
    tensor.dtype = *type_->dtype;
    tensor.shape = shape();
    tensor.file = file_;
    tensor.offset = data_start_ + begin;
    tensor.bytes = end - begin;
    const auto index = static_cast<int32_t>(model_.tensors.size());
    extents_.push_back({begin, end, index});
    model_.by_name.emplace(name_, index);
    tensor.name = std::move(name_);
    model_.tensors.push_back(std::move(tensor));
  }

  const std::string& name_of(const Extent& e) const {
    return e.tensor >= 0 ? model_.tensors[static_cast<size_t>(e.tensor)].name
                         : *others_[static_cast<size_t>(~e.tensor)];
  }

  const uint64_t data_size_;
  const std::string& source_;
  const int32_t file_;
  const uint64_t data_start_;
  StoredModel& model_;

  In in_ = In::kStart;
  std::string name_;  // the last key of the header's object
  bool has_metadata_ = false;
  std::vector<std::string> metadata_;
  // Of the tensor being read.
  Field field_ = Field::kDType;
  const FileType* type_ = nullptr;
  bool has_shape_ = false, has_offsets_ = false;
  std::vector<uint64_t> shape_, offsets_;

  std::vector<Extent> extents_;
  std::vector<const std::string*> others_;  // keys of model.codes and model.other_dtypes
};

}  // namespace

void parse_safetensors_header(std::string_view json, uint64_t data_size, const std::string& source, int32_t file,
                              uint64_t data_start, StoredModel& model) {
  if (json.empty() || json.front() != '{')
    invalid("{}: the header must begin with '{{', got {}", source, quoted(json.substr(0, 1)));
  const size_t last = json.find_last_not_of(' ');  // writers pad with spaces
  HeaderReader reader(data_size, source, file, data_start, model);
  constexpr size_t kDepth = 4;  // header, tensor, shape, and one for the reader to refuse by name
  walk_json(json.substr(0, last + 1), source, kDepth, reader);
  reader.check_tiling();
}

void open_safetensors(const std::string& path, StoredModel& model) {
  InputFile file(path);
  std::array<std::byte, 8> length_bytes{};
  if (file.size() < length_bytes.size())
    invalid("{}: not a safetensors file: expected at least 8 bytes, the file has {}", path, file.size());
  file.read_at(0, length_bytes);
  uint64_t length = 0;
  std::memcpy(&length, length_bytes.data(), sizeof length);
  if (length > kMaxHeaderBytes)
    invalid("{}: not a safetensors file: its header would have {} bytes, expected at most {}", path, length,
            kMaxHeaderBytes);
  const uint64_t rest = file.size() - length_bytes.size();
  if (length > rest)
    invalid("{}: the header has {} bytes, only {} follow in the file: it is cut or not safetensors", path, length,
            rest);
  std::string header(static_cast<size_t>(length), '\0');
  file.read_at(length_bytes.size(), std::as_writable_bytes(std::span(header)));
  parse_safetensors_header(header, rest - length, path, static_cast<int32_t>(model.files.size()),
                           length_bytes.size() + length, model);
  model.files.push_back(std::move(file));
}

}  // namespace godwit
