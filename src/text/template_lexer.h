// The tokens of a template, as jinja2's lexer cuts them with trim_blocks and lstrip_blocks on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::jinja {

enum class TokenKind : uint8_t {
  kEnd,
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,  // text: one of + - / // * % ** ~ [ ] ( ) { } == != > >= < <= = . : | , ;
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  uint32_t line = 1;
  std::string text;  // data, name, operator; a string's value
  int64_t integer = 0;
  double real = 0;

  bool is(TokenKind wanted, std::string_view value) const { return kind == wanted && text == value; }
  bool is_name(std::string_view value) const { return is(TokenKind::kName, value); }
  bool is_operator(std::string_view value) const { return is(TokenKind::kOperator, value); }
};

/// As jinja2 names a token in its errors.
std::string describe(const Token& token);

class Lexer {
 public:
  /// `source`: valid UTF-8. `name` is for errors. Line ends become \n, and one at the end goes.
  Lexer(std::string_view source, const std::string& name);

  /// The next token; kEnd for ever at the end. Throws Error (kInvalid).
  Token next();

 private:
  enum class State : uint8_t { kRoot, kVariable, kBlock, kRaw };

  bool root(Token& token);  // false: nothing to report, go on
  bool raw(Token& token);
  bool tag(Token& token);
  void data(Token& token, size_t end, char sign, bool variable);
  void number(Token& token);
  void string(Token& token);
  void operation(Token& token);
  void skip_comment();
  void advance(size_t to);
  size_t after_spaces(size_t at) const;
  size_t raw_begins(size_t at) const;
  size_t raw_ends(size_t at) const;
  std::string unescape(std::string_view text) const;
  [[noreturn]] void fail(const std::string& what) const;

  std::string source_;
  std::string name_;
  size_t at_ = 0;
  uint32_t line_ = 1;
  State state_ = State::kRoot;
  bool at_tag_ = false;     // in kRoot: the data before the tag at at_ has been reported
  std::vector<char> open_;  // the brackets to close
};

}  // namespace godwit::jinja
