// jinja2's filters for what can be gone through. Those that are generators in Python are so here: nothing runs before
// it is asked for, and they have no length and are always true.
#include <algorithm>
#include <map>

#include "base/text.h"
#include "text/template_interpreter.h"

namespace godwit::jinja {
namespace {

using Key = std::function<Value(const Value&)>;

// The parts of "a.b.0", as jinja2's attribute arguments.
Values attribute_parts(Interpreter& in, const Value& attribute) {
  if (attribute.missing() || attribute.is(Kind::kNone)) return {};
  if (!attribute.string()) return {attribute};
  Values parts;
  const Text dot(".", false);
  for (Text& part : split(in.runtime(), attribute.as<StringObject>().text, &dot, -1, false)) {
    int64_t number = 0;
    const bool digits = !part.bytes.empty() && part.bytes.find_first_not_of("0123456789") == std::string::npos;
    if (digits && !parse_int(part.bytes, 10, number)) in.runtime().fail("a number beyond 64 bits");
    parts.push_back(digits ? Value::of(number) : in.text(std::move(part)));
  }
  return parts;
}

Value without_case(Interpreter& in, Value value) {
  if (!value.string()) return value;
  const StringObject& string = value.as<StringObject>();
  return in.text(to_case(in.runtime(), string.text, Case::kLower), string.markup);
}

// item.attribute, in lower case unless cases matter.
Key attribute_key(Interpreter& in, const Value& attribute, bool ignore_case, const Value& otherwise = {}) {
  Interpreter* const with = &in;
  const Values parts = attribute_parts(in, attribute);
  return [with, parts, ignore_case, otherwise](const Value& item) {
    Value value = item;
    for (const Value& part : parts) {
      value = with->item(value, part);
      if (!otherwise.missing() && !otherwise.is(Kind::kNone) && value.undefined()) value = otherwise;
    }
    return ignore_case ? without_case(*with, std::move(value)) : value;
  };
}

// Several attributes, with commas between them: a list to sort by.
Key attribute_list_key(Interpreter& in, const Value& attribute, bool ignore_case) {
  std::vector<Key> keys;
  if (attribute.string()) {
    const Text comma(",", false);
    for (Text& part : split(in.runtime(), attribute.as<StringObject>().text, &comma, -1, false)) {
      keys.push_back(attribute_key(in, in.text(std::move(part)), ignore_case));
    }
  } else {
    keys.push_back(attribute_key(in, attribute, ignore_case));
  }
  Interpreter* const with = &in;
  return [with, keys](const Value& item) {
    Values values;
    for (const Key& key : keys) values.push_back(key(item));
    return make_list(with->runtime(), std::move(values));
  };
}

// Sorted stably by key; descending keeps equals in order, as Python's reverse does.
Values sorted(Interpreter& in, const Value& value, const Key& key, bool reverse) {
  Runtime& runtime = in.runtime();
  std::vector<std::pair<Value, Value>> keyed;
  const Values items = to_values(runtime, value);
  runtime.check_room(items.size() * 3 * sizeof(Value));
  for (const Value& item : items) keyed.emplace_back(key(item), item);
  std::stable_sort(keyed.begin(), keyed.end(), [&runtime, reverse](const auto& a, const auto& b) {
    return reverse ? less(runtime, b.first, a.first, false) : less(runtime, a.first, b.first, false);
  });
  Values result;
  for (auto& item : keyed) result.push_back(std::move(item.second));
  return result;
}

Value sort_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"sort", "reverse case_sensitive attribute", 0}, arguments);
  const Key key = attribute_list_key(in, bound[2], !in.flag(bound[1], false));
  return make_list(in.runtime(), sorted(in, value, key, in.flag(bound[0], false)));
}

Value dictsort_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"dictsort", "case_sensitive by reverse", 0}, arguments);
  const std::string by = bound[1].missing() ? "key" : in.string(bound[1], "dictsort").bytes;
  if (by != "key" && by != "value") in.runtime().fail("dictsort sorts by 'key' or 'value'");
  if (value.undefined()) in.undefined_used(value);
  if (!value.is(Kind::kDict)) in.runtime().fail("dictsort takes a dict, got a {}", type_name(value));
  const Ref<DictObject> dict(&value.as<DictObject>());
  const Value items = wrap(Kind::kView, make_object<ViewObject>(in.runtime(), dict, ViewObject::Part::kItems));
  const Value part = Value::of(int64_t{by == "key" ? 0 : 1});
  const Key key = attribute_key(in, part, !in.flag(bound[0], false));
  return make_list(in.runtime(), sorted(in, items, key, in.flag(bound[2], false)));
}

Value unique_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"unique", "case_sensitive attribute", 0}, arguments);
  const Key key = attribute_key(in, bound[1], !in.flag(bound[0], false));
  Interpreter* const with = &in;
  const Ref<DictObject> seen = make_object<DictObject>(in.runtime());
  Ref<IteratorObject> source;
  return make_iterator(in.runtime(), [with, key, seen, value, source](Value& out) mutable {
    if (!source) source = iterate(with->runtime(), value);
    while (source->next(out)) {
      const size_t before = seen->items.size();
      dict_set(with->runtime(), *seen, key(out), Value::none());
      if (seen->items.size() > before) return true;
    }
    return false;
  });
}

Value extreme_filter(Interpreter& in, const Value& value, Arguments& arguments, bool most) {
  const Values bound = in.bind({most ? "max" : "min", "case_sensitive attribute", 0}, arguments);
  const Key key = attribute_key(in, bound[1], !in.flag(bound[0], false));
  const Ref<IteratorObject> iterator = iterate(in.runtime(), value);
  Value best;
  Value best_key;
  for (Value item; iterator->next(item);) {
    Value item_key = key(item);
    const bool better = best.missing() || (most ? less(in.runtime(), best_key, item_key, false)
                                                : less(in.runtime(), item_key, best_key, false));
    if (!better) continue;
    best = item;
    best_key = std::move(item_key);
  }
  return best.missing() ? make_undefined(in.runtime(), "the least or the most of nothing") : best;
}

Value sum_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"sum", "attribute start", 0}, arguments);
  const Key key = attribute_key(in, bound[0], false);
  Value total = bound[1].missing() ? Value::of(int64_t{0}) : bound[1];
  if (total.string()) in.runtime().fail("sum adds no strings: use join");
  const Ref<IteratorObject> iterator = iterate(in.runtime(), value);
  for (Value item; iterator->next(item);) total = in.binary(ExprKind::kAdd, total, key(item));
  return total;
}

Value groupby_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"groupby", "attribute default case_sensitive", 1}, arguments);
  const bool ignore_case = !in.flag(bound[2], false);
  const Key key = attribute_key(in, bound[0], ignore_case, bound[1]);
  const Key shown = attribute_key(in, bound[0], false, bound[1]);
  Values groups;
  Values group;
  Value current;
  const auto close = [&] {
    if (group.empty()) return;
    const Value name = ignore_case ? shown(group[0]) : current;
    const Value list = make_list(in.runtime(), std::exchange(group, {}));
    Value pair = make_list(in.runtime(), {name, list}, Kind::kTuple);
    pair.as<ListObject>().group = true;
    groups.push_back(std::move(pair));
  };
  for (Value& item : sorted(in, value, key, false)) {
    Value of = key(item);
    if (current.missing() || !equal(in.runtime(), current, of)) {
      close();
      current = std::move(of);
    }
    group.push_back(std::move(item));
  }
  close();
  return make_list(in.runtime(), std::move(groups));
}

Value batch_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"batch", "linecount fill_with", 1}, arguments);
  const int64_t count = in.integer(bound[0], 0);
  const Value fill = bound[1];
  Interpreter* const with = &in;
  Ref<IteratorObject> source;
  Value kept;  // the first of the next batch
  return make_iterator(in.runtime(), [with, count, fill, value, source, kept](Value& out) mutable {
    Runtime& runtime = with->runtime();
    if (!source) source = iterate(runtime, value);
    Values batch;
    if (!kept.missing()) batch.push_back(std::exchange(kept, Value()));
    for (Value item; source->next(item);) {
      // jinja2 begins a new batch when the old one has just the size: with none, the first is empty.
      if (static_cast<int64_t>(batch.size()) == count) {
        kept = std::move(item);
        out = make_list(runtime, std::move(batch));
        return true;
      }
      runtime.check_room((batch.size() + 1) * sizeof(Value));
      batch.push_back(std::move(item));
    }
    if (batch.empty()) return false;
    const int64_t missing = count - static_cast<int64_t>(batch.size());
    if (!fill.missing() && !fill.is(Kind::kNone) && missing > 0) {
      runtime.check_room((static_cast<uint64_t>(missing) + batch.size()) * sizeof(Value));
      runtime.step(static_cast<uint64_t>(missing));
      batch.insert(batch.end(), static_cast<size_t>(missing), fill);
    }
    out = make_list(runtime, std::move(batch));
    return true;
  });
}

Value slice_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"slice", "slices fill_with", 1}, arguments);
  const int64_t count = in.integer(bound[0], 0);
  const Value fill = bound[1];
  Interpreter* const with = &in;
  return make_iterator(in.runtime(),
                       [with, count, fill, value, items = Values(), at = int64_t{-1}](Value& out) mutable {
                         Runtime& runtime = with->runtime();
                         if (at < 0) {
                           items = to_values(runtime, value);
                           if (count == 0) runtime.fail("division by zero");
                           at = 0;
                         }
                         if (at >= count) return false;
                         runtime.step();
                         const int64_t size = static_cast<int64_t>(items.size());
                         const int64_t each = size / count;
                         const int64_t extra = size % count;
                         const int64_t begin = at * each + std::min(at, extra);
                         const int64_t end = begin + each + (at < extra ? 1 : 0);
                         Values part(items.begin() + begin, items.begin() + end);
                         if (!fill.missing() && !fill.is(Kind::kNone) && at >= extra) part.push_back(fill);
                         ++at;
                         out = make_list(runtime, std::move(part));
                         return true;
                       });
}

Value join_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"join", "d attribute", 0}, arguments);
  Runtime& runtime = in.runtime();
  const Text separator = bound[0].missing() ? Text() : to_text(runtime, bound[0]);
  const Key key = attribute_key(in, bound[1], false);
  const Ref<IteratorObject> iterator = iterate(runtime, value);
  Builder out(runtime);
  bool first = true;
  for (Value item; iterator->next(item);) {
    if (!first) out.add(separator);
    first = false;
    const Value shown = key(item);
    const Text text = to_text(runtime, shown);
    if (shown.from_data()) {
      out.add(text.bytes, true);
    } else {
      out.add(text);
    }
  }
  return out.value();
}

Value first_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"first", "", 0}, arguments);
  const Ref<IteratorObject> iterator = iterate(in.runtime(), value);
  Value item;
  return iterator->next(item) ? item : make_undefined(in.runtime(), "the first of nothing");
}

// Python's reversed(): missing for what has no order backwards.
Value reversed(Interpreter& in, const Value& value) {
  const bool ordered = value.string() || value.is(Kind::kList) || value.is(Kind::kTuple) || value.is(Kind::kDict) ||
                       value.is(Kind::kRange) || value.is(Kind::kView) || value.undefined();
  if (!ordered) return Value();
  Values items = to_values(in.runtime(), value);
  std::reverse(items.begin(), items.end());
  return make_list(in.runtime(), std::move(items));
}

Value last_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"last", "", 0}, arguments);
  if (value.string() || value.is(Kind::kList) || value.is(Kind::kTuple) || value.is(Kind::kRange)) {
    const int64_t size = length(in.runtime(), value);
    if (size > 0) return in.item(value, Value::of(size - 1));
    return make_undefined(in.runtime(), "the last of nothing");
  }
  const Value backwards = reversed(in, value);
  if (backwards.missing()) in.runtime().fail("a {} has no last item: make it a list", type_name(value));
  const Values& items = backwards.as<ListObject>().items;
  return items.empty() ? make_undefined(in.runtime(), "the last of nothing") : items[0];
}

Value reverse_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"reverse", "", 0}, arguments);
  if (value.string()) return in.slice(value, Value::none(), Value::none(), Value::of(int64_t{-1}));
  Value backwards = reversed(in, value);
  if (!backwards.missing()) {
    const Ref<IteratorObject> source = iterate(in.runtime(), backwards);
    return wrap(Kind::kIterator, source);
  }
  Values items = to_values(in.runtime(), value);
  std::reverse(items.begin(), items.end());
  return make_list(in.runtime(), std::move(items));
}

Value items_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"items", "", 0}, arguments);
  Interpreter* const with = &in;
  Ref<IteratorObject> source;
  return make_iterator(in.runtime(), [with, value, source](Value& out) mutable {
    if (value.undefined()) return false;
    if (!source) {
      if (!value.is(Kind::kDict)) with->runtime().fail("only a dict has items, not a {}", type_name(value));
      const Ref<DictObject> dict(&value.as<DictObject>());
      source = iterate(with->runtime(),
                       wrap(Kind::kView, make_object<ViewObject>(with->runtime(), dict, ViewObject::Part::kItems)));
    }
    return source->next(out);
  });
}

// What map, select and their like do with each item, known once the first is asked for.
Value lazily(Interpreter& in, const Value& value, std::function<Key()> prepare,
             std::function<bool(const Value&)> keep) {
  Interpreter* const with = &in;
  Ref<IteratorObject> source;
  Key key;
  return make_iterator(in.runtime(), [with, value, prepare, keep, source, key](Value& out) mutable {
    const Deeper deeper(with->runtime());
    if (!source) {
      if (!truth(with->runtime(), value)) return false;
      key = prepare();
      source = iterate(with->runtime(), value);
    }
    for (Value item; source->next(item);) {
      with->runtime().step();
      Value result = key(item);
      if (!keep) {
        out = std::move(result);
        return true;
      }
      if (keep(result)) {
        out = std::move(item);
        return true;
      }
    }
    return false;
  });
}

Value map_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  Interpreter* const with = &in;
  const Arguments given = arguments;
  const auto prepare = [with, given]() -> Key {
    Runtime& runtime = with->runtime();
    Value attribute, otherwise;
    if (given.positional.empty()) {
      for (const auto& argument : given.named) {
        if (argument.first == "attribute") attribute = argument.second;
      }
      if (attribute.missing()) runtime.fail("map takes the name of a filter, or attribute=");
      for (const auto& argument : given.named) {
        if (argument.first == "default") {
          otherwise = argument.second;
        } else if (argument.first != "attribute") {
          runtime.fail("map takes no argument named '{}'", printable(argument.first, 40));
        }
      }
      return attribute_key(*with, attribute, false, otherwise);
    }
    const std::string name = with->string(given.positional[0], "map").bytes;
    Arguments rest{{given.positional.begin() + 1, given.positional.end()}, given.named};
    return [with, name, rest](const Value& item) { return with->call_filter(name, item, rest); };
  };
  return lazily(in, value, prepare, nullptr);
}

Value select_filter(Interpreter& in, const Value& value, Arguments& arguments, bool wanted, bool by_attribute) {
  Interpreter* const with = &in;
  const Arguments given = arguments;
  const auto prepare = [with, given, by_attribute]() -> Key {
    Key key = [](const Value& item) { return item; };
    size_t next = 0;
    if (by_attribute) {
      if (given.positional.empty()) with->runtime().fail("selectattr and rejectattr take the name of an attribute");
      key = attribute_key(*with, given.positional[next++], false);
    }
    if (next >= given.positional.size()) return key;
    const std::string name = with->string(given.positional[next++], "select").bytes;
    Arguments rest{{given.positional.begin() + static_cast<std::ptrdiff_t>(next), given.positional.end()}, given.named};
    return [with, name, rest, key](const Value& item) { return Value::of(with->call_test(name, key(item), rest)); };
  };
  return lazily(in, value, prepare,
                [with, wanted](const Value& result) { return truth(with->runtime(), result) == wanted; });
}

Value length_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"length", "", 0}, arguments);
  // Of a text of users: they say how long.
  return Value::of(length(in.runtime(), value)).marked(value.string() && from_data(value));
}

}  // namespace

Filter find_sequence_filter(std::string_view name) {
  using I = Interpreter&;
  using V = const Value&;
  using A = Arguments&;
  static const std::map<std::string_view, Filter> filters = {
      {"batch", batch_filter},
      {"count", length_filter},
      {"dictsort", dictsort_filter},
      {"first", first_filter},
      {"groupby", groupby_filter},
      {"items", items_filter},
      {"join", join_filter},
      {"last", last_filter},
      {"length", length_filter},
      {"list",
       [](I in, V value, A arguments) {
         in.bind({"list", "", 0}, arguments);
         return make_list(in.runtime(), to_values(in.runtime(), value));
       }},
      {"map", map_filter},
      {"max", [](I in, V value, A arguments) { return extreme_filter(in, value, arguments, true); }},
      {"min", [](I in, V value, A arguments) { return extreme_filter(in, value, arguments, false); }},
      {"reject", [](I in, V value, A arguments) { return select_filter(in, value, arguments, false, false); }},
      {"rejectattr", [](I in, V value, A arguments) { return select_filter(in, value, arguments, false, true); }},
      {"reverse", reverse_filter},
      {"select", [](I in, V value, A arguments) { return select_filter(in, value, arguments, true, false); }},
      {"selectattr", [](I in, V value, A arguments) { return select_filter(in, value, arguments, true, true); }},
      {"slice", slice_filter},
      {"sort", sort_filter},
      {"sum", sum_filter},
      {"unique", unique_filter},
  };
  const auto found = filters.find(name);
  return found == filters.end() ? nullptr : found->second;
}

}  // namespace godwit::jinja
