#include "mutate_gguf.h"

#include <algorithm>
#include <cstring>

#include "../../formats/gguf_builder.h"
#include "base/error.h"
#include "mutate_json.h"

namespace godwit::testing {
namespace {

constexpr size_t kWidths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};  // by value type
constexpr uint32_t kTypes = 13;

class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}
  template <class T>
  T number() {
    CHECK(sizeof(T) <= bytes_.size() - at_, "the file ends at {}", at_);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string take(size_t n) {
    CHECK(n <= bytes_.size() - at_, "the file ends at {}", at_);
    at_ += n;
    return bytes_.substr(at_ - n, n);
  }
  std::string text() { return take(number<uint64_t>()); }
  std::string value(uint32_t type) { return type == kString ? gguf_string(text()) : take(kWidths[type]); }
  size_t at() const { return at_; }

 private:
  const std::string& bytes_;
  size_t at_ = 0;
};

uint64_t aligned(uint64_t at, uint64_t alignment) { return (at + alignment - 1) / alignment * alignment; }

// The bytes of an extreme of a type.
std::string extreme_value(uint32_t type, const std::vector<std::string>& words, Dice& dice) {
  if (type == kString) return gguf_string(some_word(dice, words));
  if (type == kF32) return le(static_cast<float>(dice.of(kReals)));
  if (type == kF64) return le(dice.of(kReals));
  if (type == kArray) return le(uint32_t{kU8}) + le(uint64_t{0});
  if (type >= kTypes) return std::string(8, '\0');
  return le(dice.of(kIntegers)).substr(0, kWidths[type]);
}

// A number that is near what stands there.
std::string neighbour(const std::string& bytes, Dice& dice) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), std::min<size_t>(bytes.size(), 8));
  const uint64_t changed[] = {value + 1, value - 1, value * 2, value / 2, value + 32, value ^ 1};
  return le(dice.of(changed)).substr(0, bytes.size());
}

void change_array(GgufParts::Key& key, const std::vector<std::string>& words, Dice& dice) {
  auto& values = key.values;
  if (values.empty()) {
    values.assign(1 + dice.below(300), extreme_value(key.element_type, words, dice));
    return;
  }
  const size_t i = dice.below(values.size());
  const size_t n = size_t{1} << dice.below(10);
  switch (dice.below(8)) {
    case 0:
      values.resize(i);
      break;
    case 1:
      values.insert(values.end(), n, values[i]);
      break;
    case 2:
      values.push_back(extreme_value(key.element_type, words, dice));
      break;
    case 3:
      key.element_type = static_cast<uint32_t>(dice.below(kTypes + 2));
      break;  // the bytes stay
    case 4: {
      key.element_type = static_cast<uint32_t>(dice.below(kTypes));
      for (std::string& value : values) value = extreme_value(key.element_type, words, dice);
      break;
    }
    case 5:
      key.count = dice.one_in(2) ? static_cast<uint64_t>(dice.of(kIntegers)) : values.size() + dice.below(3) - 1;
      break;
    case 6:
      std::swap(values[i], dice.of(values));
      break;
    default:
      values[i] = extreme_value(key.element_type, words, dice);
  }
}

void change_key(GgufParts& parts, const std::vector<std::string>& words, Dice& dice) {
  if (parts.keys.empty()) return;
  // Half of the changes to the tokenizer's keys, half to all others.
  const bool text = dice.one_in(2);
  std::vector<size_t> some;
  for (size_t i = 0; i < parts.keys.size(); ++i)
    if (parts.keys[i].name.starts_with("tokenizer.") == text) some.push_back(i);
  const size_t index = some.empty() ? dice.below(parts.keys.size()) : dice.of(some);
  auto& key = parts.keys[index];
  dice.log += " key " + key.name;
  if (key.name == "tokenizer.chat_template" && key.type == kString && !dice.one_in(4)) {
    std::string source = key.values[0].substr(8);
    mutate_template(source, dice);
    key.values[0] = gguf_string(source);
    return;
  }
  if (key.name == "tokenizer.huggingface.json" && key.type == kString && !dice.one_in(4)) {
    key.values[0] = gguf_string(mutate_json(key.values[0].substr(8), words, dice));
    return;
  }
  switch (dice.below(10)) {
    case 0:
      dice.log += " removed;";
      parts.keys.erase(parts.keys.begin() + static_cast<ptrdiff_t>(index));
      return;
    case 1: {
      dice.log += " doubled;";
      const auto copy = key;
      parts.keys.push_back(copy);
      return;
    }
    case 2:
      key.name = dice.one_in(2) ? dice.of(parts.keys).name : some_word(dice, words);
      dice.log += " renamed;";
      return;
    case 3: {
      const auto& other = dice.of(parts.keys);
      dice.log += " as " + other.name + ";";
      const auto copy = other;
      key.type = copy.type, key.element_type = copy.element_type, key.values = copy.values;
      return;
    }
    case 4: {
      key.type = static_cast<uint32_t>(dice.below(kTypes + 1));
      key.element_type = kU8;
      key.values.assign(key.type == kArray ? 0 : 1, extreme_value(key.type, words, dice));
      break;
    }
    case 5:
      key.type = static_cast<uint32_t>(dice.below(kTypes));  // the bytes stay
      break;
    default:
      if (key.type == kArray) {
        change_array(key, words, dice);
      } else if (key.values.size() == 1) {
        const bool near = key.type != kString && key.type != kF32 && key.type != kF64 && dice.one_in(2);
        key.values[0] = near ? neighbour(key.values[0], dice) : extreme_value(key.type, words, dice);
      }
  }
  uint64_t shown = 0;
  if (!key.values.empty()) std::memcpy(&shown, key.values[0].data(), std::min<size_t>(key.values[0].size(), 8));
  dice.log += fmt::format(" type {} x{} = {:#x};", key.type, key.values.size(), shown);
}

void change_tensor(GgufParts& parts, const std::vector<std::string>& words, Dice& dice) {
  if (parts.tensors.empty()) return;
  const size_t index = dice.below(parts.tensors.size());
  auto& tensor = parts.tensors[index];
  auto& other = dice.of(parts.tensors);
  dice.log += " tensor " + tensor.name;
  const auto number = [&](uint64_t near) {
    const uint64_t changed[] = {near + 1, near - 1, near * 2, near / 2, near + 32};
    return dice.one_in(2) ? dice.of(changed) : static_cast<uint64_t>(dice.of(kIntegers));
  };
  switch (dice.below(12)) {
    case 0:
      parts.tensors.erase(parts.tensors.begin() + static_cast<ptrdiff_t>(index));
      break;
    case 1: {
      const auto copy = tensor;
      parts.tensors.push_back(copy);
      break;
    }
    case 2:
      std::swap(tensor.name, other.name);
      break;
    case 3:
      std::swap(tensor, other);
      break;
    case 4:
      tensor.name = dice.one_in(2) ? other.name : some_word(dice, words);
      break;
    case 5: {
      uint32_t type = static_cast<uint32_t>(dice.below(45));
      tensor.type = dice.one_in(6) ? static_cast<uint32_t>(dice.of(kIntegers)) : type;
      break;
    }
    case 6:
      tensor.offset = dice.one_in(3) ? other.offset : number(tensor.offset);
      break;
    case 7:
      if (tensor.sizes.size() > 1) std::swap(dice.of(tensor.sizes), dice.of(tensor.sizes));
      break;
    case 8:
      if (dice.one_in(2) && !tensor.sizes.empty()) {
        tensor.sizes.pop_back();
      } else {
        tensor.sizes.push_back(dice.one_in(2) ? 1 : number(2));
      }
      break;
    case 9:
      tensor.rank = static_cast<uint32_t>(number(tensor.sizes.size()));
      break;
    default:
      if (!tensor.sizes.empty()) {
        uint64_t& size = dice.of(tensor.sizes);
        size = number(size);
      }
  }
  dice.log += ";";
}

void change_counts(GgufParts& parts, Dice& dice) {
  const auto number = [&](uint64_t near) {
    return dice.one_in(2) ? near + dice.below(5) - 2 : static_cast<uint64_t>(dice.of(kIntegers));
  };
  dice.log += " counts;";
  switch (dice.below(5)) {
    case 0:
      parts.n_tensors = number(parts.tensors.size());
      break;
    case 1:
      parts.n_keys = number(parts.keys.size());
      break;
    case 2:
      parts.version = static_cast<uint32_t>(number(3));
      break;
    case 3: {
      const uint32_t alignments[] = {0, 1, 8, 16, 31, 64, 4096, 1u << 31, UINT32_MAX};
      const uint32_t alignment = dice.of(alignments);
      parts.keys.push_back({"general.alignment", kU32, 0, {}, {le(alignment)}});
      if (alignment >= 8 && alignment <= 4096) parts.alignment = alignment;
      break;
    }
    default:
      mutate_bytes(parts.data, dice);
  }
}

}  // namespace

GgufParts GgufParts::of(const std::string& file) {
  Reader in(file);
  GgufParts parts;
  in.take(4);
  parts.version = in.number<uint32_t>();
  parts.tensors.resize(in.number<uint64_t>());
  parts.keys.resize(in.number<uint64_t>());
  for (Key& key : parts.keys) {
    key.name = in.text();
    key.type = in.number<uint32_t>();
    if (key.type == kArray) {
      key.element_type = in.number<uint32_t>();
      key.values.resize(in.number<uint64_t>());
      for (std::string& value : key.values) value = in.value(key.element_type);
    } else {
      key.values = {in.value(key.type)};
    }
  }
  for (Tensor& tensor : parts.tensors) {
    tensor.name = in.text();
    tensor.sizes.resize(in.number<uint32_t>());
    for (uint64_t& size : tensor.sizes) size = in.number<uint64_t>();
    tensor.type = in.number<uint32_t>();
    tensor.offset = in.number<uint64_t>();
  }
  const uint64_t start = aligned(in.at(), parts.alignment);
  if (start < file.size()) parts.data = file.substr(start);
  return parts;
}

std::string GgufParts::file() const {
  std::string out = "GGUF" + le(version) + le(n_tensors.value_or(tensors.size())) + le(n_keys.value_or(keys.size()));
  for (const Key& key : keys) {
    out += gguf_string(key.name) + le(key.type);
    if (key.type == kArray) out += le(key.element_type) + le(key.count.value_or(key.values.size()));
    for (const std::string& value : key.values) out += value;
  }
  for (const Tensor& tensor : tensors) {
    out += gguf_string(tensor.name) + le(tensor.rank.value_or(static_cast<uint32_t>(tensor.sizes.size())));
    for (const uint64_t size : tensor.sizes) out += le(size);
    out += le(tensor.type) + le(tensor.offset);
  }
  out.resize(aligned(out.size(), alignment), '\0');
  return out + data;
}

void mutate_gguf(GgufParts& parts, const std::vector<std::string>& words, Dice& dice) {
  const size_t what = dice.below(20);
  if (what < 11) {
    change_key(parts, words, dice);
  } else if (what < 18) {
    change_tensor(parts, words, dice);
  } else {
    change_counts(parts, dice);
  }
}

}  // namespace godwit::testing
