#include "text/template_lexer.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/error.h"
#include "base/text.h"
#include "text/template_text.h"
#include "text/unicode.h"

namespace godwit::jinja {
namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }
int hex_digit(char c) {
  if (is_ascii_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool is_sign(char c) { return c == '-' || c == '+'; }

// \w of Python, near enough: letters, numbers and marks, which identifiers may hold.
bool is_word_code(uint32_t code) {
  if (code < 0x80) {
    return (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || code == '_';
  }
  return (char_class(code) & (kLetter | kNumber | kMark)) != 0;
}

// \r\n and \r become \n, and one \n at the end goes (jinja2's keep_trailing_newline off).
std::string with_plain_lines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "end of template";
    case TokenKind::kData:
      return "template text";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kString:
      return "the string " + quoted(token.text, 40);
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return "a number";
    case TokenKind::kName:
    case TokenKind::kOperator:
      return "'" + printable(token.text, 40) + "'";
  }
  return "";
}

Lexer::Lexer(std::string_view source, const std::string& name) : source_(with_plain_lines(source)), name_(name) {}

void Lexer::fail(const std::string& what) const { invalid("{}: line {}: {}", printable_path(name_), line_, what); }

void Lexer::advance(size_t to) {
  line_ += static_cast<uint32_t>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                            source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
  at_ = to;
}

size_t Lexer::after_spaces(size_t at) const {
  while (at < source_.size()) {
    const CodePoint point = code_at(source_, at);
    if (!is_space(point.code)) break;
    at += point.length;
  }
  return at;
}

Token Lexer::next() {
  for (;;) {
    Token token;
    bool found = false;
    switch (state_) {
      case State::kRoot:
        found = root(token);
        break;
      case State::kRaw:
        found = raw(token);
        break;
      case State::kVariable:
      case State::kBlock:
        found = tag(token);
        break;
    }
    if (found) return token;
  }
}

// The data from at_ to `end`, where a tag with this sign begins.
void Lexer::data(Token& token, size_t end, char sign, bool variable) {
  const bool line_starting = at_ == 0 || source_[at_ - 1] == '\n';
  std::string_view text = std::string_view(source_).substr(at_, end - at_);
  if (sign == '-') {
    text = text.substr(0, strip(text, false, true).end);
  } else if (sign != '+' && !variable) {
    const size_t newline = text.rfind('\n');
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    if ((begin > 0 || line_starting) && strip(text.substr(begin), true, false).begin == text.size() - begin) {
      text = text.substr(0, begin);
    }
  }
  token.kind = TokenKind::kData;
  token.line = line_;
  token.text = text;
  advance(end);
}

// Where a raw block's text begins when {% raw %} stands at `at`, else 0.
size_t Lexer::raw_begins(size_t at) const {
  at += 2;
  if (at < source_.size() && is_sign(source_[at])) ++at;
  at = after_spaces(at);
  if (source_.compare(at, 3, "raw") != 0) return 0;
  at = after_spaces(at + 3);
  if (source_.compare(at, 3, "-%}") == 0) return after_spaces(at + 3);
  return source_.compare(at, 2, "%}") == 0 ? at + 2 : 0;
}

// As raw_begins, for {% endraw %}.
size_t Lexer::raw_ends(size_t at) const {
  at += 2;
  if (at < source_.size() && is_sign(source_[at])) ++at;
  at = after_spaces(at);
  if (source_.compare(at, 6, "endraw") != 0) return 0;
  at = after_spaces(at + 6);
  if (source_.compare(at, 3, "-%}") == 0) return after_spaces(at + 3);
  if (source_.compare(at, 3, "+%}") == 0) return at + 3;
  if (source_.compare(at, 2, "%}") != 0) return 0;
  at += 2;
  return at < source_.size() && source_[at] == '\n' ? at + 1 : at;
}

bool Lexer::root(Token& token) {
  if (!at_tag_) {
    size_t tag = source_.find('{', at_);
    while (tag != std::string::npos &&
           (tag + 1 >= source_.size() || std::string_view("{%#").find(source_[tag + 1]) == std::string_view::npos)) {
      tag = source_.find('{', tag + 1);
    }
    if (tag == std::string::npos) {
      token.line = line_;
      if (at_ == source_.size()) return true;  // kEnd
      token.kind = TokenKind::kData;
      token.text = source_.substr(at_);
      advance(source_.size());
      return true;
    }
    at_tag_ = true;
    const char sign = tag + 2 < source_.size() && is_sign(source_[tag + 2]) ? source_[tag + 2] : 0;
    data(token, tag, sign, source_[tag + 1] == '{');
    return !token.text.empty();
  }
  at_tag_ = false;
  const char kind = source_[at_ + 1];
  if (kind == '%') {
    if (const size_t begin = raw_begins(at_)) {
      advance(begin);
      state_ = State::kRaw;
      return false;
    }
  }
  token.line = line_;
  at_ += 2;
  if (at_ < source_.size() && is_sign(source_[at_])) ++at_;
  if (kind == '#') {
    skip_comment();
    return false;
  }
  token.kind = kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin;
  state_ = kind == '{' ? State::kVariable : State::kBlock;
  open_.clear();
  return true;
}

bool Lexer::raw(Token& token) {
  token.line = line_;
  if (at_ == source_.size()) return true;  // kEnd: jinja2 lets a block end there
  for (size_t tag = source_.find("{%", at_); tag != std::string::npos; tag = source_.find("{%", tag + 1)) {
    const size_t end = raw_ends(tag);
    if (end == 0) continue;
    data(token, tag, is_sign(source_[tag + 2]) ? source_[tag + 2] : '\0', false);
    advance(end);
    state_ = State::kRoot;
    return !token.text.empty();
  }
  fail("expected {% endraw %}, got the end of the template");
}

void Lexer::skip_comment() {
  if (at_ == source_.size()) return;  // jinja2 lets a comment end there
  size_t end = source_.find("#}", at_);
  if (end == std::string::npos) fail("expected #} at the end of the comment, got the end of the template");
  const char sign = end > at_ ? source_[end - 1] : 0;
  end += 2;
  if (sign == '-') {
    end = after_spaces(end);
  } else if (sign != '+' && end < source_.size() && source_[end] == '\n') {
    ++end;
  }
  advance(end);
}

bool Lexer::tag(Token& token) {
  advance(after_spaces(at_));
  token.line = line_;
  if (at_ >= source_.size()) return true;  // kEnd
  if (open_.empty()) {
    const bool block = state_ == State::kBlock;
    const std::string_view end = block ? "%}" : "}}";
    const char sign = source_[at_];
    if ((sign == '-' || (sign == '+' && block)) && source_.compare(at_ + 1, 2, end) == 0) {
      token.kind = block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd;
      advance(sign == '-' ? after_spaces(at_ + 3) : at_ + 3);
      state_ = State::kRoot;
      return true;
    }
    if (source_.compare(at_, 2, end) == 0) {
      token.kind = block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd;
      const bool newline = block && at_ + 2 < source_.size() && source_[at_ + 2] == '\n';
      advance(at_ + (newline ? 3 : 2));
      state_ = State::kRoot;
      return true;
    }
  }
  const char first = source_[at_];
  if (is_ascii_digit(first)) {
    number(token);
  } else if (first == '\'' || first == '"') {
    string(token);
  } else if (is_word_code(code_at(source_, at_).code)) {
    token.kind = TokenKind::kName;
    size_t end = at_;
    while (end < source_.size()) {
      const CodePoint point = code_at(source_, end);
      if (!is_word_code(point.code)) break;
      end += point.length;
    }
    token.text = source_.substr(at_, end - at_);
    at_ = end;
  } else {
    operation(token);
  }
  return true;
}

void Lexer::number(Token& token) {
  const size_t begin = at_;
  const auto at = [&](size_t i) { return i < source_.size() ? source_[i] : '\0'; };
  // Digits with single underscores between them; where they end.
  const auto digits = [&](size_t i, const auto& fits) {
    if (!fits(at(i))) return i;
    while (fits(at(i)) || (at(i) == '_' && fits(at(i + 1)))) ++i;
    return i;
  };
  const size_t whole = digits(begin, is_ascii_digit);
  size_t end = whole;
  const bool after_dot = begin > 0 && source_[begin - 1] == '.';
  if (at(end) == '.' && is_ascii_digit(at(end + 1))) end = digits(end + 1, is_ascii_digit);
  const size_t exponent = end + (is_sign(at(end + 1)) ? 2 : 1);
  if ((at(end) == 'e' || at(end) == 'E') && is_ascii_digit(at(exponent))) end = digits(exponent, is_ascii_digit);
  std::string text;
  const auto take = [&](size_t from, size_t to) {
    std::copy_if(source_.begin() + static_cast<std::ptrdiff_t>(from), source_.begin() + static_cast<std::ptrdiff_t>(to),
                 std::back_inserter(text), [](char c) { return c != '_'; });
    at_ = to;
  };
  if (end > whole && !after_dot) {
    take(begin, end);
    token.kind = TokenKind::kFloat;
    token.real = std::strtod(text.c_str(), nullptr);
    return;
  }
  token.kind = TokenKind::kInteger;
  int base = 10;
  if (at(begin) == '0') {
    const char kind = static_cast<char>(at(begin + 1) | 0x20);
    base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    if (base != 10) {
      const auto fits = [base](char c) { return hex_digit(c) >= 0 && hex_digit(c) < base; };
      const size_t from = begin + (at(begin + 2) == '_' ? 3 : 2);
      const size_t to = digits(from, fits);
      if (to > from) {
        take(from, to);
      } else {
        base = 10;
      }
    }
    if (base == 10) take(begin, digits(begin, [](char c) { return c == '0'; }));
  } else {
    take(begin, whole);
  }
  const std::from_chars_result result = std::from_chars(text.data(), text.data() + text.size(), token.integer, base);
  if (result.ec != std::errc()) fail("expected a whole number of 64 bits, got " + printable(text, 40));
}

void Lexer::string(Token& token) {
  const char quote = source_[at_];
  size_t end = at_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size())
    fail(fmt::format("expected {} at the end of the string, got the end of the template", quote));
  token.kind = TokenKind::kString;
  token.text = unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1));
  advance(end + 1);
}

// Python's string escapes, as its codec unicode-escape reads them.
std::string Lexer::unescape(std::string_view text) const {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      out += text[i++];
      continue;
    }
    if (static_cast<unsigned char>(text[i + 1]) >= 0x80) {
      // jinja2 turns é into \xe9 first: with a backslash before it, that text is what stays.
      const CodePoint point = code_at(text, i + 1);
      out += point.code < 0x100     ? fmt::format("\\x{:02x}", point.code)
             : point.code < 0x10000 ? fmt::format("\\u{:04x}", point.code)
                                    : fmt::format("\\U{:08x}", point.code);
      i += 1 + point.length;
      continue;
    }
    const char kind = text[i + 1];
    i += 2;
    static constexpr std::string_view kPlain = "\\'\"abfnrtv";
    static constexpr std::string_view kMeant = "\\'\"\a\b\f\n\r\t\v";
    const size_t plain = kPlain.find(kind);
    if (kind == '\n') continue;
    if (plain != std::string_view::npos) {
      out += kMeant[plain];
    } else if (kind >= '0' && kind <= '7') {
      uint32_t code = static_cast<uint32_t>(kind - '0');
      for (int n = 0; n < 2 && i < text.size() && text[i] >= '0' && text[i] <= '7'; ++n) {
        code = code * 8 + static_cast<uint32_t>(text[i++] - '0');
      }
      append_utf8(out, code);
    } else if (kind == 'x' || kind == 'u' || kind == 'U') {
      const size_t length = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
      uint64_t code = 0;
      for (size_t n = 0; n < length; ++n) {
        const int digit = i < text.size() ? hex_digit(text[i]) : -1;
        if (digit < 0) fail(fmt::format("expected {} hexadecimal digits after \\{} in a string", length, kind));
        code = code * 16 + static_cast<uint64_t>(digit);
        ++i;
      }
      if (code >= 0x110000 || (code >= 0xD800 && code < 0xE000)) {
        fail(fmt::format("expected a Unicode character in a string, got \\{}{:x}", kind, code));
      }
      append_utf8(out, static_cast<uint32_t>(code));
    } else if (kind == 'N') {
      fail("characters by name, \\N{...}, are not read in strings: write \\u and the number");
    } else {
      out += '\\';
      out += kind;
    }
  }
  return out;
}

void Lexer::operation(Token& token) {
  static constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="};
  const std::string_view rest = std::string_view(source_).substr(at_, 2);
  token.kind = TokenKind::kOperator;
  if (std::find(std::begin(kLong), std::end(kLong), rest) != std::end(kLong)) {
    token.text = rest;
  } else if (std::string_view("+-/*%~[](){}><=.:|,;").find(source_[at_]) != std::string_view::npos) {
    token.text = source_.substr(at_, 1);
  } else {
    fail("expected an expression, got " + quoted(std::string_view(source_).substr(at_, code_at(source_, at_).length)));
  }
  at_ += token.text.size();
  const char c = token.text[0];
  if (c == '(' || c == '[' || c == '{') {
    open_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
  } else if (c == ')' || c == ']' || c == '}') {
    if (open_.empty()) fail(fmt::format("unexpected '{}'", c));
    if (open_.back() != c) fail(fmt::format("expected '{}', got '{}'", open_.back(), c));
    open_.pop_back();
  }
}

}  // namespace godwit::jinja
