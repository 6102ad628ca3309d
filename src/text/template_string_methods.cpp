// The methods of str.
#include <algorithm>
#include <array>

#include "text/template_interpreter.h"
#include "text/template_unicode.h"

namespace godwit::jinja {
namespace {

// A str and the arguments of one of its methods.
struct StringCall {
  Interpreter& in;
  const Value& self;
  Arguments& arguments;

  Runtime& runtime() const { return in.runtime(); }
  const StringObject& object() const { return self.as<StringObject>(); }
  const Text& text() const { return object().text; }
  Value result(Text value) const { return in.text(std::move(value), object().markup); }
  Value result(std::vector<Text> values, Kind kind = Kind::kList) const {
    Values items;
    items.reserve(values.size());
    for (Text& value : values) items.push_back(result(std::move(value)));
    return make_list(runtime(), std::move(items), kind);
  }
  Values bind(const Signature& signature) const {
    // Only these take their arguments by name in Python.
    static constexpr std::array<std::string_view, 4> kNamed = {"split", "rsplit", "splitlines", "expandtabs"};
    if (!arguments.named.empty() && std::find(kNamed.begin(), kNamed.end(), signature.name) == kNamed.end()) {
      runtime().fail("{}() takes no named arguments", signature.name);
    }
    return in.bind(signature, arguments);
  }
  Text slice(size_t begin, size_t end) const {
    Builder out(runtime());
    out.add(text(), begin, end);
    return std::move(out.text());
  }
};

Value split_method(const StringCall& call, bool from_right) {
  const Values bound = call.bind({from_right ? "rsplit" : "split", "sep maxsplit", 0});
  const bool by_space = bound[0].missing() || bound[0].is(Kind::kNone);
  const Text* separator = by_space ? nullptr : &call.in.string(bound[0], "split()");
  return call.result(split(call.runtime(), call.text(), separator, call.in.integer(bound[1], -1), from_right));
}

Value strip_method(const StringCall& call, const char* name, bool left, bool right) {
  const Values bound = call.bind({name, "chars", 0});
  const std::string& bytes = call.text().bytes;
  call.runtime().scanned(bytes.size());
  Span kept{0, 0};
  if (bound[0].missing() || bound[0].is(Kind::kNone)) {
    kept = strip(bytes, left, right);
  } else {
    const std::string& chars = call.in.string(bound[0], "strip()").bytes;
    call.runtime().scanned(chars.size() * 4);
    kept = strip(bytes, left, right, chars);
  }
  return call.result(call.slice(kept.begin, kept.end));
}

Value replace_method(const StringCall& call) {
  const Values bound = call.bind({"replace", "old new count", 2});
  const Text& from = call.in.string(bound[0], "replace()");
  const Text& to = call.in.string(bound[1], "replace()");
  const int64_t most = call.in.integer(bound[2], -1);
  const Text escaped = call.object().markup ? call.in.escaped(bound[1]) : to;
  return call.result(replace(call.runtime(), call.text(), from, escaped, most));
}

// The bytes that [start, stop), given in code points as Python's slices are, cover; false when start lies behind.
bool bounds(const StringCall& call, const Value& start, const Value& stop, Span& span) {
  const int64_t size = static_cast<int64_t>(call.object().length());
  const auto clip = [size](int64_t at) { return at < 0 ? std::max<int64_t>(at + size, 0) : at; };
  const int64_t from = clip(call.in.integer(start, 0));
  const int64_t to = std::min(clip(call.in.integer(stop, size)), size);
  if (from > to) return false;
  span = {call.object().offset(static_cast<size_t>(from)), call.object().offset(static_cast<size_t>(to))};
  return true;
}

Value ends_method(const StringCall& call, const char* name, bool start) {
  const Values bound = call.bind({name, "affix start stop", 1});
  Span span{0, 0};
  const bool within = bounds(call, bound[1], bound[2], span);
  const std::string_view bytes = std::string_view(call.text().bytes).substr(span.begin, span.end - span.begin);
  const auto matches = [&](const Value& affix) {
    const std::string& other = call.in.string(affix, name).bytes;
    call.runtime().copied(other.size());
    return within && (start ? bytes.starts_with(other) : bytes.ends_with(other));
  };
  if (!bound[0].is(Kind::kTuple)) return Value::of(matches(bound[0]));
  for (const Value& affix : bound[0].as<ListObject>().items) {
    call.runtime().step();
    if (matches(affix)) return Value::of(true);
  }
  return Value::of(false);
}

Value find_in_string(const StringCall& call, const char* name, bool from_right, bool must) {
  const Values bound = call.bind({name, "sub start stop", 1});
  const std::string& sub = call.in.string(bound[0], name).bytes;
  Span span{0, 0};
  size_t found = std::string_view::npos;
  call.runtime().searched(2 * call.text().bytes.size(), sub.size());
  const std::string_view all = call.text().bytes;
  if (bounds(call, bound[1], bound[2], span)) {
    const std::string_view bytes = all.substr(span.begin, span.end - span.begin);
    found = from_right ? bytes.rfind(sub) : bytes.find(sub);
  }
  if (found == std::string_view::npos) {
    if (must) call.runtime().fail("{}(): the substring is not there", name);
    return Value::of(int64_t{-1});
  }
  return Value::of(static_cast<int64_t>(count_code_points(all.substr(0, span.begin + found))));
}

Value count_method(const StringCall& call) {
  const Values bound = call.bind({"count", "sub start stop", 1});
  const std::string& sub = call.in.string(bound[0], "count()").bytes;
  Span span{0, 0};
  if (!bounds(call, bound[1], bound[2], span)) return Value::of(int64_t{0});
  const std::string_view bytes = std::string_view(call.text().bytes).substr(span.begin, span.end - span.begin);
  call.runtime().searched(2 * bytes.size(), sub.size());
  if (sub.empty()) return Value::of(static_cast<int64_t>(count_code_points(bytes)) + 1);
  int64_t count = 0;
  for (size_t at = bytes.find(sub); at != std::string_view::npos; at = bytes.find(sub, at + sub.size())) ++count;
  return Value::of(count);
}

Value join_method(const StringCall& call) {
  const Values bound = call.bind({"join", "iterable", 1});
  const Ref<IteratorObject> iterator = iterate(call.runtime(), bound[0]);
  Builder out(call.runtime());
  bool first = true;
  for (Value item; iterator->next(item);) {
    if (!first) out.add(call.text());
    first = false;
    if (item.undefined()) call.in.undefined_used(item);
    if (!item.string()) call.runtime().fail("join() takes strings, got a {}", type_name(item));
    if (call.object().markup) {
      out.add(call.in.escaped(item));
    } else {
      out.add(item.as<StringObject>().text);
    }
  }
  return out.value(call.object().markup);
}

Value pad_method(const StringCall& call, const char* name, Align align) {
  const Values bound = call.bind({name, "width fillchar", 1});
  const Text fill = bound[1].missing() ? Text(" ", false) : call.in.string(bound[1], name);
  if (count_code_points(fill.bytes) != 1) call.runtime().fail("{}() fills with one character", name);
  return call.result(pad(call.runtime(), call.text(), call.in.integer(bound[0], 0), fill, align));
}

Value zfill_method(const StringCall& call) {
  const Values bound = call.bind({"zfill", "width", 1});
  const std::string& bytes = call.text().bytes;
  const size_t sign = !bytes.empty() && (bytes[0] == '-' || bytes[0] == '+') ? 1 : 0;
  const int64_t width = call.in.integer(bound[0], 0);
  const Text digits = call.slice(sign, bytes.size());
  Builder out(call.runtime());
  out.add(call.text(), 0, sign);
  const int64_t rest = width < 0 ? 0 : width - static_cast<int64_t>(sign);
  out.add(pad(call.runtime(), digits, rest, Text("0", false), Align::kRight));
  return out.value(call.object().markup);
}

Value partition_method(const StringCall& call, const char* name, bool from_right) {
  const Values bound = call.bind({name, "sep", 1});
  const Text& separator = call.in.string(bound[0], name);
  if (separator.bytes.empty()) call.runtime().fail("{}() by an empty separator", name);
  const std::string& bytes = call.text().bytes;
  call.runtime().searched(bytes.size(), separator.bytes.size());
  const size_t found = from_right ? bytes.rfind(separator.bytes) : bytes.find(separator.bytes);
  std::vector<Text> parts;
  if (found == std::string::npos) {
    parts = {call.text(), Text(), Text()};
    if (from_right) std::swap(parts[0], parts[2]);
  } else {
    const size_t end = found + separator.bytes.size();
    parts = {call.slice(0, found), separator, call.slice(end, bytes.size())};
  }
  return call.result(std::move(parts), Kind::kTuple);
}

Value remove_method(const StringCall& call, const char* name, bool prefix) {
  const Values bound = call.bind({name, "affix", 1});
  const std::string& affix = call.in.string(bound[0], name).bytes;
  const std::string& bytes = call.text().bytes;
  if (prefix) return call.result(call.slice(bytes.starts_with(affix) ? affix.size() : 0, bytes.size()));
  return call.result(call.slice(0, bytes.size() - (bytes.ends_with(affix) ? affix.size() : 0)));
}

Value expandtabs_method(const StringCall& call) {
  const Values bound = call.bind({"expandtabs", "tabsize", 0});
  const int64_t size = call.in.integer(bound[0], 8);
  call.runtime().check_room(size > 0 ? static_cast<uint64_t>(size) : 0);
  Builder out(call.runtime());
  const Text& text = call.text();
  call.runtime().scanned(2 * text.bytes.size());
  int64_t column = 0;
  size_t from = 0;
  for (size_t at = 0; at < text.bytes.size(); ++at) {
    const char c = text.bytes[at];
    if (c == '\t') {
      out.add(text, from, at);
      from = at + 1;
      const int64_t spaces = size > 0 ? size - column % size : 0;
      const bool data = text.is_data(at);
      call.runtime().scanned(64 + static_cast<uint64_t>(spaces));
      for (int64_t i = 0; i < spaces; ++i) out.add(" ", data);
      column += spaces;
    } else if (c == '\n' || c == '\r') {
      column = 0;
    } else if (!continues_code_point(c)) {
      ++column;
    }
  }
  out.add(text, from, text.bytes.size());
  return out.value(call.object().markup);
}

// Whether every code point passes, and there is one.
template <class Predicate>
Value all_of(const StringCall& call, const char* name, const Predicate& passes, bool of_none = false) {
  call.bind({name, "", 0});
  const std::string& bytes = call.text().bytes;
  call.runtime().scanned(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint point = code_at(bytes, at);
    if (!passes(point.code)) return Value::of(false);
    at += point.length;
  }
  return Value::of(of_none || !bytes.empty());
}

// isupper and islower: no letter of the other case, and one of this.
Value has_case(const StringCall& call, const char* name, bool upper) {
  call.bind({name, "", 0});
  const std::string& bytes = call.text().bytes;
  call.runtime().scanned(bytes.size());
  bool any = false;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint point = code_at(bytes, at);
    if (is_title(point.code) || (upper ? is_lower(point.code) : is_upper(point.code))) return Value::of(false);
    any = any || (upper ? is_upper(point.code) : is_lower(point.code));
    at += point.length;
  }
  return Value::of(any);
}

Value istitle_method(const StringCall& call) {
  call.bind({"istitle", "", 0});
  const std::string& bytes = call.text().bytes;
  call.runtime().scanned(bytes.size());
  bool any = false;
  bool after_cased = false;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint point = code_at(bytes, at);
    const bool upper = is_upper(point.code) || is_title(point.code);
    const bool lower = is_lower(point.code);
    if ((upper && after_cased) || (lower && !after_cased)) return Value::of(false);
    after_cased = upper || lower;
    any = any || after_cased;
    at += point.length;
  }
  return Value::of(any);
}

Value isidentifier_method(const StringCall& call) {
  const std::string& bytes = call.text().bytes;
  const bool digit_first = !bytes.empty() && is_numeric(code_at(bytes, 0).code);
  const Value words =
      all_of(call, "isidentifier", [](uint32_t code) { return code == '_' || is_alpha(code) || is_decimal(code); });
  return Value::of(words.boolean() && !digit_first);
}

Value case_method(const StringCall& call, const char* name, Case to) {
  call.bind({name, "", 0});
  return call.result(to_case(call.runtime(), call.text(), to));
}

using Method = Value (*)(const StringCall& call);

const std::map<std::string_view, Method>& string_methods() {
  using C = const StringCall&;
  static const std::map<std::string_view, Method> methods = {
      {"capitalize", [](C c) { return case_method(c, "capitalize", Case::kCapitalized); }},
      {"casefold", [](C c) { return case_method(c, "casefold", Case::kFolded); }},
      {"lower", [](C c) { return case_method(c, "lower", Case::kLower); }},
      {"swapcase", [](C c) { return case_method(c, "swapcase", Case::kSwapped); }},
      {"title", [](C c) { return case_method(c, "title", Case::kTitle); }},
      {"upper", [](C c) { return case_method(c, "upper", Case::kUpper); }},
      {"center", [](C c) { return pad_method(c, "center", Align::kCenter); }},
      {"ljust", [](C c) { return pad_method(c, "ljust", Align::kLeft); }},
      {"rjust", [](C c) { return pad_method(c, "rjust", Align::kRight); }},
      {"zfill", zfill_method},
      {"count", count_method},
      {"endswith", [](C c) { return ends_method(c, "endswith", false); }},
      {"startswith", [](C c) { return ends_method(c, "startswith", true); }},
      {"expandtabs", expandtabs_method},
      {"find", [](C c) { return find_in_string(c, "find", false, false); }},
      {"rfind", [](C c) { return find_in_string(c, "rfind", true, false); }},
      {"index", [](C c) { return find_in_string(c, "index", false, true); }},
      {"rindex", [](C c) { return find_in_string(c, "rindex", true, true); }},
      {"format", [](C c) { return format_braces(c.in, c.self, c.arguments); }},
      {"format_map",
       [](C c) {
         const Values bound = c.bind({"format_map", "mapping", 1});
         if (!bound[0].is(Kind::kDict)) c.runtime().fail("format_map() takes a dict");
         Arguments named;
         for (const auto& item : bound[0].as<DictObject>().items) {
           if (item.first.string()) named.named.emplace_back(item.first.as<StringObject>().text.bytes, item.second);
         }
         return format_braces(c.in, c.self, named);
       }},
      {"isalnum",
       [](C c) {
         return all_of(c, "isalnum",
                       [](uint32_t p) { return is_alpha(p) || is_decimal(p) || is_digit(p) || is_numeric(p); });
       }},
      {"isalpha", [](C c) { return all_of(c, "isalpha", is_alpha); }},
      {"isascii",
       [](C c) {
         return all_of(
             c, "isascii", [](uint32_t p) { return p < 0x80; }, true);
       }},
      {"isdecimal", [](C c) { return all_of(c, "isdecimal", is_decimal); }},
      {"isdigit", [](C c) { return all_of(c, "isdigit", is_digit); }},
      {"isidentifier", isidentifier_method},
      {"islower", [](C c) { return has_case(c, "islower", false); }},
      {"isnumeric", [](C c) { return all_of(c, "isnumeric", is_numeric); }},
      {"isprintable", [](C c) { return all_of(c, "isprintable", is_printable, true); }},
      {"isspace", [](C c) { return all_of(c, "isspace", is_space); }},
      {"istitle", istitle_method},
      {"isupper", [](C c) { return has_case(c, "isupper", true); }},
      {"join", join_method},
      {"lstrip", [](C c) { return strip_method(c, "lstrip", true, false); }},
      {"rstrip", [](C c) { return strip_method(c, "rstrip", false, true); }},
      {"strip", [](C c) { return strip_method(c, "strip", true, true); }},
      {"partition", [](C c) { return partition_method(c, "partition", false); }},
      {"rpartition", [](C c) { return partition_method(c, "rpartition", true); }},
      {"removeprefix", [](C c) { return remove_method(c, "removeprefix", true); }},
      {"removesuffix", [](C c) { return remove_method(c, "removesuffix", false); }},
      {"replace", replace_method},
      {"split", [](C c) { return split_method(c, false); }},
      {"rsplit", [](C c) { return split_method(c, true); }},
      {"splitlines",
       [](C c) {
         const Values bound = c.bind({"splitlines", "keepends", 0});
         return c.result(split_lines(c.runtime(), c.text(), c.in.flag(bound[0], false)));
       }},
  };
  return methods;
}

}  // namespace

Value find_string_method(Interpreter& in, const Value& value, std::string_view name) {
  const auto found = string_methods().find(name);
  if (found == string_methods().end()) return Value();
  const Method method = found->second;
  return in.function(std::string(name), [value, method](Interpreter& with, Arguments& arguments) {
    return method(StringCall{with, value, arguments});
  });
}

}  // namespace godwit::jinja
