// Values as text: Python's str, repr and json.dumps.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/template_unicode.h"
#include "text/template_value.h"

namespace godwit::jinja {

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  // The shortest digits that read back as the value, laid out as Python does: plain from 1e-4 up to 1e16.
  char buffer[64];
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const bool negative = text[0] == '-';
  const size_t mark = text.find('e');
  std::string digits;
  for (const char c : text.substr(negative, mark - negative)) {
    if (c != '.') digits += c;
  }
  int exponent = 0;
  const char* from = text.data() + mark + 1;
  if (*from == '+') ++from;
  std::from_chars(from, text.data() + text.size(), exponent);
  std::string out = negative ? "-" : "";
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
         digits.substr(static_cast<size_t>(exponent) + 1);
}

namespace {

class Printer {
 public:
  explicit Printer(Runtime& runtime) : runtime_(runtime), out_(runtime) {}

  /// A container that shows data is data whole: its commas and quotes lie where the data puts them.
  Text finish() {
    Text text = std::move(out_.text());
    if (data_ || text.has_data()) text.mark_all();
    return text;
  }

  void repr(const Value& value) {
    const Deeper deeper(runtime_);
    runtime_.step();
    switch (value.kind()) {
      case Kind::kMissing:
      case Kind::kUndefined:
        return add("Undefined");
      case Kind::kNone:
        return add("None", value);
      case Kind::kBool:
        return add(value.boolean() ? "True" : "False", value);
      case Kind::kInt:
        return add(fmt::format("{}", value.integer()), value);
      case Kind::kFloat:
        return add(float_repr(value.real()), value);
      case Kind::kString: {
        const StringObject& string = value.as<StringObject>();
        if (string.markup) add("Markup(");
        repr_string(string.text);
        if (string.markup) add(")");
        return;
      }
      case Kind::kList:
        return repr_items("[", value.as<ListObject>().items, "]");
      case Kind::kTuple: {
        const Values& items = value.as<ListObject>().items;
        return repr_items("(", items, items.size() == 1 ? ",)" : ")");
      }
      case Kind::kDict:
        return repr_dict(value.as<DictObject>());
      case Kind::kView:
        return repr_view(value.as<ViewObject>());
      case Kind::kRange: {
        const RangeObject& range = value.as<RangeObject>();
        add(fmt::format("range({}, {}", range.start, range.stop));
        return add(range.step == 1 ? ")" : fmt::format(", {})", range.step));
      }
      case Kind::kNamespace: {
        add("<Namespace {");
        bool first = true;
        for (const auto& item : value.as<NamespaceObject>().attributes) {
          if (!first) add(", ");
          first = false;
          repr_string(Text(item.first, false));
          add(": ");
          repr(item.second);
        }
        return add("}>");
      }
      case Kind::kLoop: {
        const int64_t count = length(runtime_, value);
        return add(fmt::format("<LoopContext {}/{}>", value.as<LoopObject>().index0 + 1, count));
      }
      case Kind::kMacro:
        return add("<Macro '" + value.as<MacroObject>().stmt.name + "'>");
      case Kind::kIterator:
        return add("<generator object>");
      case Kind::kFunction:
        return add("<function " + value.as<FunctionObject>().name + ">");
      case Kind::kCycler:
        return add("<Cycler>");
      case Kind::kJoiner:
        return add("<Joiner>");
    }
  }

  void json(const Value& value, const JsonStyle& style, size_t level) {
    const Deeper deeper(runtime_);
    runtime_.step();
    switch (value.kind()) {
      case Kind::kNone:
        return add("null", value);
      case Kind::kBool:
        return add(value.boolean() ? "true" : "false", value);
      case Kind::kInt:
        return add(fmt::format("{}", value.integer()), value);
      case Kind::kFloat:
        return add(json_float(value.real()), value);
      case Kind::kString:
        return json_string(value.as<StringObject>().text, style.ascii);
      case Kind::kList:
      case Kind::kTuple: {
        const Values& items = value.as<ListObject>().items;
        if (items.empty()) return add("[]");
        add("[");
        for (size_t i = 0; i < items.size(); ++i) {
          separate(style, level, i);
          json(items[i], style, level + 1);
        }
        end_line(style, level);
        return add("]");
      }
      case Kind::kDict:
        return json_dict(value.as<DictObject>(), style, level);
      default:
        runtime_.fail("a value of type {} has no JSON form", type_name(value));
    }
  }

 private:
  void add(std::string_view text) { out_.add(text, false); }
  void add(std::string_view text, const Value& value) {
    data_ = data_ || value.from_data();
    add(text);
  }

  void repr_items(std::string_view open, const Values& items, std::string_view close) {
    add(open);
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) add(", ");
      repr(items[i]);
    }
    add(close);
  }

  void repr_dict(const DictObject& dict) {
    add("{");
    for (size_t i = 0; i < dict.items.size(); ++i) {
      if (i > 0) add(", ");
      repr(dict.items[i].first);
      add(": ");
      repr(dict.items[i].second);
    }
    add("}");
  }

  void repr_view(const ViewObject& view) {
    using Part = ViewObject::Part;
    add(view.part == Part::kKeys ? "dict_keys([" : view.part == Part::kValues ? "dict_values([" : "dict_items([");
    for (size_t i = 0; i < view.dict->items.size(); ++i) {
      const std::pair<Value, Value>& item = view.dict->items[i];
      if (i > 0) add(", ");
      if (view.part == Part::kItems) add("(");
      if (view.part != Part::kValues) repr(item.first);
      if (view.part == Part::kItems) add(", ");
      if (view.part != Part::kKeys) repr(item.second);
      if (view.part == Part::kItems) add(")");
    }
    add("])");
  }

  void repr_string(const Text& text) {
    data_ = data_ || text.has_data();
    runtime_.scanned(text.bytes.size());
    const bool single = text.bytes.find('\'') == std::string::npos || text.bytes.find('"') != std::string::npos;
    const char quote = single ? '\'' : '"';
    std::string out(1, quote);
    for (size_t at = 0; at < text.bytes.size();) {
      const CodePoint point = code_at(text.bytes, at);
      const char c = text.bytes[at];
      if (c == quote || c == '\\') {
        out += '\\';
        out += c;
      } else if (c == '\n') {
        out += "\\n";
      } else if (c == '\r') {
        out += "\\r";
      } else if (c == '\t') {
        out += "\\t";
      } else if (is_printable(point.code)) {
        out.append(text.bytes, at, point.length);
      } else {
        out += point.code < 0x100     ? fmt::format("\\x{:02x}", point.code)
               : point.code < 0x10000 ? fmt::format("\\u{:04x}", point.code)
                                      : fmt::format("\\U{:08x}", point.code);
      }
      at += point.length;
      flush(out, 4096);
    }
    out += quote;
    flush(out, 0);
  }

  // So that no copy of a long text grows beyond the limit before it is looked at.
  void flush(std::string& text, size_t least) {
    if (text.size() < least) return;
    add(text);
    text.clear();
  }

  static std::string json_float(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_repr(value);
  }

  void json_string(const Text& text, bool ascii) {
    data_ = data_ || text.has_data();
    runtime_.scanned(text.bytes.size());
    std::string out = "\"";
    for (size_t at = 0; at < text.bytes.size();) {
      const char c = text.bytes[at];
      const CodePoint point = code_at(text.bytes, at);
      static constexpr std::string_view kShort = "\"\\\n\r\t\f\b";
      static constexpr std::string_view kLetter = "\"\\nrtfb";
      const size_t known = kShort.find(c);
      if (known != std::string_view::npos) {
        out += '\\';
        out += kLetter[known];
      } else if (point.code < 0x20 || (ascii && point.code >= 0x7F && point.code < 0x10000)) {
        out += fmt::format("\\u{:04x}", point.code);
      } else if (ascii && point.code >= 0x10000) {
        const uint32_t rest = point.code - 0x10000;
        out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
      } else {
        out.append(text.bytes, at, point.length);
      }
      at += point.length;
      flush(out, 4096);
    }
    out += '"';
    flush(out, 0);
  }

  std::string json_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return key.boolean() ? "true" : "false";
      case Kind::kInt:
        return fmt::format("{}", key.integer());
      case Kind::kFloat:
        return json_float(key.real());
      default:
        runtime_.fail("a key of type {} has no JSON form", type_name(key));
    }
  }

  void json_dict(const DictObject& dict, const JsonStyle& style, size_t level) {
    if (dict.items.empty()) return add("{}");
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    if (style.sort_keys) {
      std::stable_sort(items.begin(), items.end(),
                       [this](const auto* a, const auto* b) { return less(runtime_, a->first, b->first, false); });
    }
    add("{");
    for (size_t i = 0; i < items.size(); ++i) {
      separate(style, level, i);
      const Value& key = items[i]->first;
      data_ = data_ || key.from_data();
      json_string(key.string() ? key.as<StringObject>().text : Text(json_key(key), false), style.ascii);
      out_.add(style.key_separator);
      json(items[i]->second, style, level + 1);
    }
    end_line(style, level);
    add("}");
  }

  void separate(const JsonStyle& style, size_t level, size_t index) {
    if (index > 0) out_.add(style.item_separator);
    if (style.indented) end_line(style, level + 1);
  }
  void end_line(const JsonStyle& style, size_t level) {
    if (!style.indented) return;
    add("\n");
    for (size_t i = 0; i < level; ++i) out_.add(style.indent);
  }

  Runtime& runtime_;
  Builder out_;
  bool data_ = false;
};

}  // namespace

Text to_repr(Runtime& runtime, const Value& value) {
  Printer printer(runtime);
  printer.repr(value);
  return printer.finish();
}

Text to_text(Runtime& runtime, const Value& value) {
  if (value.string()) {
    const Text& text = value.as<StringObject>().text;
    runtime.copied(text.bytes.size());
    return text;
  }
  if (value.undefined() || value.missing()) return {};
  return to_repr(runtime, value);
}

Text to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  Printer printer(runtime);
  printer.json(value, style, 0);
  return printer.finish();
}

}  // namespace godwit::jinja
