// Attributes, items and slices, as jinja2's immutable sandbox finds them; and the methods of everything but strings.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "text/template_interpreter.h"

namespace godwit::jinja {
namespace {

// What the sandbox keeps templates from: methods that change a list or a dict.
bool changes_list(std::string_view name) {
  static constexpr std::array<std::string_view, 8> kNames = {"append", "clear", "pop",    "reverse",
                                                             "insert", "sort",  "extend", "remove"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}
bool changes_dict(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {"clear", "pop", "popitem", "setdefault", "update"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}
bool is_internal(std::string_view name) { return name.size() > 4 && name.starts_with("__") && name.ends_with("__"); }

Value forbidden(Interpreter& in, const Value& value, std::string_view name) {
  return make_undefined(
      in.runtime(), fmt::format("access to attribute '{}' of a {} is unsafe", printable(name, 40), type_name(value)));
}

Value dict_method(Interpreter& in, const Value& value, std::string_view name) {
  using Part = ViewObject::Part;
  if (name == "items" || name == "keys" || name == "values") {
    const Part part = name == "items" ? Part::kItems : name == "keys" ? Part::kKeys : Part::kValues;
    return in.function(std::string(name), [value, part](Interpreter& with, Arguments& arguments) {
      with.bind({"items", "", 0}, arguments);
      const Ref<DictObject> dict(&value.as<DictObject>());
      return wrap(Kind::kView, make_object<ViewObject>(with.runtime(), dict, part));
    });
  }
  if (name == "get") {
    return in.function("get", [value](Interpreter& with, Arguments& arguments) {
      if (!arguments.named.empty()) with.runtime().fail("get() takes no named arguments");
      const Values bound = with.bind({"get", "key default", 1}, arguments);
      const Value* found = dict_find(with.runtime(), value.as<DictObject>(), bound[0]);
      if (found != nullptr) return *found;
      return bound[1].missing() ? Value::none() : bound[1];
    });
  }
  if (name == "copy") {
    return in.function("copy", [value](Interpreter& with, Arguments& arguments) {
      with.bind({"copy", "", 0}, arguments);
      return value;  // nothing changes it
    });
  }
  return Value();
}

Value list_method(Interpreter& in, const Value& value, std::string_view name) {
  if (name == "index" || name == "count") {
    const bool counts = name == "count";
    return in.function(std::string(name), [value, counts](Interpreter& with, Arguments& arguments) {
      const Values bound = with.bind({counts ? "count" : "index", counts ? "value" : "value start stop", 1}, arguments);
      const Values& items = value.as<ListObject>().items;
      int64_t from = 0;
      int64_t to = static_cast<int64_t>(items.size());
      if (!counts) {
        const int64_t size = to;
        const auto clip = [size](int64_t at) { return std::clamp(at < 0 ? at + size : at, int64_t{0}, size); };
        from = clip(with.integer(bound[1], 0));
        to = clip(with.integer(bound[2], size));
      }
      int64_t found = 0;
      for (int64_t i = from; i < to; ++i) {
        if (!equal(with.runtime(), items[static_cast<size_t>(i)], bound[0])) continue;
        if (!counts) return Value::of(i);
        ++found;
      }
      if (!counts) with.runtime().fail("index(): the value is not in the {}", type_name(value));
      return Value::of(found);
    });
  }
  if (name == "copy" && value.is(Kind::kList)) {
    return in.function("copy", [value](Interpreter& with, Arguments& arguments) {
      with.bind({"copy", "", 0}, arguments);
      return value;
    });
  }
  return Value();
}

Value cycler_method(Interpreter& in, const Value& value, std::string_view name) {
  const CyclerObject& cycler = value.as<CyclerObject>();
  if (name == "current") return cycler.items[cycler.at];
  if (name != "next" && name != "reset") return Value();
  const bool next = name == "next";
  return in.function(std::string(name), [value, next](Interpreter& with, Arguments& arguments) {
    with.bind({next ? "next" : "reset", "", 0}, arguments);
    CyclerObject& of = value.as<CyclerObject>();
    const Value current = next ? of.items[of.at] : Value::none();
    of.at = next ? (of.at + 1) % of.items.size() : 0;
    return current;
  });
}

}  // namespace

Value find_method(Interpreter& in, const Value& value, std::string_view name) {
  switch (value.kind()) {
    case Kind::kString:
      return find_string_method(in, value, name);
    case Kind::kDict:
      return changes_dict(name) ? forbidden(in, value, name) : dict_method(in, value, name);
    case Kind::kList:
      if (changes_list(name)) return forbidden(in, value, name);
      return list_method(in, value, name);
    case Kind::kTuple: {
      const ListObject& tuple = value.as<ListObject>();
      if (tuple.group && name == "grouper") return tuple.items[0];
      if (tuple.group && name == "list") return tuple.items[1];
      return list_method(in, value, name);
    }
    case Kind::kRange: {
      const RangeObject& range = value.as<RangeObject>();
      if (name == "start") return Value::of(range.start);
      if (name == "stop") return Value::of(range.stop);
      if (name == "step") return Value::of(range.step);
      return Value();
    }
    case Kind::kCycler:
      return cycler_method(in, value, name);
    case Kind::kMacro:
      return name == "name" ? in.text(Text(value.as<MacroObject>().stmt.name, false)) : Value();
    default:
      return Value();
  }
}

Value Interpreter::attribute(const Value& value, std::string_view name) {
  if (value.undefined() || value.missing()) undefined_used(value);
  if (is_internal(name)) return forbidden(*this, value, name);
  if (value.is(Kind::kNamespace)) {
    const auto& attributes = value.as<NamespaceObject>().attributes;
    const auto found = attributes.find(name);
    if (found != attributes.end()) return found->second;
  } else if (value.is(Kind::kLoop)) {
    Value found = loop_attribute(value, name);
    if (!found.missing()) return found;
  } else {
    Value method = find_method(*this, value, name);
    if (!method.missing()) return method;
    if (value.is(Kind::kDict)) {
      const Value* found = value.as<DictObject>().find(name);
      if (found != nullptr) return *found;
    }
  }
  return make_undefined(runtime_, fmt::format("a {} has no attribute '{}'", type_name(value), printable(name, 60)));
}

Value Interpreter::item(const Value& value, const Value& key) {
  if (value.undefined() || value.missing()) undefined_used(value);
  if (value.is(Kind::kDict)) {
    // What has no hash is no key: for jinja2 just an item that is not there.
    const bool hashes = !key.is(Kind::kList) && !key.is(Kind::kDict) && !key.is(Kind::kView);
    const Value* found = hashes ? dict_find(runtime_, value.as<DictObject>(), key) : nullptr;
    if (found != nullptr) return *found;
  } else if (key.integral()) {
    int64_t at = key.integer();
    const bool ordered = value.string() || value.is(Kind::kList) || value.is(Kind::kTuple) || value.is(Kind::kRange);
    if (ordered) {
      const int64_t size = length(runtime_, value);
      if (at < 0) at += size;
      if (at >= 0 && at < size) {
        if (value.is(Kind::kRange)) return Value::of(value.as<RangeObject>().at(at));
        if (!value.string()) return value.as<ListObject>().items[static_cast<size_t>(at)];
        const StringObject& string = value.as<StringObject>();
        const size_t begin = string.offset(static_cast<size_t>(at));
        Text point;
        point.append(string.text, begin, begin + code_at(string.text.bytes, begin).length);
        return text(std::move(point), string.markup);
      }
    }
  }
  if (key.string()) {
    const std::string& name = key.as<StringObject>().text.bytes;
    if (!value.is(Kind::kDict)) return attribute(value, name);
    if (is_internal(name)) return forbidden(*this, value, name);
    Value method = find_method(*this, value, name);
    if (!method.missing()) return method;
    return make_undefined(runtime_, fmt::format("a dict has no item '{}'", printable(name, 60)));
  }
  return make_undefined(runtime_, fmt::format("a {} has no such item", type_name(value)));
}

Value Interpreter::slice(const Value& value, const Value& from, const Value& to, const Value& step) {
  if (value.undefined()) undefined_used(value);
  const bool listed = value.is(Kind::kList) || value.is(Kind::kTuple);
  if (!value.string() && !listed && !value.is(Kind::kRange)) runtime_.fail("a {} cannot be sliced", type_name(value));
  for (const Value* part : {&from, &to, &step}) {
    if (part->undefined()) undefined_used(*part);
    if (!part->is(Kind::kNone) && !part->integral())
      runtime_.fail("a slice takes whole numbers, got a {}", type_name(*part));
  }
  // Python's slice.indices.
  const int64_t size = length(runtime_, value);
  const int64_t by = step.is(Kind::kNone) ? 1 : step.integer();
  if (by == 0) runtime_.fail("a slice's step is zero");
  const int64_t lowest = by < 0 ? -1 : 0;
  const int64_t highest = by < 0 ? size - 1 : size;
  const auto clip = [&](const Value& part, int64_t otherwise) {
    if (part.is(Kind::kNone)) return otherwise;
    const int64_t at = part.integer();
    return at < 0 ? std::max(at + size, lowest) : std::min(at, highest);
  };
  const int64_t begin = clip(from, by < 0 ? highest : lowest);
  const int64_t end = clip(to, by < 0 ? lowest : highest);
  int64_t count = 0;
  if (by > 0 && begin < end) count = (end - begin - 1) / by + 1;
  if (by < 0 && end < begin)
    count = static_cast<int64_t>((static_cast<uint64_t>(begin - end) - 1) / (-static_cast<uint64_t>(by))) + 1;
  if (value.is(Kind::kRange)) {
    const RangeObject& range = value.as<RangeObject>();
    int64_t first = 0, last = 0, wide = 0;
    if (__builtin_mul_overflow(begin, range.step, &first) || __builtin_add_overflow(first, range.start, &first) ||
        __builtin_mul_overflow(end, range.step, &last) || __builtin_add_overflow(last, range.start, &last) ||
        __builtin_mul_overflow(range.step, by, &wide)) {
      runtime_.fail("a number beyond 64 bits");
    }
    return wrap(Kind::kRange, make_object<RangeObject>(runtime_, first, last, wide, count));
  }
  // With one item the step leads nowhere, and may be too large to add.
  const int64_t stride = count > 1 ? by : 0;
  if (listed) {
    const Values& items = value.as<ListObject>().items;
    runtime_.check_room(static_cast<uint64_t>(count) * sizeof(Value));
    Values picked;
    picked.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) picked.push_back(items[static_cast<size_t>(begin + i * stride)]);
    runtime_.step(static_cast<uint64_t>(count) / 8);
    return make_list(runtime_, std::move(picked), value.kind());
  }
  const StringObject& string = value.as<StringObject>();
  Builder out(runtime_);
  if (count == 0) return out.value(string.markup);
  const size_t first = string.offset(static_cast<size_t>(begin));
  if (by == 1) {
    out.add(string.text, first, string.offset(static_cast<size_t>(end)));
    return out.value(string.markup);
  }
  const std::string& bytes = string.text.bytes;
  size_t at = first;
  for (int64_t i = 0; i < count; ++i) {
    runtime_.scanned(32);
    out.add(string.text, at, at + code_at(bytes, at).length);
    if (i + 1 == count) break;
    for (int64_t n = stride; n > 0; --n) at += code_at(bytes, at).length;
    for (int64_t n = stride; n < 0; ++n) at = code_before(bytes, at);
  }
  runtime_.scanned(bytes.size());
  return out.value(string.markup);
}

}  // namespace godwit::jinja
