// A backtracking matcher for the expressions of pre-tokenizers: slow and obvious, the definition that the hand-written
// splitters are compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/unicode.h"

namespace godwit::testing {

using Codes = std::vector<uint32_t>;

inline Codes to_codes(std::string_view text) {
  Codes codes;
  for (size_t at = 0; at < text.size();) {
    const Decoded d = decode_utf8(text, at);
    codes.push_back(d.code);
    at += d.length;
  }
  return codes;
}

/// Knows literals, \p{..} of those in single(), \s \S \r \n, [...] and [^...] of those and of ranges, [..&&[..]],
/// (?:...), (?!...), |, ? * + {m,n}. Greedy, leftmost alternative first.
class NaiveRegex {
 public:
  explicit NaiveRegex(std::string_view pattern) : pattern_(to_codes(pattern)) { root_ = alternatives(); }

  /// The end of the match that starts at `at` in [.., end); -1 for none.
  ptrdiff_t match(const Codes& text, size_t at, size_t end) const {
    ptrdiff_t result = -1;
    run(*root_, text, at, end, [&](size_t e) {
      result = static_cast<ptrdiff_t>(e);
      return true;
    });
    return result;
  }

 private:
  using Next = std::function<bool(size_t)>;
  using Test = std::function<bool(uint32_t)>;
  struct Node {
    enum Kind { kChar, kSequence, kAlternatives, kRepeat, kNotAhead } kind;
    Test test;
    std::vector<std::unique_ptr<Node>> children;
    size_t least = 0, most = 0;
  };
  using Owned = std::unique_ptr<Node>;

  static Owned make(Node::Kind kind) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    return node;
  }

  bool run(const Node& n, const Codes& text, size_t at, size_t end, const Next& next) const {
    switch (n.kind) {
      case Node::kChar:
        return at < end && n.test(text[at]) && next(at + 1);
      case Node::kSequence:
        return sequence(n, 0, text, at, end, next);
      case Node::kAlternatives:
        for (const Owned& child : n.children) {
          if (run(*child, text, at, end, next)) return true;
        }
        return false;
      case Node::kRepeat:
        return repeat(n, 0, text, at, end, next);
      case Node::kNotAhead:
        return !run(*n.children[0], text, at, end, [](size_t) { return true; }) && next(at);
    }
    return false;
  }

  bool sequence(const Node& n, size_t i, const Codes& text, size_t at, size_t end, const Next& next) const {
    if (i == n.children.size()) return next(at);
    return run(*n.children[i], text, at, end, [&](size_t e) { return sequence(n, i + 1, text, e, end, next); });
  }

  bool repeat(const Node& n, size_t count, const Codes& text, size_t at, size_t end, const Next& next) const {
    if (count < n.most && run(*n.children[0], text, at, end,
                              [&](size_t e) { return e > at && repeat(n, count + 1, text, e, end, next); })) {
      return true;
    }
    return count >= n.least && next(at);
  }

  bool more() const { return p_ < pattern_.size(); }
  bool take(std::string_view literal) {
    for (size_t i = 0; i < literal.size(); ++i) {
      if (p_ + i >= pattern_.size() || pattern_[p_ + i] != static_cast<uint8_t>(literal[i])) return false;
    }
    p_ += literal.size();
    return true;
  }

  Owned alternatives() {
    Owned node = make(Node::kAlternatives);
    do {
      Owned sequence_node = make(Node::kSequence);
      while (more() && pattern_[p_] != '|' && pattern_[p_] != ')') sequence_node->children.push_back(repeated());
      node->children.push_back(std::move(sequence_node));
    } while (take("|"));
    return node;
  }

  Owned repeated() {
    Owned what = atom();
    size_t least = 1, most = 1;
    if (take("?")) {
      least = 0;
    } else if (take("*")) {
      least = 0, most = size_t(-1);
    } else if (take("+")) {
      most = size_t(-1);
    } else if (take("{")) {
      least = pattern_[p_] - '0', most = pattern_[p_ + 2] - '0', p_ += 4;
    } else {
      return what;
    }
    Owned node = make(Node::kRepeat);
    node->least = least, node->most = most;
    node->children.push_back(std::move(what));
    return node;
  }

  Owned atom() {
    if (take("(?:")) return group();
    if (take("(?!")) {
      Owned node = make(Node::kNotAhead);
      node->children.push_back(group());
      return node;
    }
    Owned node = make(Node::kChar);
    if (!take("[")) {
      node->test = single();
      return node;
    }
    const bool negated = take("^");
    std::vector<Test> tests;
    while (!take("]")) {
      if (take("&&")) {
        Owned other = atom();
        take("]");
        node->test = [tests, other = std::shared_ptr<Node>(std::move(other))](uint32_t c) {
          bool any = false;
          for (const Test& t : tests) any = any || t(c);
          return any && other->test(c);
        };
        return node;
      }
      const uint32_t first = pattern_[p_];
      Test test = single();
      if (pattern_[p_] == '-' && pattern_[p_ + 1] != ']') {
        const uint32_t last = pattern_[p_ + 1];
        p_ += 2;
        test = [first, last](uint32_t c) { return first <= c && c <= last; };
      }
      tests.push_back(std::move(test));
    }
    node->test = [negated, tests = std::move(tests)](uint32_t c) {
      for (const Test& t : tests) {
        if (t(c)) return !negated;
      }
      return negated;
    };
    return node;
  }

  Owned group() {
    Owned inner = alternatives();
    take(")");
    return inner;
  }

  Test single() {
    const auto of_class = [](int bits) { return [bits](uint32_t c) { return (char_class(c) & bits) != 0; }; };
    static constexpr std::pair<std::string_view, uint32_t> kBits[] = {
        {"\\p{Lu}", kLu}, {"\\p{Ll}", kLl},  {"\\p{Lt}", kLt},  {"\\p{Lm}", kLm},
        {"\\p{Lo}", kLo}, {"\\p{S}", kAnyS}, {"\\p{Han}", kHan}};
    for (const auto& known : kBits) {
      const uint32_t bits = known.second;
      if (take(known.first)) return [bits](uint32_t c) { return (char_bits(c) & bits) != 0; };
    }
    if (take("\\p{L}")) return of_class(kLetter);
    if (take("\\p{N}")) return of_class(kNumber);
    if (take("\\p{M}")) return of_class(kMark);
    if (take("\\p{P}")) return of_class(kPunctuation);
    if (take("\\s")) return of_class(kSpace);
    if (take("\\S")) return [](uint32_t c) { return char_class(c) != kSpace; };
    uint32_t code = pattern_[p_++];
    if (code == '\\') {
      code = pattern_[p_++];
      if (code == 'r') code = '\r';
      if (code == 'n') code = '\n';
    }
    return [code](uint32_t c) { return c == code; };
  }

  Codes pattern_;
  size_t p_ = 0;
  Owned root_;
};

}  // namespace godwit::testing
