// The tree of a regular expression.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/char_set.h"

namespace godwit {

struct RegexNode {
  enum Kind {
    kEmpty,
    kSet,         // one character of `set`
    kConcat,      // all children in a row
    kAlternate,   // the first child that matches
    kRepeat,      // child 0, least to most times
    kAhead,       // what comes next is in `set`, or is the end if at_end
    kTextBegin,   // \A
    kTextEnd,     // \z
    kLineBegin,   // ^
    kLineEnd,     // $
    kWordEdge,    // \b
    kNoWordEdge,  // \B
  };
  static constexpr uint32_t kNoLimit = ~uint32_t{0};

  Kind kind = kEmpty;
  CharSet set;
  bool at_end = false;
  bool greedy = true;
  uint32_t least = 0, most = 0;
  std::vector<RegexNode> children;
};

/// Possessive repeats are written as repeats and looks ahead. Throws Error (kInvalid) as Regex::compile says. The tree
/// is at most kMaxRegexDepth * 12 deep.
RegexNode parse_regex(std::string_view source, std::string_view where);

}  // namespace godwit
