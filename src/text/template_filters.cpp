// jinja2's filters (filters.py) for single values; those for sequences are in template_sequences.cpp.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/text.h"
#include "text/template_interpreter.h"
#include "text/template_unicode.h"

namespace godwit::jinja {
namespace {

// A filter's value as text, keeping what is Markup (jinja2's soft_str).
struct SoftText {
  Text text;
  bool markup;
};
SoftText soft(Interpreter& in, const Value& value) {
  Text text = to_text(in.runtime(), value);
  if (value.from_data()) text.mark_all();
  return {std::move(text), value.string() && value.as<StringObject>().markup};
}

Text shown(Interpreter& in, const Value& value) { return soft(in, value).text; }

Value case_filter(Interpreter& in, const Value& value, Arguments& arguments, Case to) {
  in.bind({"the filter", "", 0}, arguments);
  const SoftText from = soft(in, value);
  return in.text(to_case(in.runtime(), from.text, to), from.markup);
}

// jinja2's title: each run behind spaces and opening brackets begins with a capital.
Value title_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"title", "", 0}, arguments);
  Runtime& runtime = in.runtime();
  const Text text = shown(in, value);
  const std::string& bytes = text.bytes;
  runtime.scanned(bytes.size());
  const auto separates = [&](size_t at) {
    const CodePoint point = code_at(bytes, at);
    return is_space(point.code) ||
           (point.code < 0x80 && std::string_view("-({[<").find(bytes[at]) != std::string_view::npos);
  };
  Builder out(runtime);
  for (size_t at = 0; at < bytes.size();) {
    size_t end = at;
    const bool gap = separates(at);
    while (end < bytes.size() && separates(end) == gap) end += code_at(bytes, end).length;
    if (gap) {
      out.add(text, at, end);
    } else {
      const size_t first = at + code_at(bytes, at).length;
      Text head, rest;
      head.append(text, at, first);
      rest.append(text, first, end);
      out.add(to_case(runtime, head, Case::kUpper));
      out.add(to_case(runtime, rest, Case::kLower));
    }
    at = end;
  }
  return out.value();
}

Value trim_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"trim", "chars", 0}, arguments);
  const SoftText from = soft(in, value);
  in.runtime().scanned(from.text.bytes.size());
  const bool by_space = bound[0].missing() || bound[0].is(Kind::kNone);
  const Span kept = by_space ? strip(from.text.bytes, true, true)
                             : strip(from.text.bytes, true, true, in.string(bound[0], "trim()").bytes);
  Builder out(in.runtime());
  out.add(from.text, kept.begin, kept.end);
  return out.value(from.markup);
}

Value replace_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"replace", "old new count", 2}, arguments);
  const Text text = shown(in, value);
  const Text from = shown(in, bound[0]);
  const Text to = shown(in, bound[1]);
  return in.text(replace(in.runtime(), text, from, to, in.integer(bound[2], -1)));
}

Value string_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"string", "", 0}, arguments);
  if (value.string()) return value;
  SoftText text = soft(in, value);
  return in.text(std::move(text.text), text.markup);
}

Value escape_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"escape", "", 0}, arguments);
  if (value.string() && value.as<StringObject>().markup) return value;
  return in.text(escape_html(in.runtime(), shown(in, value)), true);
}

Value indent_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"indent", "width first blank", 0}, arguments);
  Runtime& runtime = in.runtime();
  const Text& text = in.string(value, "indent()");
  const bool markup = value.as<StringObject>().markup;
  Text indention;
  if (bound[0].string()) {
    indention = bound[0].as<StringObject>().text;
  } else {
    const int64_t width = in.integer(bound[0], 4);
    runtime.check_room(width > 0 ? static_cast<uint64_t>(width) : 0);
    indention = Text(std::string(width > 0 ? static_cast<size_t>(width) : 0, ' '), false);
  }
  const bool first = in.flag(bound[1], false);
  const bool blank = in.flag(bound[2], false);
  Builder longer(runtime);
  longer.add(text);
  longer.add("\n", false);
  const std::vector<Text> lines = split_lines(runtime, longer.text(), false);
  Builder out(runtime);
  if (first) out.add(indention);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.add("\n", false);
    if (i > 0 && (blank || !lines[i].bytes.empty())) out.add(indention);
    out.add(lines[i]);
  }
  return out.value(markup);
}

Value truncate_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"truncate", "length killwords end leeway", 0}, arguments);
  Runtime& runtime = in.runtime();
  const int64_t wanted = in.integer(bound[0], 255);
  const Text end = bound[2].missing() ? Text("...", false) : in.string(bound[2], "truncate()");
  const int64_t end_length = static_cast<int64_t>(count_code_points(end.bytes));
  const int64_t leeway = in.integer(bound[3], 5);
  if (wanted < end_length || leeway < 0) runtime.fail("truncate(): the length is less than that of its end");
  const int64_t length = jinja::length(runtime, value);
  if (length <= leeway || length - leeway <= wanted) return value;
  in.string(value, "truncate()");
  const StringObject& string = value.as<StringObject>();
  const size_t cut = string.offset(static_cast<size_t>(std::min(wanted - end_length, length)));
  size_t kept = cut;
  if (!in.flag(bound[1], false)) {
    const size_t space = std::string_view(string.text.bytes).substr(0, cut).rfind(' ');
    if (space != std::string_view::npos) kept = space;
  }
  Builder out(runtime);
  out.add(string.text, 0, kept);
  out.add(end);
  return out.value(string.markup);
}

Value wordcount_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"wordcount", "", 0}, arguments);
  const Text text = shown(in, value);
  in.runtime().scanned(text.bytes.size());
  int64_t count = 0;
  bool inside = false;
  for (size_t at = 0; at < text.bytes.size();) {
    const CodePoint point = code_at(text.bytes, at);
    const bool word = point.code == '_' || is_alpha(point.code) || is_numeric(point.code);
    if (word && !inside) ++count;
    inside = word;
    at += point.length;
  }
  return Value::of(count);
}

Value center_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"center", "width", 0}, arguments);
  const SoftText from = soft(in, value);
  return in.text(pad(in.runtime(), from.text, in.integer(bound[0], 80), Text(" ", false), Align::kCenter), from.markup);
}

Value format_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    in.runtime().fail("format: positional and named arguments at the same time");
  }
  SoftText pattern = soft(in, value);
  Value values;
  if (!arguments.named.empty()) {
    const Ref<DictObject> dict = make_object<DictObject>(in.runtime());
    for (auto& argument : arguments.named) {
      dict_set(in.runtime(), *dict, in.text(Text(argument.first, false)), std::move(argument.second));
    }
    values = wrap(Kind::kDict, dict);
  } else {
    values = make_list(in.runtime(), std::move(arguments.positional), Kind::kTuple);
  }
  return format_percent(in, in.text(std::move(pattern.text), pattern.markup), values);
}

Value urlencode_one(Interpreter& in, const Value& value, bool query) {
  const Text text = shown(in, value);
  in.runtime().scanned(2 * text.bytes.size());
  Builder out(in.runtime());
  for (size_t at = 0; at < text.bytes.size(); ++at) {
    const unsigned char c = static_cast<unsigned char>(text.bytes[at]);
    const bool plain = std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query);
    if (plain) {
      out.add(text, at, at + 1);
    } else if (c == ' ' && query) {
      out.add("+", text.is_data(at));
    } else {
      out.add(fmt::format("%{:02X}", c), text.is_data(at));
    }
  }
  return out.value();
}

Value urlencode_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"urlencode", "", 0}, arguments);
  if (value.string() || !iterable(value)) return urlencode_one(in, value, false);
  Builder out(in.runtime());
  Value pairs = value;
  if (value.is(Kind::kDict)) {
    const Ref<DictObject> dict(&value.as<DictObject>());
    pairs = wrap(Kind::kView, make_object<ViewObject>(in.runtime(), dict, ViewObject::Part::kItems));
  }
  const Ref<IteratorObject> iterator = iterate(in.runtime(), pairs);
  bool first = true;
  for (Value pair; iterator->next(pair);) {
    const Values parts = to_values(in.runtime(), pair);
    if (parts.size() != 2) in.runtime().fail("urlencode takes pairs");
    if (!first) out.add("&", false);
    first = false;
    out.add(urlencode_one(in, parts[0], true).as<StringObject>().text);
    out.add("=", false);
    out.add(urlencode_one(in, parts[1], true).as<StringObject>().text);
  }
  return out.value();
}

// Numbers.

Value int_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"int", "default base", 0}, arguments);
  const bool data = from_data(value);
  const int64_t base = in.integer(bound[1], 10);
  if (value.undefined()) in.undefined_used(value);
  double real = 0;
  bool is_real = value.is(Kind::kFloat);
  if (value.integral()) return Value::of(value.integer()).marked(data);
  if (is_real) real = value.real();
  if (value.string()) {
    const std::string& text = value.as<StringObject>().text.bytes;
    in.runtime().scanned(text.size());
    int64_t number = 0;
    if (base != 0 && (base < 2 || base > 36)) in.runtime().fail("int: the base is not between 2 and 36");
    if (parse_int(text, static_cast<int>(base), number)) return Value::of(number).marked(data);
    is_real = parse_float(text, real);
  }
  if (is_real && std::fabs(real) < 0x1p63) return Value::of(static_cast<int64_t>(real)).marked(data);
  if (is_real && std::isfinite(real)) in.runtime().fail("a number beyond 64 bits");
  return bound[0].missing() ? Value::of(int64_t{0}) : bound[0];
}

Value float_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"float", "default", 0}, arguments);
  if (value.undefined()) in.undefined_used(value);
  double number = 0;
  if (value.number()) return Value::of(value.real()).marked(value.from_data());
  if (value.string() && parse_float(value.as<StringObject>().text.bytes, number)) {
    return Value::of(number).marked(from_data(value));
  }
  return bound[0].missing() ? Value::of(0.0) : bound[0];
}

Value abs_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  in.bind({"abs", "", 0}, arguments);
  if (value.undefined()) in.undefined_used(value);
  if (!value.number()) in.runtime().fail("abs takes a number, got a {}", type_name(value));
  if (value.is(Kind::kFloat)) return Value::of(std::fabs(value.real())).marked(value.from_data());
  if (value.integer() == INT64_MIN) in.runtime().fail("a number beyond 64 bits");
  return Value::of(std::abs(value.integer())).marked(value.from_data());
}

Value round_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"round", "precision method", 0}, arguments);
  Runtime& runtime = in.runtime();
  const int64_t precision = in.integer(bound[0], 0);
  const std::string method = bound[1].missing() ? "common" : in.string(bound[1], "round").bytes;
  if (method != "common" && method != "ceil" && method != "floor")
    runtime.fail("round: the method is common, ceil or floor");
  if (value.undefined()) in.undefined_used(value);
  if (!value.number()) runtime.fail("round takes a number, got a {}", type_name(value));
  if (std::abs(precision) > 400) runtime.fail("round: a precision over 400");
  const double number = value.real();
  if (method != "common") {
    const Value scale = in.binary(ExprKind::kPower, Value::of(int64_t{10}), Value::of(precision));
    const Value scaled = in.binary(ExprKind::kMultiply, value, scale);
    const double whole = method == "ceil" ? std::ceil(scaled.real()) : std::floor(scaled.real());
    if (!(std::fabs(whole) < 0x1p63)) runtime.fail("a number beyond 64 bits");
    return in.binary(ExprKind::kDivide, Value::of(static_cast<int64_t>(whole)), scale).marked(value.from_data());
  }
  if (value.integral()) {
    if (precision >= 0) return Value::of(value.integer()).marked(value.from_data());
    if (precision < -18) return Value::of(int64_t{0}).marked(value.from_data());
    int64_t unit = 1;
    for (int64_t i = 0; i < -precision; ++i) unit *= 10;
    const int64_t whole = value.integer();
    int64_t rest = whole % unit;
    if (rest < 0) rest += unit;
    // Half to even, as Python rounds.
    const bool up = rest > unit / 2 || (rest == unit / 2 && ((whole - rest) / unit) % 2 != 0);
    int64_t result = 0;
    if (__builtin_sub_overflow(whole, rest, &result) || (up && __builtin_add_overflow(result, unit, &result))) {
      runtime.fail("a number beyond 64 bits");
    }
    return Value::of(result).marked(value.from_data());
  }
  if (!std::isfinite(number) || precision > 323) return value;
  if (precision < -308) return Value::of(std::copysign(0.0, number)).marked(value.from_data());
  if (precision >= 0) {
    // Correctly rounded, as Python does it: through decimal digits.
    double rounded = 0;
    parse_float(fmt::format("{:.{}f}", number, static_cast<int>(precision)), rounded);
    return Value::of(rounded).marked(value.from_data());
  }
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return Value::of(std::nearbyint(number / unit) * unit).marked(value.from_data());
}

Value filesizeformat_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"filesizeformat", "binary", 0}, arguments);
  const bool binary = in.flag(bound[0], false);
  double bytes = value.number() ? value.real() : 0;
  if (!value.number() && !(value.string() && parse_float(value.as<StringObject>().text.bytes, bytes))) {
    in.runtime().fail("filesizeformat takes a number");
  }
  if (!std::isfinite(bytes)) in.runtime().fail("filesizeformat takes a finite number");
  const double base = binary ? 1024 : 1000;
  const bool data = from_data(value);
  if (bytes == 1) return in.text(Text("1 Byte", data));
  if (bytes < base) return in.text(Text(fmt::format("{} Bytes", static_cast<int64_t>(std::max(bytes, -0x1p62))), data));
  static constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base;
  size_t i = 0;
  for (; i < kPrefixes.size(); ++i) {
    unit *= base;
    if (bytes < unit) break;
  }
  const char prefix = kPrefixes[std::min(i, kPrefixes.size() - 1)];
  const std::string name = binary ? fmt::format("{}iB", prefix == 'k' ? 'K' : prefix) : fmt::format("{}B", prefix);
  return in.text(Text(fmt::format("{:.1f} {}", base * bytes / unit, name), data));
}

Value tojson_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"tojson", "ensure_ascii indent separators sort_keys", 0}, arguments);
  JsonStyle style;
  style.ascii = in.flag(bound[0], false);
  style.sort_keys = in.flag(bound[3], false);
  if (!bound[1].missing() && !bound[1].is(Kind::kNone)) {
    style.indented = true;
    style.item_separator = Text(",", false);
    if (bound[1].string()) {
      style.indent = bound[1].as<StringObject>().text;
    } else if (value.is(Kind::kList) || value.is(Kind::kTuple) || value.is(Kind::kDict)) {
      const int64_t width = std::max<int64_t>(in.integer(bound[1], 0), 0);
      in.runtime().check_room(static_cast<uint64_t>(width));
      style.indent = Text(std::string(static_cast<size_t>(width), ' '), false);
    }
  }
  if (!bound[2].missing() && !bound[2].is(Kind::kNone)) {
    const Values separators = to_values(in.runtime(), bound[2]);
    if (separators.size() != 2) in.runtime().fail("tojson takes two separators");
    style.item_separator = in.string(separators[0], "tojson");
    style.key_separator = in.string(separators[1], "tojson");
  }
  return in.text(to_json(in.runtime(), value, style));
}

Value default_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"default", "default_value boolean", 0}, arguments);
  if (value.undefined() || (in.flag(bound[1], false) && !truth(in.runtime(), value))) {
    return bound[0].missing() ? in.text({}) : bound[0];
  }
  return value;
}

Value attr_filter(Interpreter& in, const Value& value, Arguments& arguments) {
  const Values bound = in.bind({"attr", "name", 1}, arguments);
  const std::string& name = in.string(bound[0], "attr").bytes;
  // An attribute, not an item: a dict's keys are none.
  if (value.is(Kind::kDict)) {
    Value method = find_method(in, value, name);
    if (!method.missing()) return method;
    return make_undefined(in.runtime(), "a dict has no attribute '" + printable(name, 60) + "'");
  }
  return in.attribute(value, name);
}

const std::map<std::string_view, Filter>& value_filters() {
  using I = Interpreter&;
  using V = const Value&;
  using A = Arguments&;
  static const std::map<std::string_view, Filter> filters = {
      {"abs", abs_filter},
      {"attr", attr_filter},
      {"capitalize", [](I in, V value, A arguments) { return case_filter(in, value, arguments, Case::kCapitalized); }},
      {"center", center_filter},
      {"d", default_filter},
      {"default", default_filter},
      {"e", escape_filter},
      {"escape", escape_filter},
      {"filesizeformat", filesizeformat_filter},
      {"float", float_filter},
      {"forceescape",
       [](I in, V value, A arguments) {
         in.bind({"forceescape", "", 0}, arguments);
         return in.text(escape_html(in.runtime(), shown(in, value)), true);
       }},
      {"format", format_filter},
      {"indent", indent_filter},
      {"int", int_filter},
      {"lower", [](I in, V value, A arguments) { return case_filter(in, value, arguments, Case::kLower); }},
      {"replace", replace_filter},
      {"round", round_filter},
      {"safe",
       [](I in, V value, A arguments) {
         in.bind({"safe", "", 0}, arguments);
         return in.text(shown(in, value), true);
       }},
      {"string", string_filter},
      {"title", title_filter},
      {"tojson", tojson_filter},
      {"trim", trim_filter},
      {"truncate", truncate_filter},
      {"upper", [](I in, V value, A arguments) { return case_filter(in, value, arguments, Case::kUpper); }},
      {"urlencode", urlencode_filter},
      {"wordcount", wordcount_filter},
  };
  return filters;
}

}  // namespace

Filter find_filter(std::string_view name) {
  const auto found = value_filters().find(name);
  return found == value_filters().end() ? find_sequence_filter(name) : found->second;
}

}  // namespace godwit::jinja
