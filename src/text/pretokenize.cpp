#include "text/pretokenize.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.h"
#include "text/unicode.h"

namespace godwit {
namespace {

/// Text as characters: code point, class and where each begins (one more offset than characters).
struct Characters {
  std::vector<uint32_t> code;
  std::vector<uint8_t> bits;
  std::vector<uint32_t> offset;

  explicit Characters(std::string_view text) {
    std::array<uint8_t, 128> ascii;
    for (uint32_t c = 0; c < 128; ++c) ascii[c] = char_class(c);
    code.reserve(text.size());
    bits.reserve(text.size());
    offset.reserve(text.size() + 1);
    for (size_t at = 0; at < text.size();) {
      const Decoded d = decode_utf8(text, at);
      code.push_back(d.code);
      bits.push_back(d.code < 128 ? ascii[d.code] : char_class(d.code));
      offset.push_back(static_cast<uint32_t>(at));
      at += d.length;
    }
    offset.push_back(static_cast<uint32_t>(text.size()));
  }

  bool is(size_t i, int mask) const { return (bits[i] & mask) != 0; }
  bool newline(size_t i) const { return code[i] == '\r' || code[i] == '\n'; }
  /// The first character from i on, before end, that has none of the bits in mask.
  size_t skip(size_t i, size_t end, int mask) const {
    while (i < end && is(i, mask)) ++i;
    return i;
  }
  /// The first character from i on, before end, that has one of the bits in mask.
  size_t skip_not(size_t i, size_t end, int mask) const {
    while (i < end && !is(i, mask)) ++i;
    return i;
  }
};

using Ends = std::vector<size_t>;  // ends of pieces, in characters

/// Characters of a contraction at i ('s, 'll, ...), 0 when there is none.
size_t contraction(const Characters& c, size_t i, size_t end, bool any_case) {
  if (c.code[i] != '\'' || i + 1 >= end) return 0;
  const auto letter = [&](size_t at) -> uint32_t {
    if (at >= end) return 0;
    const uint32_t code = c.code[at];
    return any_case && code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code;
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
  if (const size_t n = contraction(c, i, end, false)) return i + n;
  const size_t word = c.code[i] == ' ' ? i + 1 : i;
  if (word < end) {
    if (c.is(word, kLetter)) return c.skip(word, end, kLetter);
    if (c.is(word, kNumber)) return c.skip(word, end, kNumber);
    if (!c.is(word, kSpace)) return c.skip_not(word, end, kSpace | kLetter | kNumber);
  }
  return end_of_spaces(i, c.skip(i, end, kSpace), end);
}

/// The end of the match at i of kLlama3 and its relatives: `letter` is what words are made of, `digits` how many go
/// together.
size_t match_llama3(const Characters& c, size_t i, size_t end, int letter, size_t digits) {
  if (const size_t n = contraction(c, i, end, true)) return i + n;
  if (c.is(i, letter)) return c.skip(i, end, letter);
  if (c.is(i, kNumber)) return c.skip(i, std::min(end, i + digits), kNumber);
  if (!c.newline(i) && i + 1 < end && c.is(i + 1, letter)) return c.skip(i + 1, end, letter);
  const int none_of = kSpace | kNumber | letter;
  const size_t signs = c.code[i] == ' ' ? i + 1 : i;
  if (signs < end && !c.is(signs, none_of)) {
    size_t at = c.skip_not(signs, end, none_of);
    while (at < end && c.newline(at)) ++at;
    return at;
  }
  const size_t run_end = c.skip(i, end, kSpace);
  for (size_t at = run_end; at > i; --at) {
    if (c.newline(at - 1)) return at;  // \s*[\r\n]+ ends with the last newline of the run
  }
  return end_of_spaces(i, run_end, end);
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

enum class Rule { kGpt2, kOneNumber, kNumbers, kThreeDigits, kSigns, kSignsAndBacktick, kLlama3, kQwen2, kQwen35 };

/// [\p{P}$+<=>^~|]+, with the backtick where Falcon has it.
size_t match_signs(const Characters& c, size_t i, size_t end, std::string_view extra) {
  while (i < end && (c.is(i, kPunctuation) ||
                     (c.code[i] < 128 && extra.find(static_cast<char>(c.code[i])) != std::string_view::npos))) {
    ++i;
  }
  return i;
}

void cut(Rule rule, const Characters& c, size_t begin, size_t end, Ends& ends) {
  switch (rule) {
    case Rule::kGpt2:
      return cut_all(begin, end, ends, [&](size_t i) { return match_gpt2(c, i, end); });
    case Rule::kLlama3:
      return cut_all(begin, end, ends, [&](size_t i) { return match_llama3(c, i, end, kLetter, 3); });
    case Rule::kQwen2:
      return cut_all(begin, end, ends, [&](size_t i) { return match_llama3(c, i, end, kLetter, 1); });
    case Rule::kQwen35:
      return cut_all(begin, end, ends, [&](size_t i) { return match_llama3(c, i, end, kLetter | kMark, 1); });
    case Rule::kOneNumber:
      return cut_some(begin, end, ends, [&](size_t i) { return c.is(i, kNumber) ? i + 1 : i; });
    case Rule::kNumbers:
      return cut_some(begin, end, ends, [&](size_t i) { return c.skip(i, end, kNumber); });
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
      {"gpt-2", kGpt2},
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
  if (!text.empty()) ends.push_back(characters.code.size());
  for (const Rule rule : rules_of(kind)) {
    Ends finer;
    size_t begin = 0;
    for (const size_t end : ends) {
      cut(rule, characters, begin, end, finer);
      begin = end;
    }
    ends = std::move(finer);
  }
  std::vector<uint32_t> bytes;
  bytes.reserve(ends.size());
  for (const size_t end : ends) bytes.push_back(characters.offset[end]);
  return bytes;
}

}  // namespace godwit
