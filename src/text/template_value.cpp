#include "text/template_value.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace godwit::jinja {

void Runtime::fail_with(const std::string& what) const {
  if (line == 0) invalid("{}: {}", printable_path(name_), what);
  invalid("{}: line {}: {}", printable_path(name_), line, what);
}

void Runtime::bury(Object* object) {
  dead_.push_back(object);
  if (burying_) return;
  burying_ = true;
  while (!dead_.empty()) {
    Object* next = dead_.back();
    dead_.pop_back();
    delete next;
  }
  burying_ = false;
}

StringObject::StringObject(Runtime& r, Text t, bool is_markup)
    : Object(r, sizeof(*this) + t.bytes.size() + t.data.size() * sizeof(TextRange)),
      text(std::move(t)),
      markup(is_markup) {}

size_t StringObject::length() const {
  if (length_ == static_cast<size_t>(-1)) {
    runtime.scanned(text.bytes.size());
    length_ = count_code_points(text.bytes);
  }
  return length_;
}

size_t StringObject::offset(size_t index) const {
  if (length() == text.bytes.size()) return index;
  runtime.scanned(text.bytes.size());
  size_t at = 0;
  for (; index > 0; --index) at += code_at(text.bytes, at).length;
  return at;
}

Value make_string(Runtime& runtime, Text text, bool markup) {
  runtime.check_room(text.bytes.size());
  return wrap(Kind::kString, make_object<StringObject>(runtime, std::move(text), markup));
}

Value make_list(Runtime& runtime, Values items, Kind kind) {
  runtime.step(items.size() / 16);
  runtime.check_room(items.size() * sizeof(Value));
  return wrap(kind, make_object<ListObject>(runtime, std::move(items)));
}

Value make_undefined(Runtime& runtime, std::string message) {
  return wrap(Kind::kUndefined, make_object<UndefinedObject>(runtime, std::move(message)));
}

Value make_iterator(Runtime& runtime, IteratorObject::Next next) {
  return wrap(Kind::kIterator, make_object<IteratorObject>(runtime, std::move(next)));
}

const char* type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.as<StringObject>().markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView:
      return "dict view";
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "namespace";
    case Kind::kLoop:
      return "loop";
    case Kind::kMacro:
      return "macro";
    case Kind::kFunction:
      return "function";
    case Kind::kCycler:
      return "cycler";
    case Kind::kJoiner:
      return "joiner";
  }
  return "";
}

// Equality and order.

namespace {

bool whole(double value) { return value >= -0x1p63 && value < 0x1p63 && value == std::floor(value); }

// -1, 0, 1; 2 when there is no order (NaN). Exact for whole numbers beyond 2^53.
int compare_numbers(const Value& a, const Value& b) {
  if (a.integral() && b.integral()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  if (a.integral() && whole(b.real())) {
    const int64_t other = static_cast<int64_t>(b.real());
    return a.integer() < other ? -1 : a.integer() > other ? 1 : 0;
  }
  if (b.integral() && whole(a.real())) {
    const int64_t other = static_cast<int64_t>(a.real());
    return other < b.integer() ? -1 : other > b.integer() ? 1 : 0;
  }
  const double x = a.real();
  const double y = b.real();
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}

bool is_sequence(const Value& value) { return value.is(Kind::kList) || value.is(Kind::kTuple); }

const std::string& bytes_of(const Value& value) { return value.as<StringObject>().text.bytes; }

}  // namespace

std::string hash_key(Runtime& runtime, const Value& value) {
  const Deeper deeper(runtime);
  switch (value.kind()) {
    case Kind::kString:
      runtime.copied(bytes_of(value).size());
      return bytes_of(value);
    case Kind::kNone:
      return "\xFFn";
    case Kind::kBool:
    case Kind::kInt:
      return fmt::format("\xFF{}", value.integer());
    case Kind::kFloat:
      if (whole(value.real())) return fmt::format("\xFF{}", static_cast<int64_t>(value.real()));
      return fmt::format("\xFF{}", value.real());
    case Kind::kTuple: {
      std::string key = "\xFF(";
      for (const Value& item : value.as<ListObject>().items) {
        runtime.step();
        const std::string inner = hash_key(runtime, item);
        runtime.check_room(key.size() + inner.size());
        fmt::format_to(std::back_inserter(key), "{}:", inner.size());
        key += inner;
      }
      return key;
    }
    case Kind::kUndefined:
      return "\xFFu";
    case Kind::kRange: {
      const RangeObject& range = value.as<RangeObject>();
      return fmt::format("\xFFr{} {} {}", range.count, range.count > 0 ? range.start : 0,
                         range.count > 1 ? range.step : 0);
    }
    case Kind::kList:
    case Kind::kDict:
    case Kind::kView:
      runtime.fail("a {} cannot be a key or be told from others: it has no hash", type_name(value));
    default:
      return fmt::format("\xFFp{}", fmt::ptr(value.object()));
  }
}

void dict_set(Runtime& runtime, DictObject& dict, Value key, Value value) {
  std::string hash = hash_key(runtime, key);
  const auto known = dict.places.find(hash);
  if (known != dict.places.end()) {
    dict.items[known->second].second = std::move(value);
    return;
  }
  const uint64_t bytes = 2 * sizeof(Value) + hash.size() + 96;
  runtime.step();
  runtime.check_room(bytes);
  dict.resize(dict.size + bytes);
  dict.places.emplace(std::move(hash), dict.items.size());
  dict.items.emplace_back(std::move(key), std::move(value));
}

const Value* dict_find(Runtime& runtime, const DictObject& dict, const Value& key) {
  if (key.string()) return dict.find(bytes_of(key));
  return dict.find(hash_key(runtime, key));
}

bool truth(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return value.boolean();
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.real() != 0;
    case Kind::kString:
      return !bytes_of(value).empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kRange:
    case Kind::kLoop:
      return length(runtime, value) != 0;
    default:
      return true;
  }
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.step();
  if (a.number() && b.number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      runtime.copied(std::min(bytes_of(a).size(), bytes_of(b).size()));
      return bytes_of(a) == bytes_of(b);
    case Kind::kList:
    case Kind::kTuple: {
      const Deeper deeper(runtime);
      const Values& x = a.as<ListObject>().items;
      const Values& y = b.as<ListObject>().items;
      if (x.size() != y.size()) return false;
      for (size_t i = 0; i < x.size(); ++i) {
        if (!equal(runtime, x[i], y[i])) return false;
      }
      return true;
    }
    case Kind::kDict: {
      const Deeper deeper(runtime);
      const DictObject& x = a.as<DictObject>();
      const DictObject& y = b.as<DictObject>();
      if (x.items.size() != y.items.size()) return false;
      for (const auto& item : x.items) {
        const Value* other = dict_find(runtime, y, item.first);
        if (other == nullptr || !equal(runtime, item.second, *other)) return false;
      }
      return true;
    }
    case Kind::kRange:
      return hash_key(runtime, a) == hash_key(runtime, b);
    default:
      return a.object() == b.object();
  }
}

bool less(Runtime& runtime, const Value& a, const Value& b, bool or_equal) {
  runtime.step();
  if (a.number() && b.number()) {
    const int order = compare_numbers(a, b);
    return order == -1 || (or_equal && order == 0);
  }
  if (a.string() && b.string()) {
    // The order of UTF-8's bytes is that of code points.
    runtime.copied(std::min(bytes_of(a).size(), bytes_of(b).size()));
    const int order = bytes_of(a).compare(bytes_of(b));
    return order < 0 || (or_equal && order == 0);
  }
  if (is_sequence(a) && a.kind() == b.kind()) {
    const Deeper deeper(runtime);
    const Values& x = a.as<ListObject>().items;
    const Values& y = b.as<ListObject>().items;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(runtime, x[i], y[i])) return less(runtime, x[i], y[i], or_equal);
    }
    return x.size() < y.size() || (or_equal && x.size() == y.size());
  }
  if (a.undefined()) runtime.fail_with(a.as<UndefinedObject>().message);
  if (b.undefined()) runtime.fail_with(b.as<UndefinedObject>().message);
  runtime.fail("a {} and a {} have no order", type_name(a), type_name(b));
}

bool contains(Runtime& runtime, const Value& in, const Value& item) {
  if (in.string()) {
    if (!item.string()) runtime.fail("'in <string>' requires a string on its left, not a {}", type_name(item));
    runtime.searched(bytes_of(in).size(), bytes_of(item).size());
    return bytes_of(in).find(bytes_of(item)) != std::string::npos;
  }
  if (in.is(Kind::kDict)) return dict_find(runtime, in.as<DictObject>(), item) != nullptr;
  if (in.is(Kind::kView) && in.as<ViewObject>().part == ViewObject::Part::kKeys) {
    return dict_find(runtime, *in.as<ViewObject>().dict, item) != nullptr;
  }
  const Ref<IteratorObject> iterator = iterate(runtime, in);
  for (Value other; iterator->next(other);) {
    if (equal(runtime, other, item)) return true;
  }
  return false;
}

// Length and iteration.

bool has_length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kRange:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

namespace {

int64_t loop_length(Runtime& runtime, LoopObject& loop) {
  if (loop.length >= 0) return loop.length;
  if (has_length(loop.iterable)) return loop.length = length(runtime, loop.iterable);
  Values rest;
  for (Value item; loop.iterator->next(item);) {
    runtime.check_room((rest.size() + 1) * sizeof(Value));
    rest.push_back(std::move(item));
  }
  loop.length = static_cast<int64_t>(rest.size()) + loop.index0 + 1 + (loop.after.missing() ? 0 : 1);
  loop.iterator = iterate(runtime, make_list(runtime, std::move(rest)));
  return loop.length;
}

}  // namespace

int64_t length(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(value.as<StringObject>().length());
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.as<ListObject>().items.size());
    case Kind::kDict:
      return static_cast<int64_t>(value.as<DictObject>().items.size());
    case Kind::kView:
      return static_cast<int64_t>(value.as<ViewObject>().dict->items.size());
    case Kind::kRange:
      return value.as<RangeObject>().count;
    case Kind::kLoop:
      return loop_length(runtime, value.as<LoopObject>());
    default:
      runtime.fail("a {} has no length", type_name(value));
  }
}

bool iterable(const Value& value) { return value.is(Kind::kIterator) || (has_length(value) && !value.is(Kind::kLoop)); }

Ref<IteratorObject> iterate(Runtime& runtime, const Value& value) {
  // Values are small and shared: each closure keeps its own reference to what it goes through.
  IteratorObject::Next next;
  Runtime* const counter = &runtime;
  switch (value.kind()) {
    case Kind::kIterator:
      return Ref<IteratorObject>(&value.as<IteratorObject>());
    case Kind::kUndefined:
      next = [](Value&) { return false; };
      break;
    case Kind::kString: {
      next = [counter, value, at = size_t{0}](Value& out) mutable {
        const Text& text = value.as<StringObject>().text;
        if (at >= text.bytes.size()) return false;
        counter->step();
        const size_t end = at + code_at(text.bytes, at).length;
        Text piece;
        piece.append(text, at, end);
        out = make_string(*counter, std::move(piece));
        at = end;
        return true;
      };
      break;
    }
    case Kind::kList:
    case Kind::kTuple:
      next = [counter, value, at = size_t{0}](Value& out) mutable {
        const Values& items = value.as<ListObject>().items;
        if (at >= items.size()) return false;
        counter->step();
        out = items[at++];
        return true;
      };
      break;
    case Kind::kDict:
    case Kind::kView: {
      const bool view = value.is(Kind::kView);
      const Ref<DictObject> dict = view ? value.as<ViewObject>().dict : Ref<DictObject>(&value.as<DictObject>());
      const ViewObject::Part part = view ? value.as<ViewObject>().part : ViewObject::Part::kKeys;
      next = [counter, dict, part, at = size_t{0}](Value& out) mutable {
        if (at >= dict->items.size()) return false;
        counter->step();
        const std::pair<Value, Value>& item = dict->items[at++];
        if (part == ViewObject::Part::kKeys) {
          out = item.first;
        } else if (part == ViewObject::Part::kValues) {
          out = item.second;
        } else {
          out = make_list(*counter, {item.first, item.second}, Kind::kTuple);
        }
        return true;
      };
      break;
    }
    case Kind::kRange:
      next = [counter, value, at = int64_t{0}](Value& out) mutable {
        const RangeObject& range = value.as<RangeObject>();
        if (at >= range.count) return false;
        counter->step();
        out = Value::of(range.at(at++));
        return true;
      };
      break;
    default:
      runtime.fail("a {} cannot be gone through", type_name(value));
  }
  return make_object<IteratorObject>(runtime, std::move(next));
}

Values to_values(Runtime& runtime, const Value& value) {
  if (is_sequence(value)) {
    const Values& items = value.as<ListObject>().items;
    runtime.step(items.size());
    runtime.check_room(items.size() * sizeof(Value));
    return items;
  }
  Values items;
  const Ref<IteratorObject> iterator = iterate(runtime, value);
  for (Value item; iterator->next(item);) {
    runtime.check_room((items.size() + 1) * sizeof(Value));
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace godwit::jinja
