// Reading a pattern's text: spaces, digits, words, and saying where something is wrong.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace godwit {

/// Stands before a byte of the text that is no space, or at the end.
class PatternCursor {
 public:
  PatternCursor(std::string_view text, std::string where) : text_(text), where_(std::move(where)) { skip_spaces(); }

  size_t at() const { return at_; }
  bool at_end() const { return at_ == text_.size(); }
  bool at_digit() const { return !at_end() && is_digit(text_[at_]); }
  bool at_char(char c) const { return !at_end() && text_[at_] == c; }

  /// Goes past c, if it is next.
  bool accept(char c) {
    if (!at_char(c)) return false;
    ++at_;
    skip_spaces();
    return true;
  }
  std::string_view digits() { return take(is_digit); }
  /// Letters, digits, and what people write in names; may be empty.
  std::string_view word() { return take(is_in_word); }

  /// What comes, for a message.
  std::string next() const { return at_end() ? "the end" : quoted(text_.substr(at_, 1)); }

  /// Throws Error (kInvalid): "<where>: <text near it>: at <byte, from 1>: <what>".
  [[noreturn]] void refuse(size_t at, const std::string& what) const {
    constexpr size_t kBytes = 60;
    const size_t first = text_.size() <= kBytes || at < kBytes / 2 ? 0 : at - kBytes / 2;
    const std::string_view near = text_.substr(first, kBytes);
    invalid("{}: {}{}{}: at {}: {}", where_, first > 0 ? "..." : "", quoted(near, kBytes),
            first + near.size() < text_.size() ? "..." : "", at + 1, what);
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_in_word(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.';
  }

  void skip_spaces() {
    while (!at_end() && is_space(text_[at_])) ++at_;
  }
  std::string_view take(bool (*wanted)(char)) {
    const size_t start = at_;
    while (!at_end() && wanted(text_[at_])) ++at_;
    const std::string_view taken = text_.substr(start, at_ - start);
    skip_spaces();
    return taken;
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
};

}  // namespace godwit
