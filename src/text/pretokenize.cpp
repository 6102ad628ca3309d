#include "text/pretokenize.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.h"
#include "text/unicode.h"

namespace godwit {
namespace {

constexpr uint32_t kUpper = kLu | kLt | kLm | kLo | kAnyM;
constexpr uint32_t kLower = kLl | kLm | kLo | kAnyM;

/// Text as characters: code points, and where each begins (one more offset than characters). What a long text takes
/// besides is kept small: its time is that of memory.
struct Characters {
  std::vector<uint32_t> code;

  explicit Characters(std::string_view text) {
    const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 128; });
    code.reserve(ascii ? text.size() : text.size() / 2);
    if (!ascii) offsets_.reserve(text.size() / 2);
    for (size_t at = 0; at < text.size();) {
      const Decoded d = decode_utf8(text, at);
      code.push_back(d.code);
      if (!ascii) offsets_.push_back(static_cast<uint32_t>(at));
      at += d.length;
    }
    if (!ascii) offsets_.push_back(static_cast<uint32_t>(text.size()));
  }

  uint32_t offset(size_t i) const { return offsets_.empty() ? static_cast<uint32_t>(i) : offsets_[i]; }
  bool is(size_t i, uint32_t mask) const { return (char_bits(code[i]) & mask) != 0; }
  bool newline(size_t i) const { return code[i] == '\r' || code[i] == '\n'; }
  bool between(size_t i, uint32_t first, uint32_t last) const { return code[i] >= first && code[i] <= last; }
  /// The first character from i on, before end, that has none of the bits in mask.
  size_t skip(size_t i, size_t end, uint32_t mask) const {
    while (i < end && is(i, mask)) ++i;
    return i;
  }
  /// The first character from i on, before end, that has one of the bits in mask.
  size_t skip_not(size_t i, size_t end, uint32_t mask) const {
    while (i < end && !is(i, mask)) ++i;
    return i;
  }

 private:
  std::vector<uint32_t> offsets_;  // none where every character is a byte
};

using Ends = std::vector<uint32_t>;  // ends of pieces, in characters

/// Characters of a contraction at i ('s, 'll, ...), 0 when there is none.
/// kAnyCase: as (?i:...) has it, where U+017F is a small s too.
enum class Contraction { kSmall, kAsciiCase, kAnyCase };
size_t contraction(const Characters& c, size_t i, size_t end, Contraction letters) {
  if (i + 1 >= end || c.code[i] != '\'') return 0;
  const auto letter = [&](size_t at) -> uint32_t {
    if (at >= end) return 0;
    const uint32_t code = c.code[at];
    if (letters == Contraction::kAnyCase && code == 0x17F) return 's';
    return letters != Contraction::kSmall && code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code;
  };
  const uint32_t a = letter(i + 1);
  const uint32_t b = letter(i + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return 0;
}

/// \s+(?!\S)|\s+ for the run of spaces [i, run_end): all but the last one when text follows.
size_t end_of_spaces(size_t i, size_t run_end, size_t end) {
  return run_end < end && run_end - i > 1 ? run_end - 1 : run_end;
}

/// The end of kGpt2's match at i.
size_t match_gpt2(const Characters& c, size_t i, size_t end) {
  if (const size_t n = contraction(c, i, end, Contraction::kSmall)) return i + n;
  const size_t word = c.code[i] == ' ' ? i + 1 : i;
  if (word < end) {
    if (c.is(word, kAnyL)) return c.skip(word, end, kAnyL);
    if (c.is(word, kAnyN)) return c.skip(word, end, kAnyN);
    if (!c.is(word, kWhiteSpace)) return c.skip_not(word, end, kWhiteSpace | kAnyL | kAnyN);
  }
  return end_of_spaces(i, c.skip(i, end, kWhiteSpace), end);
}

/// \s*[\r\n]+|\s+(?!\S)|\s+ for the spaces from i on.
size_t match_spaces(const Characters& c, size_t i, size_t end) {
  const size_t run_end = c.skip(i, end, kWhiteSpace);
  for (size_t at = run_end; at > i; --at) {
    if (c.newline(at - 1)) return at;  // \s*[\r\n]+ ends with the last newline of the run
  }
  return end_of_spaces(i, run_end, end);
}

/// ` ?[^none_of]+` and then any of [\r\n] and `tail`; i where it does not match.
size_t match_signs_after_space(const Characters& c, size_t i, size_t end, uint32_t none_of, bool newlines, char tail) {
  const size_t signs = c.code[i] == ' ' ? i + 1 : i;
  if (signs >= end || c.is(signs, none_of)) return i;
  size_t at = c.skip_not(signs, end, none_of);
  while (newlines && at < end && (c.newline(at) || (tail != 0 && c.code[at] == static_cast<uint32_t>(tail)))) ++at;
  return at;
}

/// What the relatives of kLlama3 differ in.
struct Llama3Rules {
  uint32_t letter = kAnyL;  // what words are made of
  size_t digits = 1;        // how many go together
  Contraction contraction = Contraction::kAnyCase;
  bool newlines = true;  // after signs
};

size_t match_llama3(const Characters& c, size_t i, size_t end, const Llama3Rules& rules) {
  if (const size_t n = contraction(c, i, end, rules.contraction)) return i + n;
  if (c.is(i, rules.letter)) return c.skip(i, end, rules.letter);
  if (c.is(i, kAnyN)) return c.skip(i, std::min(end, i + rules.digits), kAnyN);
  if (!c.newline(i) && i + 1 < end && c.is(i + 1, rules.letter)) return c.skip(i + 1, end, rules.letter);
  const size_t signs = match_signs_after_space(c, i, end, kWhiteSpace | kAnyN | rules.letter, rules.newlines, 0);
  return signs > i ? signs : match_spaces(c, i, end);
}

/// What kTekken and its relatives differ in. `han`: runs of Han are words of their own.
struct CasedRules {
  size_t digits;
  bool contraction, han;
  char tail;
};

/// U*W+ from i on, i where it does not match. U* takes all it can and gives back until W+ has one; a character given
/// back that is in W is in U too, so what follows it is not in W.
size_t match_lower_word(const Characters& c, size_t i, size_t end, const CasedRules& rules) {
  const auto is = [&](size_t at, uint32_t mask) { return c.is(at, mask) && !(rules.han && c.is(at, kHan)); };
  size_t upper = i;
  while (upper < end && is(upper, kUpper)) ++upper;
  size_t lower = upper;
  while (lower < end && is(lower, kLower)) ++lower;
  if (lower > upper) return lower;
  for (size_t at = upper; at > i; --at) {
    if (is(at - 1, kLower)) return at;
  }
  return i;
}

/// U+W* from i on, i where it does not match.
size_t match_upper_word(const Characters& c, size_t i, size_t end, const CasedRules& rules) {
  const auto is = [&](size_t at, uint32_t mask) { return c.is(at, mask) && !(rules.han && c.is(at, kHan)); };
  size_t at = i;
  while (at < end && is(at, kUpper)) ++at;
  if (at == i) return i;
  while (at < end && is(at, kLower)) ++at;
  return at;
}

size_t match_cased(const Characters& c, size_t i, size_t end, const CasedRules& rules) {
  if (rules.han && c.is(i, kHan)) return c.skip(i, end, kHan);
  const bool may_lead = !c.newline(i) && !c.is(i, kAnyL | kAnyN);
  for (const auto match : {match_lower_word, match_upper_word}) {
    for (size_t from = may_lead ? i + 1 : i; from + 1 > i; --from) {
      const size_t word = match(c, from, end, rules);
      if (word > from) return word + (rules.contraction ? contraction(c, word, end, Contraction::kAnyCase) : 0);
      if (from == i) break;
    }
  }
  if (c.is(i, kAnyN)) return c.skip(i, std::min(end, i + rules.digits), kAnyN);
  const size_t signs = match_signs_after_space(c, i, end, kWhiteSpace | kAnyL | kAnyN, true, rules.tail);
  return signs > i ? signs : match_spaces(c, i, end);
}

bool is_ascii_letter(uint32_t code) { return (code | 0x20) >= 'a' && (code | 0x20) <= 'z'; }

struct CodeRange {
  uint32_t first, last;
};

template <size_t n>
bool is_within(const CodeRange (&ranges)[n], uint32_t code) {
  const auto* range =
      std::lower_bound(ranges, ranges + n, code, [](const CodeRange& r, uint32_t value) { return r.last < value; });
  return range != ranges + n && range->first <= code;
}

/// The letters of kDeepseekLlm's second expression: a list of its own, of no version of Unicode.
bool is_deepseek_letter(uint32_t code) {
  static constexpr CodeRange kLetters[] = {
      {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
      {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
      {0x376, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},
      {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
      {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},
      {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},
      {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
      {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
      {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},
      {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},
      {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},
      {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
      {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},
      {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},
      {0xA771, 0xA787},   {0xA78B, 0xA78E},   {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},
      {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
      {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
  return is_within(kLetters, code);
}

/// [!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]
bool is_deepseek_sign(uint32_t code) {
  static constexpr CodeRange kSigns[] = {{0x21, 0x2F},     {0x3A, 0x7E},     {0x2018, 0x201F},
                                         {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
  return is_within(kSigns, code);
}

/// The last expression of kDeepseek3 at i; i where it does not match.
size_t match_deepseek3(const Characters& c, size_t i, size_t end) {
  const auto letter = [&](size_t at) { return at < end && is_ascii_letter(c.code[at]); };
  size_t at = i;
  if (c.code[i] > ' ' && c.code[i] < 127 && !is_ascii_letter(c.code[i]) && !c.is(i, kAnyN) && letter(i + 1)) {
    for (at = i + 1; letter(at);) ++at;
    return at;
  }
  const uint32_t word = kAnyL | kAnyM;
  const bool may_lead = !c.newline(i) && !c.is(i, kAnyL | kAnyP | kAnyS);
  if (may_lead && i + 1 < end && c.is(i + 1, word)) return c.skip(i + 1, end, word);
  if (c.is(i, word)) return c.skip(i, end, word);
  const size_t signs = c.code[i] == ' ' ? i + 1 : i;
  if (signs < end && c.is(signs, kAnyP | kAnyS)) {
    at = c.skip(signs, end, kAnyP | kAnyS);
    while (at < end && c.newline(at)) ++at;
    return at;
  }
  return c.is(i, kWhiteSpace) ? match_spaces(c, i, end) : i;
}

/// Cuts [begin, end) by an expression that matches at every place.
template <class Match>
void cut_all(size_t begin, size_t end, Ends& ends, Match match) {
  while (begin < end) ends.push_back(begin = match(begin));
}

/// Cuts [begin, end) by an expression that matches at some places: match(i) is the end, or i when there is none.
template <class Match>
void cut_some(size_t begin, size_t end, Ends& ends, Match match) {
  size_t gap = begin;
  for (size_t i = begin; i < end;) {
    const size_t matched = match(i);
    if (matched == i) {
      ++i;
      continue;
    }
    if (gap < i) ends.push_back(i);
    ends.push_back(gap = i = matched);
  }
  if (gap < end) ends.push_back(end);
}

enum class Rule {
  kGpt2,
  kOneNumber,
  kThreeNumbers,
  kNumbers,
  kThreeDigits,
  kSigns,
  kSignsAndBacktick,
  kLlama3,
  kQwen2,
  kQwen35,
  kTekken,
  kO200k,
  kKimiK2,
  kCjk,
  kDeepseek3,
  kNewline,
  kWord,
  kCasedWord,
  kPunctuation,
  kSign,
  kSpacesAtEnd,
  kWideCjk,
  kBailing,
  kSeedCoder,
  kMinicpm5,
  kLines,
  kPoro,
};

/// \s?X+ for the characters X that `is` takes; i where it does not match.
template <class Is>
size_t match_after_space(const Characters& c, size_t i, size_t end, Is is) {
  size_t at = c.is(i, kWhiteSpace) && i + 1 < end && is(i + 1) ? i + 1 : i;
  while (at < end && is(at)) ++at;
  return at;
}

/// [\p{P}$+<=>^~|]+, with the backtick where Falcon has it.
size_t match_signs(const Characters& c, size_t i, size_t end, std::string_view extra) {
  while (i < end &&
         (c.is(i, kAnyP) || (c.code[i] < 128 && extra.find(static_cast<char>(c.code[i])) != std::string_view::npos))) {
    ++i;
  }
  return i;
}

void cut(Rule rule, const Characters& c, size_t begin, size_t end, Ends& ends) {
  switch (rule) {
    case Rule::kGpt2:
      return cut_all(begin, end, ends, [&](size_t i) { return match_gpt2(c, i, end); });
    case Rule::kLlama3:
      return cut_all(begin, end, ends, [&](size_t i) { return match_llama3(c, i, end, {.digits = 3}); });
    case Rule::kMinicpm5:
      return cut_all(begin, end, ends, [&](size_t i) { return match_llama3(c, i, end, {.digits = end}); });
    case Rule::kQwen2:
      return cut_all(begin, end, ends, [&](size_t i) { return match_llama3(c, i, end, {}); });
    case Rule::kQwen35:
      return cut_all(begin, end, ends, [&](size_t i) { return match_llama3(c, i, end, {.letter = kAnyL | kAnyM}); });
    case Rule::kBailing:
      return cut_all(begin, end, ends,
                     [&](size_t i) { return match_llama3(c, i, end, {.contraction = Contraction::kAsciiCase}); });
    case Rule::kSeedCoder:
      return cut_all(begin, end, ends, [&](size_t i) {
        return match_llama3(c, i, end, {.contraction = Contraction::kAsciiCase, .newlines = false});
      });
    case Rule::kTekken:
      return cut_all(begin, end, ends, [&](size_t i) { return match_cased(c, i, end, {1, false, false, '/'}); });
    case Rule::kO200k:
      return cut_all(begin, end, ends, [&](size_t i) { return match_cased(c, i, end, {3, true, false, '/'}); });
    case Rule::kKimiK2:
      return cut_all(begin, end, ends, [&](size_t i) { return match_cased(c, i, end, {3, true, true, 0}); });
    case Rule::kCjk:
      return cut_some(begin, end, ends, [&](size_t i) {
        while (i < end && (c.between(i, 0x4E00, 0x9FA5) || c.between(i, 0x3040, 0x30FF))) ++i;
        return i;
      });
    case Rule::kWideCjk:
      return cut_some(begin, end, ends, [&](size_t i) {
        while (i < end && (c.between(i, 0x0800, 0x9FA5) || c.between(i, 0xAC00, 0xD7FF))) ++i;
        return i;
      });
    case Rule::kDeepseek3:
      return cut_some(begin, end, ends, [&](size_t i) { return match_deepseek3(c, i, end); });
    case Rule::kNewline:
      return cut_some(begin, end, ends, [&](size_t i) { return c.newline(i) ? i + 1 : i; });
    case Rule::kWord:
      return cut_some(begin, end, ends, [&](size_t i) {
        return match_after_space(c, i, end, [&](size_t at) { return c.is(at, kAnyL); });
      });
    case Rule::kPunctuation:
      return cut_some(begin, end, ends, [&](size_t i) {
        return match_after_space(c, i, end, [&](size_t at) { return c.is(at, kAnyP); });
      });
    case Rule::kCasedWord:
      return cut_some(begin, end, ends, [&](size_t i) {
        return match_after_space(c, i, end, [&](size_t at) { return is_deepseek_letter(c.code[at]); });
      });
    case Rule::kSign:
      return cut_some(begin, end, ends, [&](size_t i) {
        return match_after_space(c, i, end, [&](size_t at) { return is_deepseek_sign(c.code[at]); });
      });
    case Rule::kSpacesAtEnd:
      if (begin < end) {
        size_t spaces = end;
        while (spaces > begin && c.is(spaces - 1, kWhiteSpace)) --spaces;
        if (spaces > begin) ends.push_back(spaces);
        if (spaces < end) ends.push_back(end);
      }
      return;
    case Rule::kLines:
      return cut_all(begin, end, ends, [&](size_t i) {
        const bool newline = c.code[i] == '\n';
        while (i < end && (c.code[i] == '\n') == newline) ++i;
        return i;
      });
    case Rule::kPoro:
      return cut_some(begin, end, ends, [&](size_t i) {
        const auto word = [&](size_t at) {
          if (at >= end || c.is(at, kWhiteSpace)) return false;
          static constexpr std::u32string_view kNot = U"(|.,!?)\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C";
          return kNot.find(static_cast<char32_t>(c.code[at])) == std::u32string_view::npos;
        };
        size_t at = c.code[i] == ' ' && word(i + 1) ? i + 1 : i;
        while (word(at)) ++at;
        return at;
      });
    case Rule::kOneNumber:
      return cut_some(begin, end, ends, [&](size_t i) { return c.is(i, kAnyN) ? i + 1 : i; });
    case Rule::kThreeNumbers:
      return cut_some(begin, end, ends, [&](size_t i) { return c.skip(i, std::min(end, i + 3), kAnyN); });
    case Rule::kNumbers:
      return cut_some(begin, end, ends, [&](size_t i) { return c.skip(i, end, kAnyN); });
    case Rule::kThreeDigits:
      return cut_some(begin, end, ends, [&](size_t i) {
        const auto digit = [&](size_t at) { return at < end && c.code[at] >= '0' && c.code[at] <= '9'; };
        return digit(i) && digit(i + 1) && digit(i + 2) ? i + 3 : i;
      });
    case Rule::kSigns:
      return cut_some(begin, end, ends, [&](size_t i) { return match_signs(c, i, end, "$+<=>^~|"); });
    case Rule::kSignsAndBacktick:
      return cut_some(begin, end, ends, [&](size_t i) { return match_signs(c, i, end, "$+<=>^~|`"); });
  }
}

std::vector<Rule> rules_of(Pretokenizer kind) {
  switch (kind) {
    case Pretokenizer::kGpt2:
      return {Rule::kGpt2};
    case Pretokenizer::kStarcoder:
      return {Rule::kOneNumber, Rule::kGpt2};
    case Pretokenizer::kFalcon:
      return {Rule::kSignsAndBacktick, Rule::kGpt2, Rule::kThreeDigits};
    case Pretokenizer::kDefault:
      return {Rule::kSigns, Rule::kGpt2, Rule::kNumbers, Rule::kThreeDigits};
    case Pretokenizer::kLlama3:
      return {Rule::kLlama3};
    case Pretokenizer::kQwen2:
      return {Rule::kQwen2};
    case Pretokenizer::kQwen35:
      return {Rule::kQwen35};
    case Pretokenizer::kTekken:
      return {Rule::kTekken};
    case Pretokenizer::kO200k:
      return {Rule::kO200k};
    case Pretokenizer::kKimiK2:
      return {Rule::kKimiK2};
    case Pretokenizer::kDeepseek3:
      return {Rule::kThreeNumbers, Rule::kCjk, Rule::kDeepseek3};
    case Pretokenizer::kDeepseekLlm:
      return {Rule::kNewline, Rule::kCasedWord, Rule::kSign, Rule::kSpacesAtEnd, Rule::kWideCjk, Rule::kNumbers};
    case Pretokenizer::kDeepseekCoder:
      return {Rule::kNewline, Rule::kWord, Rule::kPunctuation, Rule::kWideCjk, Rule::kOneNumber};
    case Pretokenizer::kBailing:
      return {Rule::kBailing};
    case Pretokenizer::kSeedCoder:
      return {Rule::kSeedCoder};
    case Pretokenizer::kMinicpm5:
      return {Rule::kThreeNumbers, Rule::kMinicpm5};
    case Pretokenizer::kLaguna:
      return {Rule::kLines, Rule::kQwen2};
    case Pretokenizer::kLines:
      return {Rule::kLines};
    case Pretokenizer::kPoro:
      return {Rule::kPoro};
    case Pretokenizer::kViking:
      return {Rule::kPoro, Rule::kOneNumber};
  }
  return {};
}

}  // namespace

std::optional<PretokenizerChoice> find_pretokenizer(std::string_view name) {
  struct Named {
    std::string_view name;
    PretokenizerChoice choice;
  };
  // Sources: llama.cpp, src/llama-vocab.cpp; the models' own tokenizer.json.
  static constexpr PretokenizerChoice kGpt2{Pretokenizer::kGpt2};
  static constexpr PretokenizerChoice kStarcoder{Pretokenizer::kStarcoder};
  static constexpr PretokenizerChoice kLlama3{Pretokenizer::kLlama3, true, true};
  static constexpr PretokenizerChoice kDbrx{Pretokenizer::kLlama3};
  static constexpr PretokenizerChoice kQwen2{Pretokenizer::kQwen2};
  static constexpr Named kNames[] = {
      {"default", {Pretokenizer::kDefault}},
      {"falcon", {Pretokenizer::kFalcon}},
      {"qwen35", {Pretokenizer::kQwen35}},
      {"tekken", {Pretokenizer::kTekken, true, true}},
      {"gpt-4o", {Pretokenizer::kO200k}},
      {"llama4", {Pretokenizer::kO200k}},
      {"kanana2", {Pretokenizer::kO200k}},
      {"talkie", {Pretokenizer::kO200k}},
      {"minimax-m2", {Pretokenizer::kO200k}},
      {"granite-embed-multi-97m", {Pretokenizer::kO200k, true}},
      {"kimi-k2", {Pretokenizer::kKimiK2}},
      {"deepseek-v3", {Pretokenizer::kDeepseek3}},
      {"hunyuan-dense", {Pretokenizer::kDeepseek3}},
      {"joyai-llm", {Pretokenizer::kDeepseek3}},
      {"deepseek-llm", {Pretokenizer::kDeepseekLlm}},
      {"deepseek-coder", {Pretokenizer::kDeepseekCoder}},
      {"bailingmoe", {Pretokenizer::kBailing}},
      {"bailingmoe2", {Pretokenizer::kBailing}},
      {"llada-moe", {Pretokenizer::kBailing}},
      {"seed-coder", {Pretokenizer::kSeedCoder}},
      {"minicpm5", {Pretokenizer::kMinicpm5, true}},
      {"laguna", {Pretokenizer::kLaguna}},
      {"poro-chat", {Pretokenizer::kPoro}},
      {"bloom", {Pretokenizer::kPoro}},
      {"gpt3-finnish", {Pretokenizer::kPoro}},
      {"viking", {Pretokenizer::kViking}},
      {"gpt-2", kGpt2},
      {"jina-es", kGpt2},
      {"jina-de", kGpt2},
      {"jina-v1-en", {Pretokenizer::kGpt2, false, false, true}},
      {"jina-v2-code", {Pretokenizer::kGpt2, false, false, true}},
      {"jina-v2-es", kGpt2},
      {"jina-v2-de", kGpt2},
      {"roberta-bpe", {Pretokenizer::kGpt2, false, false, true}},
      {"phi-2", kGpt2},
      {"mpt", kGpt2},
      {"olmo", kGpt2},
      {"jais", kGpt2},
      {"trillion", kGpt2},
      {"granite-docling", kGpt2},
      {"gigachat", kGpt2},
      {"a.x-4.0", kGpt2},
      {"mellum", kGpt2},
      {"modern-bert", kGpt2},
      {"exaone4", kGpt2},
      {"smollm", kStarcoder},
      {"starcoder", kStarcoder},
      {"refact", kStarcoder},
      {"command-r", kStarcoder},
      {"codeshell", kStarcoder},
      {"exaone", kStarcoder},
      {"minerva-7b", kStarcoder},
      {"mellum2", kStarcoder},
      {"llama-bpe", kLlama3},
      {"llama3", kLlama3},
      {"llama-v3", kLlama3},
      {"falcon3", kLlama3},
      {"falcon-h1", kLlama3},
      {"pixtral", kLlama3},
      {"midm-2.0", kLlama3},
      {"lfm2", kLlama3},
      {"jina-v5-nano", kLlama3},
      {"dbrx", kDbrx},
      {"smaug-bpe", kDbrx},
      {"chatglm-bpe", kDbrx},
      {"glm4", kDbrx},
      {"qwen2", kQwen2},
      {"deepseek-r1-qwen", kQwen2},
      {"kormo", kQwen2},
      {"f2llmv2", kQwen2},
      {"stablelm2", kQwen2},
      {"hunyuan", kQwen2},
      {"megrez", kQwen2},
      {"solar-open", kQwen2},
      {"grok-2", kQwen2},
  };
  for (const Named& known : kNames) {
    if (known.name == name) return known.choice;
  }
  return std::nullopt;
}

std::vector<uint32_t> pretokenize(Pretokenizer kind, std::string_view text) {
  CHECK(text.size() < std::numeric_limits<uint32_t>::max(), "pretokenize: {} bytes of text", text.size());
  const Characters characters(text);
  Ends ends;
  if (!text.empty()) ends.push_back(static_cast<uint32_t>(characters.code.size()));
  for (const Rule rule : rules_of(kind)) {
    Ends finer;
    size_t begin = 0;
    for (const size_t end : ends) {
      cut(rule, characters, begin, end, finer);
      begin = end;
    }
    ends = std::move(finer);
  }
  for (uint32_t& end : ends) end = characters.offset(end);
  return ends;
}

}  // namespace godwit
