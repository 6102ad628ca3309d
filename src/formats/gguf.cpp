#include "formats/gguf.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/checked.h"
#include "base/text.h"
#include "formats/gguf_cursor.h"
#include "formats/gguf_format.h"

namespace godwit {
namespace {

using gguf::Cursor;
using gguf::ValueType;

ValueType read_value_type(Cursor& in, const char* what) {
  const auto type = in.scalar<uint32_t>();
  if (type >= gguf::kValueTypeCount)
    in.refuse("expected {} from 0 to {}, got {}", what, gguf::kValueTypeCount - 1, type);
  return static_cast<ValueType>(type);
}

bool read_bool(Cursor& in) {
  const auto byte = in.scalar<uint8_t>();
  if (byte > 1) in.refuse("expected a boolean (0 or 1), got {}", byte);
  return byte == 1;
}

ConfigValue read_u64(Cursor& in) {
  const auto value = in.scalar<uint64_t>();
  if (const auto fits = CheckedU64(value).as<int64_t>()) return *fits;
  return value;
}

// The elements of an array of numbers, by pieces that need no second copy of it.
template <class T, class Out>
std::vector<Out> read_numbers(Cursor& in, uint64_t count) {
  in.allow(count * sizeof(Out), count * sizeof(T));
  std::vector<Out> all;
  all.reserve(static_cast<size_t>(count));
  std::array<T, 4096> piece;
  while (all.size() < count) {
    const size_t n = std::min<size_t>(piece.size(), static_cast<size_t>(count) - all.size());
    in.copy(piece.data(), n * sizeof(T));
    for (size_t i = 0; i < n; ++i) {
      if constexpr (std::is_same_v<T, uint64_t>)
        if (!CheckedU64(piece[i]).as<int64_t>()) in.refuse("expected integers below 2^63, got {}", piece[i]);
      all.push_back(static_cast<Out>(piece[i]));
    }
  }
  return all;
}

std::vector<bool> read_bools(Cursor& in, uint64_t count) {
  in.allow(count / 8);
  std::vector<bool> all;
  all.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) all.push_back(read_bool(in));
  return all;
}

std::vector<std::string> read_strings(Cursor& in, uint64_t count) {
  in.allow(count * sizeof(std::string), count * sizeof(uint64_t));
  std::vector<std::string> all;
  all.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) {
    all.push_back(in.string(gguf::kMaxString, "a string"));
    if (all.back().size() > 15) in.allow(all.back().size() + 32);  // it lies on the heap
  }
  return all;
}

ConfigValue read_array(Cursor& in) {
  const ValueType type = read_value_type(in, "an element type");
  if (type == ValueType::kArray) in.refuse("expected an array of plain values, got an array of arrays");
  const auto count = in.scalar<uint64_t>();
  if (count > gguf::kMaxElements) in.refuse("expected at most {} elements, got {}", gguf::kMaxElements, count);
  const uint64_t bytes = count * gguf::kLeastBytes[static_cast<size_t>(type)];
  if (bytes > in.remaining())
    in.refuse("expected {} elements of {} in at least {} bytes, {} are left", count,
              gguf::kValueTypeNames[static_cast<size_t>(type)], bytes, in.remaining());
  switch (type) {
    case ValueType::kU8:
      return read_numbers<uint8_t, int64_t>(in, count);
    case ValueType::kI8:
      return read_numbers<int8_t, int64_t>(in, count);
    case ValueType::kU16:
      return read_numbers<uint16_t, int64_t>(in, count);
    case ValueType::kI16:
      return read_numbers<int16_t, int64_t>(in, count);
    case ValueType::kU32:
      return read_numbers<uint32_t, int64_t>(in, count);
    case ValueType::kI32:
      return read_numbers<int32_t, int64_t>(in, count);
    case ValueType::kU64:
      return read_numbers<uint64_t, int64_t>(in, count);
    case ValueType::kI64:
      return read_numbers<int64_t, int64_t>(in, count);
    case ValueType::kF32:
      return read_numbers<float, double>(in, count);
    case ValueType::kF64:
      return read_numbers<double, double>(in, count);
    case ValueType::kBool:
      return read_bools(in, count);
    case ValueType::kString:
      return read_strings(in, count);
    case ValueType::kArray:
      break;
  }
  CHECK(false, "value type {}", static_cast<uint32_t>(type));
  return {};
}

ConfigValue read_value(Cursor& in, ValueType type) {
  switch (type) {
    case ValueType::kU8:
      return int64_t{in.scalar<uint8_t>()};
    case ValueType::kI8:
      return int64_t{in.scalar<int8_t>()};
    case ValueType::kU16:
      return int64_t{in.scalar<uint16_t>()};
    case ValueType::kI16:
      return int64_t{in.scalar<int16_t>()};
    case ValueType::kU32:
      return int64_t{in.scalar<uint32_t>()};
    case ValueType::kI32:
      return int64_t{in.scalar<int32_t>()};
    case ValueType::kU64:
      return read_u64(in);
    case ValueType::kI64:
      return in.scalar<int64_t>();
    case ValueType::kF32:
      return double{in.scalar<float>()};
    case ValueType::kF64:
      return in.scalar<double>();
    case ValueType::kBool:
      return read_bool(in);
    case ValueType::kString: {
      std::string text = in.string(gguf::kMaxString, "a string");
      in.allow(text.size());
      return text;
    }
    case ValueType::kArray:
      return read_array(in);
  }
  CHECK(false, "value type {}", static_cast<uint32_t>(type));
  return {};
}

// A name of a key or a tensor: not empty, UTF-8, no NUL (which would end it for other readers).
std::string read_name(Cursor& in, const char* kind, uint64_t index, uint64_t most) {
  in.set_place(kind, fmt::format("number {}", index));
  std::string name = in.string(most, "a name");
  if (name.empty()) in.refuse("expected a name, got an empty one");
  if (find_invalid_utf8(name) != std::string::npos || name.find('\0') != std::string::npos)
    in.refuse("expected a name in UTF-8 without NUL, got {}", quoted(name));
  in.set_place(kind, name);
  return name;
}

struct Counts {
  uint64_t tensors, keys;
};

Counts read_counts(Cursor& in) {
  constexpr uint64_t kLeastKey = 8 + 1 + 4 + 1;
  constexpr uint64_t kLeastTensor = 8 + 1 + 4 + 8 + 4 + 8;
  std::string magic(gguf::kMagic.size(), '\0');
  if (in.remaining() < magic.size()) in.refuse("expected the bytes \"GGUF\", the file has {} bytes", in.remaining());
  in.copy(magic.data(), magic.size());
  if (magic != gguf::kMagic) in.refuse("expected the bytes \"GGUF\", got {}", quoted(magic));
  const auto version = in.scalar<uint32_t>();
  if (version != 2 && version != 3) {
    const bool swapped = version != 0 && (version & 0xFFFF) == 0;
    in.refuse("expected version 2 or 3, got {}{}", version, swapped ? " (a big-endian file)" : "");
  }
  const auto tensors = in.scalar<uint64_t>();
  if (tensors > gguf::kMaxTensors) in.refuse("expected at most {} tensors, got {}", gguf::kMaxTensors, tensors);
  const auto keys = in.scalar<uint64_t>();
  if (keys > gguf::kMaxKeys) in.refuse("expected at most {} keys, got {}", gguf::kMaxKeys, keys);
  const uint64_t least = keys * kLeastKey + tensors * kLeastTensor;
  if (least > in.remaining())
    in.refuse("{} keys and {} tensors need at least {} bytes, the file has {}", keys, tensors, least, in.remaining());
  return {tensors, keys};
}

// All keys, into `config`; returns the alignment.
uint32_t read_keys(Cursor& in, uint64_t count, Config& config) {
  constexpr uint64_t kNodeBytes = 160;  // a map's node and its key
  uint32_t alignment = gguf::kDefaultAlignment;
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = read_name(in, "key", i, gguf::kMaxKey);
    in.allow(kNodeBytes + key.size());
    const ValueType type = read_value_type(in, "a value type");
    if (config.values.contains(key)) in.refuse("expected each key once, got it again");
    const bool is_alignment = key == "general.alignment";
    if (is_alignment && type != ValueType::kU32)
      in.refuse("expected a u32, got a value of type {}", gguf::kValueTypeNames[static_cast<size_t>(type)]);
    ConfigValue value = read_value(in, type);
    if (is_alignment) {
      alignment = static_cast<uint32_t>(std::get<int64_t>(value));
      if (!std::has_single_bit(alignment) || alignment < gguf::kLeastAlignment || alignment > gguf::kMaxAlignment)
        in.refuse("expected a power of two from {} to {}, got {}", gguf::kLeastAlignment, gguf::kMaxAlignment,
                  alignment);
    }
    config.values.emplace(std::move(key), std::move(value));
  }
  in.set_place("header", "");
  return alignment;
}

void read_shape(Cursor& in, StoredTensor& tensor) {
  const auto rank = in.scalar<uint32_t>();
  if (rank < 1 || rank > gguf::kMaxRank) in.refuse("expected 1 to {} dimensions, got {}", gguf::kMaxRank, rank);
  tensor.shape.rank = static_cast<int>(rank);
  for (uint32_t i = 0; i < rank; ++i) {
    const auto size = CheckedU64(in.scalar<uint64_t>()).as<int64_t>();
    if (!size || *size == 0) in.refuse("expected dimension {} between 1 and 2^63 - 1, got {}", i, size ? "0" : "more");
    tensor.shape.sizes[rank - 1 - i] = *size;  // GGUF begins with the innermost
  }
}

// Type, and how many bytes the tensor takes.
void read_type(Cursor& in, StoredTensor& tensor) {
  const auto id = in.scalar<uint32_t>();
  const std::optional<DType> dtype = dtype_from_ggml(id);
  if (!dtype) in.refuse("expected a supported element type, got {} ({})", id, ggml_type_name(id));
  tensor.dtype = *dtype;
  const DTypeInfo& type = info(*dtype);
  const int64_t width = tensor.shape[-1];
  if (width % type.block != 0)
    in.refuse("expected rows of a multiple of {} elements for {}, got {}", type.block, type.name, width);
  CheckedU64 elements(1);
  for (int i = 0; i < tensor.shape.rank; ++i) elements *= static_cast<uint64_t>(tensor.shape[i]);
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!elements.at_most(kMost)) in.refuse("expected fewer than 2^63 elements, got {}", tensor.shape.text());
  const CheckedU64 bytes =
      CheckedU64(elements.value() / static_cast<uint64_t>(type.block)) * static_cast<uint64_t>(type.block_bytes);
  if (!bytes.at_most(kMost)) in.refuse("expected fewer than 2^63 bytes, got {} of {}", tensor.shape.text(), type.name);
  tensor.bytes = bytes.value();
}

struct Extent {
  uint64_t begin, end;
  int32_t tensor;
};

// Tensors may lie in any order and with gaps, but not on each other, and after the last there may be padding only.
void check_extents(Cursor& in, std::vector<Extent>& extents, uint64_t header_end, uint64_t file_size,
                   const StoredModel& model) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  const auto name = [&](const Extent& e) { return model.tensors[static_cast<size_t>(e.tensor)].name; };
  for (size_t i = 1; i < extents.size(); ++i) {
    if (extents[i - 1].end <= extents[i].begin) continue;
    in.set_place("tensor", name(extents[i]));
    in.refuse("expected data of its own, got {} to {}, which lies in {} up to {}", extents[i].begin, extents[i].end,
              printable(name(extents[i - 1])), extents[i - 1].end);
  }
  in.set_place("header", "");
  const uint64_t end = extents.empty() ? header_end : extents.back().end;
  if (file_size - end > gguf::kMaxTrailing)
    in.refuse("expected the file to end with its last tensor at {}, it has {} more bytes", end, file_size - end);
}

// Reads the tensor table into model.tensors.
void read_tensors(Cursor& in, uint64_t count, uint32_t alignment, uint64_t file_size, int32_t file,
                  StoredModel& model) {
  const size_t first = model.tensors.size();
  std::vector<Extent> extents;
  extents.reserve(static_cast<size_t>(count));
  model.tensors.reserve(first + static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) {
    StoredTensor tensor;
    tensor.name = read_name(in, "tensor", i, gguf::kMaxName);
    tensor.file = file;
    read_shape(in, tensor);
    read_type(in, tensor);
    tensor.offset = in.scalar<uint64_t>();
    if (tensor.offset % alignment != 0)
      in.refuse("expected an offset that is a multiple of {}, got {}", alignment, tensor.offset);
    if (!model.by_name.emplace(tensor.name, static_cast<int32_t>(model.tensors.size())).second)
      in.refuse("expected each tensor once, got it again");
    // Checked as soon as it is read, for the message's sake; the header only grows from here on.
    const CheckedU64 end = (CheckedU64(in.position()).pad(alignment) + tensor.offset) + tensor.bytes;
    if (!end.at_most(file_size))
      in.refuse("expected {} bytes at {} of the data within the file of {} bytes", tensor.bytes, tensor.offset,
                file_size);
    model.tensors.push_back(std::move(tensor));
  }
  const CheckedU64 data = CheckedU64(in.position()).pad(alignment);
  for (size_t i = first; i < model.tensors.size(); ++i) {
    StoredTensor& tensor = model.tensors[i];
    const CheckedU64 begin = data + tensor.offset;
    const CheckedU64 end = begin + tensor.bytes;
    in.set_place("tensor", tensor.name);
    if (!end.at_most(file_size))
      in.refuse("expected {} bytes at {} within the file of {} bytes", tensor.bytes, begin.value(), file_size);
    tensor.offset = begin.value();
    extents.push_back({begin.value(), end.value(), static_cast<int32_t>(i)});
  }
  check_extents(in, extents, in.position(), file_size, model);
}

// An architecture is a plain word, so that it can stand in keys and messages.
void read_architecture(Cursor& in, Config& config) {
  in.set_place("key", "general.architecture");
  const auto it = config.values.find("general.architecture");
  if (it == config.values.end()) in.refuse("expected a text, got nothing");
  const auto* text = std::get_if<std::string>(&it->second);
  if (text == nullptr) in.refuse("expected a text, got another type");
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  if (text->empty() || text->size() > 64 || !std::all_of(text->begin(), text->end(), plain))
    in.refuse("expected a name of lower-case letters and digits, got {}", quoted(*text));
  config.architecture = *text;
  in.set_place("header", "");
}

void read_header(Cursor& in, uint64_t file_size, int32_t file, bool first_part, Config& config, StoredModel& model) {
  const Counts counts = read_counts(in);
  const uint32_t alignment = read_keys(in, counts.keys, config);
  if (first_part) read_architecture(in, config);
  read_tensors(in, counts.tensors, alignment, file_size, file, model);
}

// "<stem>-00001-of-00003.gguf" of part 1 (counted from 1) and count.
std::string part_suffix(int64_t part, int64_t count) { return fmt::format("-{:05}-of-{:05}.gguf", part, count); }

// Opens parts 2 to `count`, which lie in the same folder.
void open_parts(StoredModel& model, int64_t count) {
  const std::string suffix = part_suffix(1, count);
  if (!model.path.ends_with(suffix))
    model.config.refuse("split.count", fmt::format("a file name ending in {}", suffix), "another");
  const std::string stem = model.path.substr(0, model.path.size() - suffix.size());
  for (int64_t part = 2; part <= count; ++part) {
    model.files.emplace_back(stem + part_suffix(part, count));
    const InputFile& file = model.files.back();
    Cursor in(file);
    Config config;
    config.source = file.path();
    read_header(in, file.size(), static_cast<int32_t>(part - 1), false, config, model);
    config.integer_in("split.no", part - 1, part - 1);
    config.integer_in("split.count", count, count);
  }
}

}  // namespace

void parse_gguf_header(const std::byte* bytes, size_t size, uint64_t file_size, const std::string& source,
                       StoredModel& model) {
  CHECK(size <= file_size, "{} bytes of a file of {}", size, file_size);
  Cursor in(bytes, size, source);
  model.container = Container::kGguf;
  model.config.source = source;
  read_header(in, file_size, 0, true, model.config, model);
}

StoredModel open_gguf(const std::string& path) {
  StoredModel model;
  model.container = Container::kGguf;
  model.path = path;
  model.config.source = printable_path(path);
  model.files.emplace_back(path);
  {
    Cursor in(model.files[0]);
    read_header(in, model.files[0].size(), 0, true, model.config, model);
  }
  const Config& config = model.config;
  if (!config.has("split.count")) return model;
  const int64_t count = config.integer_in("split.count", 1, gguf::kMaxParts);
  if (config.integer("split.no") != 0)
    config.refuse("split.no", "0, which the part named ...-00001-of-... has",
                  fmt::format("{}", config.integer("split.no")));
  if (count > 1) open_parts(model, count);
  if (config.has("split.tensors.count")) {
    const auto n = static_cast<int64_t>(model.tensors.size());
    config.integer_in("split.tensors.count", n, n);
  }
  return model;
}

}  // namespace godwit
