#include "text/regex_parse.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace godwit {
namespace {

constexpr uint32_t kMaxRepeat = 100000;
constexpr size_t kMaxRanges = size_t{256} << 10;

CharSet ranges_set(std::initializer_list<CharSet::Range> ranges) {
  CharSet set;
  for (const auto& range : ranges) set.add(range.first, range.last);
  set.normalize();
  return set;
}

/// Whether case folding relates this character to several (CaseFolding.txt, status F).
bool folds_to_several(uint32_t c) {
  static const CharSet set =
      ranges_set({{0xDF, 0xDF},     {0x130, 0x130},   {0x149, 0x149},   {0x1F0, 0x1F0},   {0x390, 0x390},
                  {0x3B0, 0x3B0},   {0x587, 0x587},   {0x1E96, 0x1E9A}, {0x1E9E, 0x1E9E}, {0x1F50, 0x1F57},
                  {0x1F80, 0x1FAF}, {0x1FB2, 0x1FB7}, {0x1FBC, 0x1FBC}, {0x1FC2, 0x1FC7}, {0x1FCC, 0x1FCC},
                  {0x1FD2, 0x1FD7}, {0x1FE2, 0x1FE7}, {0x1FF2, 0x1FF7}, {0x1FFC, 0x1FFC}, {0xFB00, 0xFB17}});
  return set.contains(c);
}

/// Whether two characters in a row may be equal to one but for case ("ss", "fi"), or begin what is.
bool may_fold_to_one(uint32_t a, uint32_t b) {
  const auto small = [](uint32_t c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; };
  a = small(a);
  b = small(b);
  if (a == 's') return b == 's' || b == 't';
  if (a == 'f') return b == 'f' || b == 'i' || b == 'l';
  static const CharSet seconds = ranges_set({{0x2BE, 0x2BE},
                                             {0x307, 0x30C},
                                             {0x313, 0x313},
                                             {0x331, 0x342},
                                             {0x399, 0x399},
                                             {0x3B9, 0x3B9},
                                             {0x1FBE, 0x1FBE}});
  return a == 0x2BC || (a >= 0x531 && a <= 0x587) || seconds.contains(b);
}

class RegexParser {
 public:
  RegexParser(std::string_view source, std::string_view where) : source_(source), where_(where) {
    if (source.size() > kMaxRegexBytes)
      refuse(fmt::format("{} bytes, expected at most {}", source.size(), kMaxRegexBytes));
    for (size_t at = 0; at < source.size();) {
      const Decoded d = decode_utf8(source, at);
      if (d.code == kInvalidByte) refuse("not UTF-8");
      codes_.push_back(d.code);
      at += d.length;
    }
  }

  RegexNode parse() {
    RegexNode node = alternatives(Options{}, 0);
    if (more()) refuse("a ')' that closes nothing");
    return node;
  }

 private:
  struct Options {
    bool any_case = false;
    bool dot_all = false;
  };

  [[noreturn]] void refuse(const std::string& what) const {
    invalid("{}: regular expression {}: {}", where_, quoted(source_, 200), what);
  }
  [[noreturn]] void unsupported(const std::string& what) const { refuse(what + " is not supported"); }

  bool more() const { return p_ < codes_.size(); }
  bool next_is(std::string_view text) const {
    for (size_t i = 0; i < text.size(); ++i) {
      if (p_ + i >= codes_.size() || codes_[p_ + i] != static_cast<uint8_t>(text[i])) return false;
    }
    return true;
  }
  bool take(std::string_view text) {
    if (!next_is(text)) return false;
    p_ += text.size();
    return true;
  }
  uint32_t next(const char* what) {
    if (!more()) refuse(std::string("ends within ") + what);
    return codes_[p_++];
  }

  static RegexNode node_of(RegexNode::Kind kind) {
    RegexNode node;
    node.kind = kind;
    return node;
  }
  RegexNode set_node(CharSet set) {
    n_ranges_ += set.ranges().size() + 1;
    if (++n_sets_ > kMaxRegexSteps || n_ranges_ > kMaxRanges)
      refuse("too many sets, or sets that are too large together");
    RegexNode node = node_of(RegexNode::kSet);
    node.set = std::move(set);
    return node;
  }

  /// Up to the ')' or the end, which it leaves.
  RegexNode alternatives(Options options, size_t depth) {
    if (depth > kMaxRegexDepth) refuse(fmt::format("groups more than {} deep", kMaxRegexDepth));
    RegexNode choice = node_of(RegexNode::kAlternate);
    do {
      RegexNode row = node_of(RegexNode::kConcat);
      uint32_t last_letter = 0;  // the literal before, where case does not matter
      while (more() && codes_[p_] != '|' && codes_[p_] != ')') {
        if (take("(?#")) {
          while (next("a comment") != ')') {
          }
          continue;
        }
        if (Options inner = options; isolated_options(inner)) {
          row.children.push_back(alternatives(inner, depth + 1));  // to the end of the group, whatever it contains
          break;
        }
        letter_ = 0;
        RegexNode what = atom(options, depth);
        const uint32_t letter = letter_;
        if (options.any_case && letter != 0) {
          if (folds_to_several(letter)) unsupported("a character without case that stands for several");
          if (last_letter != 0 && may_fold_to_one(last_letter, letter)) {
            unsupported("a row of characters without case that may be one");
          }
        }
        last_letter = letter;
        row.children.push_back(repeated(std::move(what)));
      }
      row = alone(std::move(row));
      choice.children.push_back(std::move(row));
    } while (take("|"));
    return alone(std::move(choice));
  }

  /// The only child of a row or a choice, else the node itself.
  static RegexNode alone(RegexNode node) {
    if (node.children.size() != 1) return node;
    RegexNode only = std::move(node.children[0]);
    return only;
  }

  /// (?i) and the like, which hold up to the end of the group.
  bool isolated_options(Options& options) {
    const size_t before = p_;
    if (take("(?") && more() && (codes_[p_] == '-' || codes_[p_] == 'i' || codes_[p_] == 'm' || codes_[p_] == 'x')) {
      options_letters(options);
      if (take(")")) return true;
    }
    p_ = before;
    return false;
  }

  void options_letters(Options& options) {
    bool on = true;
    while (more() && codes_[p_] != ':' && codes_[p_] != ')') {
      const uint32_t c = codes_[p_++];
      if (c == '-') {
        on = false;
      } else if (c == 'i') {
        options.any_case = on;
      } else if (c == 'm') {
        options.dot_all = on;
      } else if (c != 'x' || on) {
        unsupported("this option of a group");
      }
    }
  }

  RegexNode atom(Options options, size_t depth) {
    const uint32_t c = codes_[p_++];
    switch (c) {
      case '(':
        return group(options, depth);
      case '[':
        return set_node(bracket(options, depth));
      case '.': {
        const CharSet line_feed = CharSet('\n', '\n');
        return set_node(options.dot_all ? CharSet(0, kInvalidInSet) : line_feed.complement());
      }
      case '^':
        return node_of(RegexNode::kLineBegin);
      case '$':
        return node_of(RegexNode::kLineEnd);
      case '*':
      case '+':
      case '?':
        refuse("a repeat of nothing");
      case '\\':
        return escape(options);
      default:
        return literal(c, options);
    }
  }

  RegexNode literal(uint32_t c, Options options) {
    letter_ = c;
    if (n_sets_ >= kMaxRegexSteps) refuse("too many characters");
    const CharSet set(c, c);
    return set_node(options.any_case ? set.any_case() : set);
  }

  RegexNode group(Options options, size_t depth) {
    enum { kPlain, kAhead, kNotAhead, kAtomic } kind = kPlain;
    if (take("?")) {
      if (next_is("<=") || next_is("<!")) unsupported("look-behind");
      if (take("=")) {
        kind = kAhead;
      } else if (take("!")) {
        kind = kNotAhead;
      } else if (take(">")) {
        kind = kAtomic;
      } else if (next_is("<") || next_is("'")) {
        const uint32_t close = codes_[p_++] == '<' ? '>' : '\'';
        while (next("the name of a group") != close) {
        }
      } else if (next_is("~")) {
        unsupported("the absence operator (?~...)");
      } else if (next_is("(")) {
        unsupported("a condition (?(...)...)");
      } else if (next_is("&") || next_is("P") || next_is("{") || next_is("R")) {
        unsupported("this kind of group");
      } else {
        options_letters(options);
        if (!take(":")) refuse("a group of unknown kind");
      }
    } else if (next_is("*")) {
      unsupported("a callout (*...)");
    }
    RegexNode inside = alternatives(options, depth + 1);
    if (!take(")")) refuse("a '(' that is not closed");
    letter_ = 0;
    if (kind == kAtomic) {
      const bool loop =
          inside.kind == RegexNode::kRepeat && inside.greedy && inside.children[0].kind == RegexNode::kSet;
      if (inside.kind == RegexNode::kSet) return inside;
      if (!loop) unsupported("an atomic group of more than one repeated character");
      return possessive(std::move(inside));
    }
    if (kind == kPlain) return inside;
    // Look-ahead at one character or the end: what may come next, as a set with or without the end.
    RegexNode look = node_of(RegexNode::kAhead);
    if (!add_to_look(inside, look)) unsupported("look-ahead at more than one character");
    look.set.normalize();
    if (kind == kNotAhead) {
      look.set = look.set.complement();
      look.at_end = !look.at_end;
    }
    return look;
  }

  /// Adds what matches `inside` one character long, or at the end; false when that is not all there is to it.
  static bool add_to_look(const RegexNode& inside, RegexNode& look) {
    switch (inside.kind) {
      case RegexNode::kSet:
        look.set.add(inside.set);
        return true;
      case RegexNode::kTextEnd:
        look.at_end = true;
        return true;
      case RegexNode::kLineEnd:
        look.at_end = true;
        look.set.add('\n', '\n');
        return true;
      case RegexNode::kAhead:
        look.set.add(inside.set);
        look.at_end = look.at_end || inside.at_end;
        return true;
      case RegexNode::kRepeat:  // one of many is enough
        return inside.least == 1 && inside.children[0].kind == RegexNode::kSet && add_to_look(inside.children[0], look);
      case RegexNode::kAlternate: {
        for (const RegexNode& child : inside.children) {
          if (!add_to_look(child, look)) return false;
        }
        return true;
      }
      default:
        return false;
    }
  }

  RegexNode repeated(RegexNode what) {
    for (size_t n = 0;;) {
      RegexNode repeat = node_of(RegexNode::kRepeat);
      bool interval = false;
      if (take("?")) {
        repeat.most = 1;
      } else if (take("*")) {
        repeat.most = RegexNode::kNoLimit;
      } else if (take("+")) {
        repeat.least = 1;
        repeat.most = RegexNode::kNoLimit;
      } else if (next_is("{") && counts(repeat)) {
        interval = true;
      } else {
        return what;
      }
      const bool exact = interval && repeat.least == repeat.most;
      // As in Ruby, {n}? is an optional {n} and {m,n}+ a repeat of {m,n}.
      if (!exact && take("?")) repeat.greedy = false;
      const bool is_possessive = !interval && repeat.greedy && take("+");
      if (++n > 8) refuse("more than 8 repeats in a row");
      repeat.children.push_back(std::move(what));
      if (is_possessive) {
        if (repeat.children[0].kind != RegexNode::kSet) unsupported("a possessive repeat of more than one character");
        repeat = possessive(std::move(repeat));
      }
      what = std::move(repeat);
    }
  }

  /// X++ is X+ that no X follows. With a greatest number of times, that number or fewer and no X.
  static RegexNode possessive(RegexNode repeat) {
    RegexNode not_ahead = node_of(RegexNode::kAhead);
    not_ahead.set = repeat.children[0].set.complement();
    not_ahead.at_end = true;
    RegexNode row = node_of(RegexNode::kConcat);
    if (repeat.most == RegexNode::kNoLimit) {
      row.children.push_back(std::move(repeat));
      row.children.push_back(std::move(not_ahead));
      return row;
    }
    RegexNode all = repeat;
    all.least = all.most;
    if (repeat.least == repeat.most) return all;
    RegexNode fewer = std::move(repeat);
    --fewer.most;
    row.children.push_back(std::move(fewer));
    row.children.push_back(std::move(not_ahead));
    RegexNode choice = node_of(RegexNode::kAlternate);
    choice.children.push_back(std::move(all));
    choice.children.push_back(std::move(row));
    return choice;
  }

  /// {n}, {n,}, {n,m} and {,m}; false, taking nothing, for what is none of them and stands for itself.
  bool counts(RegexNode& repeat) {
    const size_t before = p_++;
    const std::optional<uint32_t> least = number();
    bool good = true;
    if (take(",")) {
      const std::optional<uint32_t> most = number();
      good = least || most;
      repeat.least = least.value_or(0);
      repeat.most = most.value_or(RegexNode::kNoLimit);
    } else {
      good = least.has_value();
      repeat.least = repeat.most = least.value_or(0);
    }
    if (!good || !take("}")) {
      p_ = before;
      repeat.least = repeat.most = 0;
      return false;
    }
    if (repeat.least > repeat.most) refuse("a repeat with more at least than at most");
    return true;
  }

  std::optional<uint32_t> number() {
    std::optional<uint32_t> value;
    while (more() && codes_[p_] >= '0' && codes_[p_] <= '9') {
      value = value.value_or(0) * 10 + (codes_[p_++] - '0');
      if (*value > kMaxRepeat) refuse(fmt::format("more than {} repeats", kMaxRepeat));
    }
    return value;
  }

  /// The value of 1 to `most` hexadecimal digits.
  uint32_t hexadecimal(size_t least, size_t most) {
    uint32_t value = 0;
    size_t n = 0;
    for (; n < most && more(); ++n) {
      const uint32_t c = codes_[p_];
      const uint32_t lower = c | 0x20;
      if (c >= '0' && c <= '9') {
        value = value << 4 | (c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value << 4 | (lower - 'a' + 10);
      } else {
        break;
      }
      ++p_;
    }
    if (n < least) refuse("an escape with too few hexadecimal digits");
    if (value >= 0x110000) refuse("an escape beyond U+10FFFF");
    return value;
  }

  /// A set that a letter after a backslash stands for: \s and the like.
  std::optional<CharSet> class_escape(uint32_t c) {
    const auto named = [](const char* name) { return *CharSet::named(name); };
    switch (c) {
      case 's':
        return named("space");
      case 'S':
        return named("space").complement();
      case 'd':
        return named("nd");
      case 'D':
        return named("nd").complement();
      case 'w':
        return named("word");
      case 'W':
        return named("word").complement();
      case 'h':
        return named("xdigit");
      case 'H':
        return named("xdigit").complement();
      case 'p':
      case 'P': {
        if (!take("{")) refuse("expected '{' after \\p");
        bool negated = c == 'P';
        if (take("^")) negated = !negated;
        std::string name;
        for (uint32_t letter = next("\\p{...}"); letter != '}'; letter = next("\\p{...}")) append_utf8(name, letter);
        const std::optional<CharSet> set = CharSet::named(name);
        if (!set) unsupported("the property " + quoted(name));
        return negated ? set->complement() : *set;
      }
      default:
        return std::nullopt;
    }
  }

  /// The character that an escape stands for; p_ is behind the letter c.
  uint32_t character_escape(uint32_t c) {
    switch (c) {
      case 't':
        return '\t';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case 'a':
        return '\a';
      case 'e':
        return 0x1B;
      case 'x': {
        if (!take("{")) return hexadecimal(1, 2);
        const uint32_t value = hexadecimal(1, 8);
        if (!take("}")) refuse("expected '}' after \\x{...");
        return value;
      }
      case 'u':
        return hexadecimal(4, 4);
      default:
        break;
    }
    if (c == '0' && !(more() && codes_[p_] >= '0' && codes_[p_] <= '7')) return 0;
    if (c >= '0' && c <= '9') unsupported("a back-reference or an octal escape");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      std::string name;
      append_utf8(name, c);
      unsupported("\\" + name);
    }
    return c;
  }

  RegexNode escape(Options options) {
    const uint32_t c = next("an escape");
    switch (c) {
      case 'b':
        return node_of(RegexNode::kWordEdge);
      case 'B':
        return node_of(RegexNode::kNoWordEdge);
      case 'A':
        return node_of(RegexNode::kTextBegin);
      case 'z':
        return node_of(RegexNode::kTextEnd);
      case 'Z':
        unsupported("\\Z");
      case 'k':
        unsupported("a back-reference");
      case 'g':
        unsupported("a call of a group");
      default:
        break;
    }
    if (std::optional<CharSet> set = class_escape(c)) {  // case matters to these, as in Oniguruma
      return set_node(*std::move(set));
    }
    return literal(character_escape(c), options);
  }

  /// \w within [...], and [:word:]: without six superscripts and fractions of Latin-1 that \w, \b and \p{Word} have, as
  /// in Oniguruma.
  static CharSet word_in_set() { return CharSet::of_bits(kAnyM | kNd | kPc, kAlphabetic); }

  /// One member of [...]: a set, or a character that may begin a range.
  struct Member {
    bool is_set = false;
    CharSet set;
    uint32_t code = 0;
  };

  Member member(Options options, size_t depth) {
    Member m;
    const uint32_t c = next("[...]");
    if (c == '[') {
      m.is_set = true;
      Options inner = options;
      inner.any_case = false;  // case is forgotten once, in the outermost set
      m.set = take(":") ? posix() : bracket(inner, depth + 1);
      return m;
    }
    if (c != '\\') {
      m.code = c;
      return m;
    }
    const uint32_t escaped = next("an escape");
    if (escaped == 'b') {
      m.code = '\b';
    } else if (escaped == 'w' || escaped == 'W') {
      m.is_set = true;
      m.set = escaped == 'w' ? word_in_set() : word_in_set().complement();
    } else if (std::optional<CharSet> set = class_escape(escaped)) {
      m.is_set = true;
      m.set = *std::move(set);
    } else {
      m.code = character_escape(escaped);
    }
    return m;
  }

  CharSet posix() {
    const bool negated = take("^");
    std::string name;
    while (!next_is(":]")) append_utf8(name, next("[:...:]"));
    take(":]");
    static constexpr std::string_view kNames[] = {"alnum", "alpha", "ascii", "blank", "cntrl",  "digit",
                                                  "lower", "punct", "space", "upper", "xdigit", "word"};
    if (std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames)) {
      unsupported("the class " + quoted("[:" + name + ":]"));
    }
    // Other than \p{Punct}, [:punct:] has all symbols.
    const CharSet set = name == "punct"  ? CharSet::of_bits(kAnyP | kAnyS)
                        : name == "word" ? word_in_set()
                                         : *CharSet::named(name);
    return negated ? set.complement() : set;
  }

  /// What follows the '[', up to and with the ']'.
  CharSet bracket(Options options, size_t depth) {
    if (depth > kMaxRegexDepth) refuse(fmt::format("sets more than {} deep", kMaxRegexDepth));
    const bool negated = take("^");
    std::optional<CharSet> all;  // of what stands before the last &&
    CharSet set;
    const auto close = [&] {
      set.normalize();
      all = all ? all->intersection(set) : set;
      set = CharSet();
    };
    for (bool first = true; first || !next_is("]"); first = false) {
      if (first && next_is("]") &&
          std::find(codes_.begin() + static_cast<ptrdiff_t>(p_) + 1, codes_.end(), ']') == codes_.end()) {
        refuse("an empty set");
      }
      if (take("&&")) {
        close();
        continue;
      }
      const Member low = member(options, depth);
      if (low.is_set) {
        n_ranges_ += low.set.ranges().size();
        if (n_ranges_ > kMaxRanges) refuse("sets that are too large together");
        set.add(low.set);
        continue;
      }
      if (next_is("-") && p_ + 1 < codes_.size() && codes_[p_ + 1] != ']') {
        ++p_;
        const Member high = member(options, depth);
        if (high.is_set) {  // "a-\s": the three of them
          set.add(low.code, low.code);
          set.add('-', '-');
          n_ranges_ += high.set.ranges().size();
          set.add(high.set);
          continue;
        }
        if (low.code > high.code) refuse("a range whose end is before its begin");
        set.add(low.code, high.code);
        continue;
      }
      set.add(low.code, low.code);
    }
    take("]");
    close();
    if (options.any_case) *all = all->any_case();
    return negated ? all->complement() : *all;
  }

  std::string_view source_;
  std::string_view where_;
  std::vector<uint32_t> codes_;
  size_t p_ = 0;
  size_t n_sets_ = 0, n_ranges_ = 0;
  uint32_t letter_ = 0;  // the literal that atom() has just read; 0 for all else
};

}  // namespace

RegexNode parse_regex(std::string_view source, std::string_view where) { return RegexParser(source, where).parse(); }

}  // namespace godwit
