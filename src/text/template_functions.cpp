// The functions every template can call: those of jinja2, and those that transformers adds.
#include <ctime>
#include <map>

#include "base/text.h"
#include "text/template_interpreter.h"

namespace godwit::jinja {

Value make_namespace(Interpreter& in, Arguments& arguments);

namespace {

using Function = Value (*)(Interpreter& in, Arguments& arguments);

// dict(mapping or pairs, **named)
Value dict_function(Interpreter& in, Arguments& arguments) {
  Runtime& runtime = in.runtime();
  if (arguments.positional.size() > 1) runtime.fail("dict() takes at most one argument");
  const Ref<DictObject> dict = make_object<DictObject>(runtime);
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.is(Kind::kDict)) {
      for (const auto& item : from.as<DictObject>().items) dict_set(runtime, *dict, item.first, item.second);
    } else {
      const Ref<IteratorObject> iterator = iterate(runtime, from);
      for (Value pair; iterator->next(pair);) {
        Values parts = to_values(runtime, pair);
        if (parts.size() != 2) runtime.fail("dict() takes pairs");
        dict_set(runtime, *dict, std::move(parts[0]), std::move(parts[1]));
      }
    }
  }
  for (auto& argument : arguments.named) {
    dict_set(runtime, *dict, in.text(Text(argument.first, arguments.names_from_data)), std::move(argument.second));
  }
  return wrap(Kind::kDict, dict);
}

Value range_function(Interpreter& in, Arguments& arguments) {
  Runtime& runtime = in.runtime();
  const Values bound = in.bind({"range", "start stop step", 1}, arguments);
  for (const Value& value : bound) {
    if (value.undefined()) in.undefined_used(value);
    if (!value.missing() && !value.integral()) runtime.fail("range() takes whole numbers, got a {}", type_name(value));
  }
  int64_t start = 0;
  int64_t stop = bound[0].integer();
  if (!bound[1].missing()) {
    start = stop;
    stop = bound[1].integer();
  }
  const int64_t step = bound[2].missing() ? 1 : bound[2].integer();
  if (step == 0) runtime.fail("range() with a step of zero");
  uint64_t count = 0;
  const uint64_t span = static_cast<uint64_t>(stop) - static_cast<uint64_t>(start);
  if (step > 0 && start < stop) count = (span - 1) / static_cast<uint64_t>(step) + 1;
  if (step < 0 && stop < start) count = (0 - span - 1) / (0 - static_cast<uint64_t>(step)) + 1;
  if (count > runtime.limits().range) runtime.fail("range() of more than {} numbers", runtime.limits().range);
  return wrap(Kind::kRange, make_object<RangeObject>(runtime, start, stop, step, static_cast<int64_t>(count)));
}

Value raise_function(Interpreter& in, Arguments& arguments) {
  const Values bound = in.bind({"raise_exception", "message", 1}, arguments);
  in.runtime().fail("{}", printable(to_text(in.runtime(), bound[0]).bytes, 300));
}

Value strftime_function(Interpreter& in, Arguments& arguments) {
  const Values bound = in.bind({"strftime_now", "format", 1}, arguments);
  const Text& format = in.string(bound[0], "strftime_now()");
  const int64_t now = in.runtime().limits().now.value_or(static_cast<int64_t>(std::time(nullptr)));
  return in.text(Text(format_time(in, format.bytes, now), format.has_data()));
}

Value cycler_function(Interpreter& in, Arguments& arguments) {
  if (arguments.positional.empty()) in.runtime().fail("cycler() needs values to go through");
  if (!arguments.named.empty()) in.runtime().fail("cycler() takes no named arguments");
  return wrap(Kind::kCycler, make_object<CyclerObject>(in.runtime(), std::move(arguments.positional)));
}

Value joiner_function(Interpreter& in, Arguments& arguments) {
  const Values bound = in.bind({"joiner", "sep", 0}, arguments);
  const Value separator = bound[0].missing() ? in.text(Text(", ", false)) : bound[0];
  return wrap(Kind::kJoiner, make_object<JoinerObject>(in.runtime(), separator));
}

}  // namespace

Value make_namespace(Interpreter& in, Arguments& arguments) {
  Runtime& runtime = in.runtime();
  const Value dict = dict_function(in, arguments);
  const Ref<NamespaceObject> space = make_object<NamespaceObject>(runtime);
  for (const auto& item : dict.as<DictObject>().items) {
    const std::string& name = in.string(item.first, "namespace()").bytes;
    if (name.starts_with('_'))
      runtime.fail("the attribute '{}' of a namespace begins with an underscore", printable(name, 40));
    space->attributes.insert_or_assign(name, item.second);
    runtime.check_room(160 + name.size());
    space->resize(space->size + 160 + name.size());
  }
  in.spaces_.push_back(space);
  return wrap(Kind::kNamespace, space);
}

Value find_function(Interpreter& in, std::string_view name) {
  static const std::map<std::string_view, Function> functions = {
      {"cycler", cycler_function},         {"dict", dict_function},
      {"joiner", joiner_function},         {"namespace", make_namespace},
      {"raise_exception", raise_function}, {"range", range_function},
      {"strftime_now", strftime_function},
  };
  const auto found = functions.find(name);
  if (found == functions.end()) return Value();
  return in.function(std::string(name), found->second);
}

}  // namespace godwit::jinja
