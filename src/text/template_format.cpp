// Python's two ways to format: template % values, and template.format(...) with format specifications.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "text/template_interpreter.h"
#include "text/unicode.h"

namespace godwit::jinja {
namespace {

constexpr int64_t kMostPrecision = 1000;  // digits; what is longer is no number for people

// What both ways say about one field. Python: [[fill]align][sign][#][0][width][grouping][.precision][type].
struct Field {
  Text fill = Text(" ", false);
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  bool zero = false;
  int64_t width = 0;
  char grouping = 0;
  int64_t precision = -1;
  char type = 0;
};

std::string grouped(const std::string& digits, char separator, size_t every) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

// As %g, but with a digit behind the point, and with an exponent where that would be one digit too many.
std::string general_digits(double magnitude, int precision) {
  std::string text = fmt::format("{:.{}e}", magnitude, precision - 1);
  const size_t mark = text.find('e');
  int64_t exponent = 0;
  parse_int(std::string_view(text).substr(mark + 1), 10, exponent);
  const auto without_zeros = [](std::string digits) {
    if (digits.find('.') == std::string::npos) return digits;
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.back() == '.') digits.pop_back();
    return digits;
  };
  if (exponent < -4 || exponent >= precision - 1) return without_zeros(text.substr(0, mark)) + text.substr(mark);
  text = without_zeros(fmt::format("{:.{}f}", magnitude, precision - 1 - static_cast<int>(exponent)));
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

// Digits of a number without its sign, in the form of e, f, g or %.
std::string real_digits(double value, const Field& field) {
  const double magnitude = std::fabs(value);
  const bool upper = field.type == 'E' || field.type == 'F' || field.type == 'G';
  std::string text;
  if (std::isnan(value) || std::isinf(value)) {
    text = std::isnan(value) ? "nan" : "inf";
    if (field.type == '%') text += '%';
  } else {
    const int precision = static_cast<int>(field.precision < 0 ? 6 : field.precision);
    switch (field.type | 0x20) {
      case 'e':
        text = fmt::format("{:.{}e}", magnitude, precision);
        break;
      case 'f':
        text = fmt::format("{:.{}f}", magnitude, precision);
        break;
      case 'g':
        text = field.alternate ? fmt::format("{:#.{}g}", magnitude, std::max(precision, 1))
                               : fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
        break;
      case '%' | 0x20:
        text = fmt::format("{:.{}f}%", magnitude * 100, precision);
        break;
      default:
        // No type: as repr, or with a precision as g with at least one digit behind the point.
        if (field.precision < 0) {
          text = float_repr(magnitude);
        } else {
          text = general_digits(magnitude, std::max(precision, 1));
        }
    }
    if (field.grouping != 0) {
      const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
      text = grouped(text.substr(0, end), field.grouping, 3) + text.substr(end);
    }
  }
  if (upper) {
    for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c;
  }
  return text;
}

std::string integer_digits(int64_t value, const Field& field, std::string& prefix) {
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits;
  switch (field.type) {
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      break;
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      break;
    default:
      digits = fmt::format("{}", magnitude);
  }
  const bool decimal =
      field.type == 'd' || field.type == 0 || field.type == 'n' || field.type == 'i' || field.type == 'u';
  if (field.alternate && !decimal) prefix = fmt::format("0{}", field.type);
  return field.grouping != 0 ? grouped(digits, field.grouping, decimal ? 3 : 4) : digits;
}

Text pad_number(Interpreter& in, const std::string& sign, const std::string& digits, const Field& field, bool data) {
  in.runtime().check_room(static_cast<uint64_t>(std::max<int64_t>(field.width, 0)));
  const char align = field.align != 0 ? field.align : field.zero ? '=' : '>';
  Builder out(in.runtime());
  if (align == '=') {
    Text fill = field.zero && field.align == 0 ? Text("0", false) : field.fill;
    std::string inner = digits;
    if (field.grouping != 0 && field.zero && field.align == 0) {
      // Zeros in front are grouped like digits.
      std::string plain;
      for (const char c : digits) {
        if (c != field.grouping) plain += c;
      }
      const size_t every = field.type == 'b' || field.type == 'o' || field.type == 'x' || field.type == 'X' ? 4 : 3;
      while (static_cast<int64_t>(sign.size() + inner.size()) < field.width) {
        plain.insert(0, 1, '0');
        const size_t moved = std::min(plain.find_first_of(".e%"), plain.size());
        inner = grouped(plain.substr(0, moved), field.grouping, every) + plain.substr(moved);
        in.runtime().scanned(inner.size() * 4);
      }
    }
    out.add(sign, data);
    const int64_t missing = field.width - static_cast<int64_t>(sign.size() + inner.size());
    in.runtime().scanned(static_cast<uint64_t>(std::max<int64_t>(missing, 0)) * 8);
    for (int64_t i = 0; i < missing; ++i) out.add(fill);
    out.add(inner, data);
    return std::move(out.text());
  }
  return pad(in.runtime(), Text(sign + digits, data), field.width, field.fill,
             align == '<'   ? Align::kLeft
             : align == '^' ? Align::kMiddle
                            : Align::kRight);
}

std::string sign_of(bool negative, const Field& field) {
  if (negative) return "-";
  return field.sign == '-' ? std::string() : std::string(1, field.sign);
}

}  // namespace

namespace {

// Digits from `at` on; false when they are more than a width may be.
bool read_number(std::string_view text, size_t& at, int64_t& number) {
  number = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    number = number * 10 + (text[at] - '0');
    if (number > INT32_MAX) return false;
  }
  return true;
}

Field read_specification(Interpreter& in, const Text& specification) {
  const std::string& text = specification.bytes;
  const auto bad = [&]() { in.runtime().fail("'{}' is no format specification", printable(text, 60)); };
  Field field;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  const size_t first = text.empty() ? 0 : code_at(text, 0).length;
  if (first < text.size() && is_align(text[first])) {
    field.fill = Text();
    field.fill.append(specification, 0, first);
    field.align = text[first];
    at = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    field.align = text[0];
    at = 1;
  }
  const auto peek = [&]() { return at < text.size() ? text[at] : '\0'; };
  if (peek() == '+' || peek() == '-' || peek() == ' ') field.sign = text[at++];
  if (peek() == '#') field.alternate = ++at != 0;
  if (peek() == '0') {
    field.zero = ++at != 0;
    if (first >= text.size() || !is_align(text[first])) field.fill = Text("0", false);
  }
  if (!read_number(text, at, field.width)) bad();
  if (peek() == ',' || peek() == '_') field.grouping = text[at++];
  if (peek() == '.') {
    const size_t begin = ++at;
    if (!read_number(text, at, field.precision) || at == begin) bad();
  }
  if (at < text.size()) field.type = text[at++];
  if (at != text.size()) bad();
  return field;
}

}  // namespace

Text format_value(Interpreter& in, const Value& value, const Text& specification) {
  if (specification.bytes.empty()) {
    Text plain = to_text(in.runtime(), value);
    if (value.from_data()) plain.mark_all();
    return plain;
  }
  Field field = read_specification(in, specification);
  Runtime& runtime = in.runtime();
  if (value.string()) {
    if (field.type != 0 && field.type != 's')
      runtime.fail("the format '{}' is not for a string", printable(specification.bytes, 40));
    if (field.sign != '-' || field.alternate || field.grouping != 0 || field.align == '=') {
      runtime.fail("the format '{}' is not for a string", printable(specification.bytes, 40));
    }
    const StringObject& string = value.as<StringObject>();
    Builder out(runtime);
    const size_t length = string.length();
    const size_t kept = field.precision < 0 ? length : std::min(length, static_cast<size_t>(field.precision));
    out.add(string.text, 0, string.offset(kept));
    return pad(runtime, out.text(), field.width, field.fill,
               field.align == '>'   ? Align::kRight
               : field.align == '^' ? Align::kMiddle
                                    : Align::kLeft);
  }
  if (!value.number()) runtime.fail("a {} takes no format specification", type_name(value));
  const bool real = value.is(Kind::kFloat) ||
                    (field.type != 0 && std::string_view("eEfFgG%").find(field.type) != std::string_view::npos);
  if (field.precision > kMostPrecision) runtime.fail("more than {} digits in a format", kMostPrecision);
  if (real) {
    if (field.type != 0 && std::string_view("eEfFgG%").find(field.type) == std::string_view::npos) {
      runtime.fail("the format '{}' is not for a float", printable(specification.bytes, 40));
    }
    const double number = value.real();
    return pad_number(in, sign_of(std::signbit(number) && !std::isnan(number), field), real_digits(number, field),
                      field, value.from_data());
  }
  if (field.precision >= 0 ||
      (field.type != 0 && std::string_view("bcdnoxX").find(field.type) == std::string_view::npos)) {
    runtime.fail("the format '{}' is not for a whole number", printable(specification.bytes, 40));
  }
  const bool decimal = field.type == 0 || field.type == 'd';
  if (field.grouping != 0 && !decimal && (field.grouping == ',' || field.type == 'c' || field.type == 'n')) {
    runtime.fail("the format '{}' groups what has no groups", printable(specification.bytes, 40));
  }
  const int64_t number = value.integer();
  if (field.type == 'c') {
    if (number < 0 || number >= 0x110000 || (number >= 0xD800 && number < 0xE000))
      runtime.fail("{} is no character", number);
    std::string character;
    append_utf8(character, static_cast<uint32_t>(number));
    return pad(runtime, Text(character, value.from_data()), field.width, field.fill,
               field.align == '>'   ? Align::kRight
               : field.align == '^' ? Align::kMiddle
                                    : Align::kLeft);
  }
  if (value.is(Kind::kBool) && field.type == 0 && field.width == 0) field.type = 'd';
  std::string prefix;
  const std::string digits = integer_digits(number, field, prefix);
  return pad_number(in, sign_of(number < 0, field) + prefix, digits, field, value.from_data());
}

namespace {

// format()'s pattern, read from left to right.
class BraceFormat {
 public:
  BraceFormat(Interpreter& in, Arguments& arguments, bool markup) : in_(in), arguments_(arguments), markup_(markup) {}

  Text run(const Text& pattern, int depth) {
    if (depth > 2) in_.runtime().fail("format(): fields within fields within fields");
    const std::string& bytes = pattern.bytes;
    Builder out(in_.runtime());
    in_.runtime().scanned(bytes.size());
    size_t from = 0;
    for (size_t at = 0; at < bytes.size();) {
      const char c = bytes[at];
      if (c != '{' && c != '}') {
        ++at;
        continue;
      }
      out.add(pattern, from, at);
      if (at + 1 < bytes.size() && bytes[at + 1] == c) {
        out.add(pattern, at, at + 1);
        at += 2;
        from = at;
        continue;
      }
      if (c == '}') in_.runtime().fail("format(): a single '}}'");
      // The field ends with the brace that closes it: its specification may have fields of its own.
      size_t end = at + 1;
      for (int open = 1; end < bytes.size(); ++end) {
        if (bytes[end] == '{') ++open;
        if (bytes[end] == '}' && --open == 0) break;
      }
      if (end >= bytes.size()) in_.runtime().fail("format(): expected '}}' at the end of a field");
      out.add(field(pattern, at + 1, end, depth));
      at = end + 1;
      from = at;
    }
    out.add(pattern, from, bytes.size());
    return std::move(out.text());
  }

 private:
  Text field(const Text& pattern, size_t begin, size_t end, int depth) {
    Runtime& runtime = in_.runtime();
    runtime.step();
    const std::string_view all = std::string_view(pattern.bytes).substr(0, end);
    size_t name_end = begin;
    bool bracket = false;
    while (name_end < end && (bracket || (all[name_end] != ':' && all[name_end] != '!'))) {
      if (all[name_end] == '[') bracket = true;
      if (all[name_end] == ']') bracket = false;
      ++name_end;
    }
    Value value = lookup(all.substr(begin, name_end - begin));
    size_t at = name_end;
    if (at < end && all[at] == '!') {
      const char conversion = at + 1 < end ? all[at + 1] : '\0';
      if (conversion == 'r') {
        value = in_.text(to_repr(runtime, value));
      } else if (conversion == 's') {
        value = in_.text(to_text(runtime, value));
      } else {
        runtime.fail("format(): expected !r or !s");
      }
      at += 2;
      if (at < end && all[at] != ':') runtime.fail("format(): expected ':' after the conversion");
    }
    Text specification;
    if (at < end) {
      Text inner;
      inner.append(pattern, at + 1, end);
      specification = run(inner, depth + 1);
    }
    Text shown = format_value(in_, value, specification);
    const bool safe = value.string() && value.as<StringObject>().markup;
    return markup_ && !safe ? escape_html(runtime, shown) : shown;
  }

  Value lookup(std::string_view path) {
    Runtime& runtime = in_.runtime();
    const size_t first_end = std::min(path.find_first_of(".["), path.size());
    const std::string_view first = path.substr(0, first_end);
    Value value;
    int64_t index = -1;
    const bool numbered = !first.empty() && first.find_first_not_of("0123456789") == std::string_view::npos;
    if (first.empty()) {
      if (manual_) runtime.fail("format(): numbered and unnumbered fields");
      automatic_ = true;
      index = next_++;
    } else if (numbered) {
      if (automatic_) runtime.fail("format(): numbered and unnumbered fields");
      manual_ = true;
      if (!parse_int(first, 10, index)) index = INT64_MAX;
    }
    if (index >= 0) {
      if (static_cast<uint64_t>(index) >= arguments_.positional.size())
        runtime.fail("format(): there is no argument {}", index);
      value = arguments_.positional[static_cast<size_t>(index)];
    } else {
      const auto named = std::find_if(arguments_.named.begin(), arguments_.named.end(),
                                      [&](const auto& argument) { return argument.first == first; });
      if (named == arguments_.named.end()) runtime.fail("format(): there is no argument '{}'", printable(first, 40));
      value = named->second;
    }
    for (size_t at = first_end; at < path.size();) {
      runtime.step();
      if (path[at] == '.') {
        const size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
        value = in_.attribute(value, path.substr(at + 1, end - at - 1));
        at = end;
      } else if (path[at] == '[') {
        const size_t end = path.find(']', at);
        if (end == std::string_view::npos) runtime.fail("format(): expected ']'");
        const std::string_view key = path.substr(at + 1, end - at - 1);
        int64_t number = 0;
        const bool digits = !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos;
        value = in_.item(
            value, digits && parse_int(key, 10, number) ? Value::of(number) : in_.text(Text(std::string(key), false)));
        at = end + 1;
      } else {
        runtime.fail("format(): expected '.' or '[' after ']'");
      }
    }
    return value;
  }

  Interpreter& in_;
  Arguments& arguments_;
  bool markup_;
  bool automatic_ = false, manual_ = false;
  int64_t next_ = 0;
};

}  // namespace

Value format_braces(Interpreter& in, const Value& pattern, Arguments& arguments) {
  const Deeper deeper(in.runtime());
  const StringObject& string = pattern.as<StringObject>();
  return in.text(BraceFormat(in, arguments, string.markup).run(string.text, 0), string.markup);
}

Value format_percent(Interpreter& in, const Value& pattern, const Value& values) {
  Runtime& runtime = in.runtime();
  const StringObject& string = pattern.as<StringObject>();
  const std::string& bytes = string.text.bytes;
  const Values single = {values};
  const Values& given = values.is(Kind::kTuple) ? values.as<ListObject>().items : single;
  size_t next = 0;
  const auto take = [&]() -> const Value& {
    if (next >= given.size()) runtime.fail("not enough values for the format");
    return given[next++];
  };
  Builder out(runtime);
  runtime.scanned(bytes.size());
  size_t from = 0;
  for (size_t at = bytes.find('%'); at != std::string::npos; at = bytes.find('%', at)) {
    runtime.step();
    out.add(string.text, from, at);
    ++at;
    Value value;
    if (at < bytes.size() && bytes[at] == '(') {
      size_t end = at + 1;
      for (int open = 1; end < bytes.size(); ++end) {
        if (bytes[end] == '(') ++open;
        if (bytes[end] == ')' && --open == 0) break;
      }
      if (end >= bytes.size()) runtime.fail("a format's name lacks its ')'");
      if (!values.is(Kind::kDict)) runtime.fail("a format with names takes a dict");
      const std::string name = bytes.substr(at + 1, end - at - 1);
      const Value* found = values.as<DictObject>().find(name);
      if (found == nullptr) runtime.fail("the format's '{}' is not in the dict", printable(name, 40));
      value = *found;
      at = end + 1;
    }
    Field field;
    for (; at < bytes.size(); ++at) {
      const char c = bytes[at];
      if (c == '-') {
        field.align = '<';
      } else if (c == '+' || (c == ' ' && field.sign != '+')) {
        field.sign = c;
      } else if (c == '#') {
        field.alternate = true;
      } else if (c == '0') {
        field.zero = true;
      } else if (c != ' ') {
        break;
      }
    }
    const auto number = [&](int64_t& to) {
      if (at < bytes.size() && bytes[at] == '*') {
        to = in.integer(take(), 0);
        ++at;
      } else if (!read_number(bytes, at, to)) {
        runtime.fail("a format's number is too large");
      }
    };
    number(field.width);
    if (field.width < 0) {
      field.align = '<';
      field.width = field.width < -INT32_MAX ? INT32_MAX : -field.width;
    }
    if (at < bytes.size() && bytes[at] == '.') {
      ++at;
      number(field.precision);
      field.precision = std::max<int64_t>(field.precision, 0);
    }
    while (at < bytes.size() && (bytes[at] == 'l' || bytes[at] == 'h' || bytes[at] == 'L')) ++at;
    if (at >= bytes.size()) runtime.fail("a format is not complete");
    field.type = bytes[at++];
    from = at;
    if (field.type == '%') {
      out.add("%", false);
      continue;
    }
    if (value.missing()) value = take();
    if (field.type == 's' || field.type == 'r' || field.type == 'a') {
      Text shown =
          field.type == 's' ? (string.markup ? in.escaped(value) : to_text(runtime, value)) : to_repr(runtime, value);
      if (value.from_data()) shown.mark_all();
      const Value kept = in.text(std::move(shown));
      const StringObject& object = kept.as<StringObject>();
      const size_t length = object.length();
      Builder cut(runtime);
      cut.add(object.text, 0,
              object.offset(field.precision < 0 ? length : std::min(length, static_cast<size_t>(field.precision))));
      out.add(
          pad(runtime, cut.text(), field.width, Text(" ", false), field.align == '<' ? Align::kLeft : Align::kRight));
      continue;
    }
    if (field.type == 'c') {
      Text character;
      if (value.string()) {
        if (value.as<StringObject>().length() != 1) runtime.fail("%c takes one character");
        character = value.as<StringObject>().text;
      } else {
        character = format_value(in, value, Text("c", false));
      }
      out.add(
          pad(runtime, character, field.width, Text(" ", false), field.align == '<' ? Align::kLeft : Align::kRight));
      continue;
    }
    if (value.undefined()) in.undefined_used(value);
    const bool whole = std::string_view("diouxX").find(field.type) != std::string_view::npos;
    if (!whole && std::string_view("eEfFgG").find(field.type) == std::string_view::npos) {
      runtime.fail("unknown format '%{}'", printable(std::string_view(&field.type, 1)));
    }
    if (!value.number()) runtime.fail("'%{}' takes a number, got a {}", field.type, type_name(value));
    if (field.precision > kMostPrecision) runtime.fail("more than {} digits in a format", kMostPrecision);
    if (!whole) {
      const double real = value.real();
      out.add(pad_number(in, sign_of(std::signbit(real) && !std::isnan(real), field), real_digits(real, field), field,
                         value.from_data()));
      continue;
    }
    if (value.is(Kind::kFloat)) {
      if (field.type == 'x' || field.type == 'X' || field.type == 'o')
        runtime.fail("'%{}' takes a whole number", field.type);
      if (!(std::fabs(value.real()) < 0x1p63)) runtime.fail("a number beyond 64 bits");
      value = Value::of(static_cast<int64_t>(value.real())).marked(value.from_data());
    }
    std::string prefix;
    std::string digits = integer_digits(value.integer(), field, prefix);
    if (static_cast<int64_t>(digits.size()) < field.precision) {
      digits.insert(0, static_cast<size_t>(field.precision) - digits.size(), '0');
    }
    out.add(pad_number(in, sign_of(value.integer() < 0, field) + prefix, digits, field, value.from_data()));
  }
  out.add(string.text, from, bytes.size());
  // What has items, Python does not call unused.
  const bool has_items =
      values.is(Kind::kDict) || values.is(Kind::kList) || values.is(Kind::kRange) || values.undefined();
  if (values.is(Kind::kTuple) ? next < given.size() : next == 0 && !has_items) {
    runtime.fail("not all values fit into the format");
  }
  return out.value(string.markup);
}

}  // namespace godwit::jinja
