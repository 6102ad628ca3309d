#include "text/pretokenize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "text/naive_regex.h"

namespace godwit {
namespace {

using testing::Codes;
using ::testing::ElementsAre;
using testing::NaiveRegex;

std::vector<std::string> pieces(Pretokenizer kind, std::string_view text) {
  std::vector<std::string> out;
  size_t begin = 0;
  for (const uint32_t end : pretokenize(kind, text)) {
    EXPECT_GT(end, begin);
    out.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  EXPECT_EQ(begin, text.size());
  return out;
}

// The expressions as the models publish them (tokenizer.json), with (?i:...) written out.
constexpr const char* kAsciiContraction = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
constexpr const char* kContraction = "(?:'[sS\u017F]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
std::string llama3(const std::string& digits) {
  return std::string(kContraction) + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" + digits +
         R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

std::string cased(const std::string& han, const std::string& contraction, const std::string& digits,
                  const std::string& tail) {
  const std::string lead = R"([^\r\n\p{L}\p{N}]?)";
  const std::string upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M})" + han + "]";
  const std::string lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M})" + han + "]";
  return lead + upper + "*" + lower + "+" + contraction + "|" + lead + upper + "+" + lower + "*" + contraction +
         R"(|\p{N})" + digits + R"(| ?[^\s\p{L}\p{N}]+[\r\n)" + tail + R"(]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}
std::string qwen2_with(const std::string& contraction, const std::string& signs) {
  return contraction + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?)" + signs + R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

std::vector<std::string> expressions(Pretokenizer kind) {
  const std::string optional = std::string(kContraction) + "?";
  const std::string wide = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";
  const std::string poro = " ?[^(\\s|.,!?)\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C]+";
  switch (kind) {
    case Pretokenizer::kGpt2:
      return {kGpt2};
    case Pretokenizer::kStarcoder:
      return {R"(\p{N})", kGpt2};
    case Pretokenizer::kFalcon:
      return {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, "[0-9][0-9][0-9]"};
    case Pretokenizer::kDefault:
      return {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"};
    case Pretokenizer::kLlama3:
      return {llama3("{1,3}")};
    case Pretokenizer::kQwen2:
      return {llama3("")};
    case Pretokenizer::kQwen35:
      return {std::string(kContraction) +
              R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
    case Pretokenizer::kTekken:
      return {cased("", "", "", "/")};
    case Pretokenizer::kO200k:
      return {cased("", optional, "{1,3}", "/")};
    case Pretokenizer::kKimiK2:
      return {"[\\p{Han}]+|" + cased("&&[^\\p{Han}]", optional, "{1,3}", "")};
    case Pretokenizer::kDeepseek3:
      return {R"(\p{N}{1,3})", "[\u4E00-\u9FA5\u3040-\u30FF]+",
              R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
              R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
    case Pretokenizer::kDeepseekLlm:  // letters as far as they occur below
      return {R"([\r\n])",
              "\\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01C4-\u0293\u0410-\u044F]+",
              "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+",
              R"(\s+(?!\S)(?!\s))",
              wide,
              R"(\p{N}+)"};
    case Pretokenizer::kDeepseekCoder:
      return {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", wide, R"(\p{N})"};
    case Pretokenizer::kBailing:
      return {qwen2_with(kAsciiContraction, R"([^\s\p{L}\p{N}]+[\r\n]*)")};
    case Pretokenizer::kSeedCoder:
      return {qwen2_with(kAsciiContraction, R"([^\s\p{L}\p{N}\r\n]+)")};
    case Pretokenizer::kMinicpm5:
      return {R"(\p{N}{1,3})", llama3("+")};
    case Pretokenizer::kLaguna:
      return {R"([^\n]+|[\n]+)", llama3("")};
    case Pretokenizer::kLines:
      return {R"([^\n]+|[\n]+)"};
    case Pretokenizer::kPoro:
      return {poro};
    case Pretokenizer::kViking:
      return {poro, R"(\p{N})"};
  }
  return {};
}

/// Matches and gaps become pieces; each expression splits the pieces of the one before and sees nothing else.
std::vector<size_t> naive_ends(Pretokenizer kind, const Codes& codes) {
  std::vector<size_t> ends;
  if (!codes.empty()) ends.push_back(codes.size());
  for (const std::string& expression : expressions(kind)) {
    const NaiveRegex regex(expression);
    std::vector<size_t> finer;
    size_t begin = 0;
    for (const size_t end : ends) {
      size_t gap = begin;
      for (size_t at = begin; at < end;) {
        const ptrdiff_t matched = regex.match(codes, at, end);
        if (matched <= static_cast<ptrdiff_t>(at)) {
          ++at;
          continue;
        }
        if (gap < at) finer.push_back(at);
        finer.push_back(at = gap = static_cast<size_t>(matched));
      }
      if (gap < end) finer.push_back(end);
      begin = end;
    }
    ends = finer;
  }
  return ends;
}

constexpr Pretokenizer kAll[] = {
    Pretokenizer::kGpt2,          Pretokenizer::kStarcoder, Pretokenizer::kFalcon,    Pretokenizer::kDefault,
    Pretokenizer::kLlama3,        Pretokenizer::kQwen2,     Pretokenizer::kQwen35,    Pretokenizer::kTekken,
    Pretokenizer::kO200k,         Pretokenizer::kKimiK2,    Pretokenizer::kDeepseek3, Pretokenizer::kDeepseekLlm,
    Pretokenizer::kDeepseekCoder, Pretokenizer::kBailing,   Pretokenizer::kSeedCoder, Pretokenizer::kMinicpm5,
    Pretokenizer::kLaguna,        Pretokenizer::kLines,     Pretokenizer::kPoro,      Pretokenizer::kViking};

TEST(Pretokenize, ByHand) {
  EXPECT_THAT(pieces(Pretokenizer::kGpt2, "Hello  world, it's 1234!\n\n x"),
              ElementsAre("Hello", " ", " world", ",", " it", "'s", " 1234", "!", "\n\n", " x"));
  EXPECT_THAT(pieces(Pretokenizer::kStarcoder, "a 12  3"), ElementsAre("a", " ", "1", "2", "  ", "3"));
  EXPECT_THAT(pieces(Pretokenizer::kFalcon, "x+= 12345"), ElementsAre("x", "+=", " ", "123", "45"));
  EXPECT_THAT(pieces(Pretokenizer::kDefault, "a $12345"), ElementsAre("a", " ", "$", "123", "45"));
  EXPECT_THAT(pieces(Pretokenizer::kLlama3, "I'LL pay $12345.\r\n\r\n  ok (no)"),
              ElementsAre("I", "'LL", " pay", " $", "123", "45", ".\r\n\r\n", " ", " ok", " (", "no", ")"));
  EXPECT_THAT(pieces(Pretokenizer::kQwen2, "v12 \n\t\n x"), ElementsAre("v", "1", "2", " \n\t\n", " x"));
  EXPECT_THAT(pieces(Pretokenizer::kQwen35, "n\u0303o\u0301"), ElementsAre("n\u0303o\u0301"));
  EXPECT_THAT(pieces(Pretokenizer::kQwen2, "n\u0303o\u0301"), ElementsAre("n", "\u0303o", "\u0301"));
}

TEST(Pretokenize, EmptyTextHasNoPieces) {
  for (const Pretokenizer kind : kAll) EXPECT_TRUE(pretokenize(kind, "").empty());
}

TEST(Pretokenize, BytesThatAreNotUtf8AreCharactersOfNoClass) {
  EXPECT_THAT(pieces(Pretokenizer::kGpt2, "a\xFF\xC3 \x80z"), ElementsAre("a", "\xFF\xC3", " \x80", "z"));
}

TEST(Pretokenize, AsTheExpressionsSay) {
  const std::vector<std::string> alphabet = {
      "a",      "B",      "s",          "S",      "t",      "l",        "L", "re",     "VE",     "'",      "'",
      "1",      "2",      "9",          "\u0663", "\u00BD", " ",        " ", " ",      "\t",     "\n",     "\r",
      "\u00A0", "\u3000", "!",          "$",      "+",      "`",        "^", ".",      "-",      "\u00E9", "\u4F60",
      "\u0301", "\u200D", "\U0001F600", "\u2019", "\xFF",   "\xE2\x82", "A", "\u00C9", "\u01C5", "\u02B0", "\u05D0",
      "\u0414", "\u0434", "\u017F",     "\u3007", "\u3042", "\uAC00",   "/", "(",      "\u2026", "\uFF0C", "|"};
  std::mt19937 random(7);
  std::uniform_int_distribution<size_t> pick(0, alphabet.size() - 1), length(0, 24);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (size_t n = length(random); n > 0; --n) text += alphabet[pick(random)];
    const Codes codes = testing::to_codes(text);
    std::vector<uint32_t> offsets{0};
    for (size_t at = 0; at < text.size();) offsets.push_back(static_cast<uint32_t>(at += decode_utf8(text, at).length));
    for (const Pretokenizer kind : kAll) {
      std::vector<uint32_t> expected;
      for (const size_t end : naive_ends(kind, codes)) expected.push_back(offsets[end]);
      ASSERT_EQ(pretokenize(kind, text), expected) << "kind " << static_cast<int>(kind) << " text " << text;
    }
  }
}

TEST(Pretokenize, Names) {
  EXPECT_EQ(find_pretokenizer("smollm")->kind, Pretokenizer::kStarcoder);
  EXPECT_EQ(find_pretokenizer("qwen2")->kind, Pretokenizer::kQwen2);
  EXPECT_EQ(find_pretokenizer("gpt-2")->kind, Pretokenizer::kGpt2);
  const auto llama = find_pretokenizer("llama-bpe");
  ASSERT_TRUE(llama.has_value());
  EXPECT_TRUE(llama->kind == Pretokenizer::kLlama3 && llama->ignore_merges && llama->add_bos);
  const auto dbrx = find_pretokenizer("dbrx");
  ASSERT_TRUE(dbrx.has_value());
  EXPECT_TRUE(dbrx->kind == Pretokenizer::kLlama3 && !dbrx->ignore_merges && !dbrx->add_bos);
  EXPECT_FALSE(find_pretokenizer("no-such-model").has_value());
  EXPECT_FALSE(find_pretokenizer("").has_value());
}

}  // namespace
}  // namespace godwit
