// Python's string functions on texts that keep their origins.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "text/template_interpreter.h"
#include "text/template_unicode.h"
#include "text/unicode.h"

namespace godwit::jinja {
namespace {

// Whether the sigma at `at` ends its word: a cased letter before it and none behind, past what is case-ignorable.
bool is_final_sigma(std::string_view text, size_t at, Runtime& runtime) {
  const auto cased = [](uint32_t code) { return is_upper(code) || is_lower(code) || is_title(code); };
  size_t before = at;
  bool found = false;
  while (before > 0) {
    runtime.scanned(1);
    before = code_before(text, before);
    const uint32_t code = code_at(text, before).code;
    if (is_case_ignorable(code)) continue;
    found = cased(code);
    break;
  }
  if (!found) return false;
  for (size_t behind = at + 2; behind < text.size();) {
    runtime.scanned(1);
    const CodePoint point = code_at(text, behind);
    if (!is_case_ignorable(point.code)) return !cased(point.code);
    behind += point.length;
  }
  return true;
}

void lower_one(std::string& out, std::string_view text, size_t at, uint32_t code, Runtime& runtime) {
  if (code == 0x3A3) {
    append_utf8(out, is_final_sigma(text, at, runtime) ? 0x3C2 : 0x3C3);
  } else {
    append_lower(out, code);
  }
}

}  // namespace

Text to_case(Runtime& runtime, const Text& text, Case to) {
  Builder out(runtime);
  runtime.scanned(8 * text.bytes.size());  // a search in tables for each character
  std::string piece;
  bool piece_is_data = false;
  bool after_cased = false;
  size_t range = 0;
  for (size_t at = 0; at < text.bytes.size();) {
    const CodePoint point = code_at(text.bytes, at);
    while (range < text.data.size() && text.data[range].end <= at) ++range;
    const bool data = range < text.data.size() && text.data[range].begin <= at;
    if (data != piece_is_data || piece.size() >= 4096) {
      out.add(piece, piece_is_data);
      piece.clear();
      piece_is_data = data;
    }
    const uint32_t code = point.code;
    switch (to) {
      case Case::kUpper:
        append_upper(piece, code);
        break;
      case Case::kFolded:
        append_folded(piece, code);
        break;
      case Case::kLower:
        lower_one(piece, text.bytes, at, code, runtime);
        break;
      case Case::kCapitalized:
        if (at == 0) {
          append_title(piece, code);
        } else {
          lower_one(piece, text.bytes, at, code, runtime);
        }
        break;
      case Case::kSwapped:
        if (is_upper(code)) {
          lower_one(piece, text.bytes, at, code, runtime);
        } else if (is_lower(code)) {
          append_upper(piece, code);
        } else {
          append_utf8(piece, code);
        }
        break;
      case Case::kTitle:
        if (after_cased) {
          lower_one(piece, text.bytes, at, code, runtime);
        } else {
          append_title(piece, code);
        }
        after_cased = is_upper(code) || is_lower(code) || is_title(code);
        break;
    }
    at += point.length;
  }
  out.add(piece, piece_is_data);
  return std::move(out.text());
}

Text replace(Runtime& runtime, const Text& text, const Text& from, const Text& by, int64_t most) {
  Builder out(runtime);
  runtime.searched(text.bytes.size(), from.bytes.size());
  // Within a text of users, what stands where they wrote `from` is theirs: they chose where, and how often.
  Text to = by;
  if (!text.data.empty()) to = Text(by.bytes, true);
  uint64_t left = most < 0 ? UINT64_MAX : static_cast<uint64_t>(most);
  if (from.bytes.empty()) {
    // Python puts `to` before each code point and at the end.
    size_t at = 0;
    while (left > 0) {
      runtime.scanned(64);
      out.add(to);
      --left;
      if (at >= text.bytes.size()) return std::move(out.text());
      const size_t end = at + code_at(text.bytes, at).length;
      out.add(text, at, end);
      at = end;
    }
    out.add(text, at, text.bytes.size());
    return std::move(out.text());
  }
  size_t at = 0;
  while (left > 0) {
    const size_t found = text.bytes.find(from.bytes, at);
    if (found == std::string::npos) break;
    runtime.scanned(64);
    out.add(text, at, found);
    out.add(to);
    at = found + from.bytes.size();
    --left;
  }
  out.add(text, at, text.bytes.size());
  return std::move(out.text());
}

namespace {

// A piece of the text, counted as the string that it will be.
void cut(Runtime& runtime, std::vector<Text>& pieces, const Text& text, size_t begin, size_t end) {
  runtime.step();
  runtime.copied(end - begin);
  runtime.check_room((pieces.size() + 1) * (sizeof(StringObject) + sizeof(Text)) + (end - begin));
  Text piece;
  piece.append(text, begin, end);
  pieces.push_back(std::move(piece));
}

}  // namespace

std::vector<Text> split(Runtime& runtime, const Text& text, const Text* separator, int64_t most, bool from_right) {
  std::vector<Text> pieces;
  const std::string& bytes = text.bytes;
  runtime.searched(bytes.size(), separator != nullptr ? separator->bytes.size() : 0);
  uint64_t left = most < 0 ? UINT64_MAX : static_cast<uint64_t>(most);
  if (separator != nullptr && separator->bytes.empty()) runtime.fail("split() by an empty separator");
  const auto space_at = [&](size_t at) { return is_space(code_at(bytes, at).code); };
  if (!from_right) {
    size_t at = 0;
    if (separator != nullptr) {
      for (; left > 0; --left) {
        const size_t found = bytes.find(separator->bytes, at);
        if (found == std::string::npos) break;
        cut(runtime, pieces, text, at, found);
        at = found + separator->bytes.size();
      }
      cut(runtime, pieces, text, at, bytes.size());
      return pieces;
    }
    for (;;) {
      while (at < bytes.size() && space_at(at)) at += code_at(bytes, at).length;
      if (at >= bytes.size()) return pieces;
      size_t end = at;
      if (left-- == 0) {
        end = bytes.size();
      } else {
        while (end < bytes.size() && !space_at(end)) end += code_at(bytes, end).length;
      }
      cut(runtime, pieces, text, at, end);
      if (left == UINT64_MAX && most >= 0) return pieces;  // that was the rest
      at = end;
    }
  }
  size_t end = bytes.size();
  if (separator != nullptr) {
    for (; left > 0 && end >= separator->bytes.size(); --left) {
      const size_t found = bytes.rfind(separator->bytes, end - separator->bytes.size());
      if (found == std::string::npos) break;
      cut(runtime, pieces, text, found + separator->bytes.size(), end);
      end = found;
    }
    cut(runtime, pieces, text, 0, end);
  } else {
    for (;;) {
      while (end > 0 && space_at(code_before(bytes, end))) end = code_before(bytes, end);
      if (end == 0) break;
      size_t begin = end;
      if (left == 0) {
        begin = 0;
      } else {
        while (begin > 0 && !space_at(code_before(bytes, begin))) begin = code_before(bytes, begin);
      }
      cut(runtime, pieces, text, begin, end);
      if (left == 0) break;
      --left;
      end = begin;
    }
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<Text> split_lines(Runtime& runtime, const Text& text, bool keep_ends) {
  std::vector<Text> lines;
  const std::string& bytes = text.bytes;
  runtime.scanned(bytes.size());
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint point = code_at(bytes, at);
    const uint32_t code = point.code;
    const bool ends = (code >= 0xA && code <= 0xD) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
                      code == 0x2028 || code == 0x2029;
    size_t next = at + point.length;
    if (ends) {
      if (code == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
      cut(runtime, lines, text, begin, keep_ends ? next : at);
      begin = next;
    }
    at = next;
  }
  if (begin < bytes.size()) cut(runtime, lines, text, begin, bytes.size());
  return lines;
}

Text pad(Runtime& runtime, const Text& text, int64_t width, const Text& fill, Align align) {
  runtime.scanned(text.bytes.size());
  const int64_t length = static_cast<int64_t>(count_code_points(text.bytes));
  const int64_t missing = std::max<int64_t>(width - length, 0);
  runtime.check_room(static_cast<uint64_t>(missing));
  int64_t left = align == Align::kRight ? missing : align == Align::kMiddle ? missing / 2 : 0;
  // As CPython's center: of an odd number the larger half goes left where the width is odd.
  if (align == Align::kCenter) left = missing / 2 + (missing & width & 1);
  Builder out(runtime);
  for (int64_t i = 0; i < left; ++i) out.add(fill);
  out.add(text);
  for (int64_t i = left; i < missing; ++i) out.add(fill);
  runtime.scanned(static_cast<uint64_t>(missing) * 8);
  return std::move(out.text());
}

Text escape_html(Runtime& runtime, const Text& text) {
  Builder out(runtime);
  runtime.scanned(text.bytes.size());
  size_t from = 0;
  for (size_t at = 0; at < text.bytes.size(); ++at) {
    const char c = text.bytes[at];
    const char* to = c == '&'    ? "&amp;"
                     : c == '<'  ? "&lt;"
                     : c == '>'  ? "&gt;"
                     : c == '\'' ? "&#39;"
                     : c == '"'  ? "&#34;"
                                 : nullptr;
    if (to == nullptr) continue;
    out.add(text, from, at);
    out.add(to, text.is_data(at));
    from = at + 1;
  }
  out.add(text, from, text.bytes.size());
  return std::move(out.text());
}

namespace {

// Digits with single underscores between them, as Python's numbers may have; false for any other place of one.
bool without_underscores(std::string_view text, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto alnum = [&](size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) return false;
  }
  return true;
}

std::string_view stripped(std::string_view text) {
  const Span kept = strip(text, true, true);
  return text.substr(kept.begin, kept.end - kept.begin);
}

}  // namespace

bool parse_int(std::string_view text, int base, int64_t& value) {
  text = stripped(text);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.size() > 2 && text[0] == '0') {
    const char kind = static_cast<char>(text[1] | 0x20);
    const int named = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (named != 0 && (base == named || base == 0)) {
      base = named;
      text.remove_prefix(2);
      if (text[0] == '_') text.remove_prefix(1);
    }
  }
  if (base == 0) {
    base = 10;
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != std::string_view::npos) return false;
  }
  std::string digits;
  if (!without_underscores(text, digits) || digits.empty()) return false;
  uint64_t total = 0;
  for (const char c : digits) {
    const int digit = c >= '0' && c <= '9'                     ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10
                                                               : 99;
    if (digit >= base) return false;
    if (__builtin_mul_overflow(total, static_cast<uint64_t>(base), &total) ||
        __builtin_add_overflow(total, static_cast<uint64_t>(digit), &total)) {
      return false;
    }
  }
  if (total > static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0)) return false;
  value = static_cast<int64_t>(negative ? 0 - total : total);
  return true;
}

bool parse_float(std::string_view text, double& value) {
  std::string plain;
  if (!without_underscores(stripped(text), plain) || plain.empty()) return false;
  std::string lower = plain;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  const bool negative = lower[0] == '-';
  const std::string word = negative || lower[0] == '+' ? lower.substr(1) : lower;
  if (word == "inf" || word == "infinity") {
    value = negative ? -HUGE_VAL : HUGE_VAL;
    return true;
  }
  if (word == "nan") {
    value = std::nan("");
    return true;
  }
  // strtod knows more than Python: hexadecimal numbers, and nan with text behind it.
  if (lower.find_first_not_of("0123456789+-.e") != std::string::npos) return false;
  char* end = nullptr;
  value = std::strtod(plain.c_str(), &end);
  return end == plain.c_str() + plain.size();
}

bool from_data(const Value& value) {
  if (value.string()) return value.as<StringObject>().text.has_data();
  return value.from_data();
}

}  // namespace godwit::jinja
