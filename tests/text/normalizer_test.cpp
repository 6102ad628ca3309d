#include "text/normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "text/charsmap.h"
#include "text/grapheme.h"
#include "text/normal_form.h"

namespace godwit {
namespace {

// Unicode Standard Annex 15, figures 3 to 6, and the conformance tests of part 1.
TEST(NormalForm, ExamplesOfTheStandard) {
  const auto forms = [](std::string_view text) {
    return std::vector<std::string>{to_normal_form(text, NormalForm::kNfd), to_normal_form(text, NormalForm::kNfc),
                                    to_normal_form(text, NormalForm::kNfkd), to_normal_form(text, NormalForm::kNfkc)};
  };
  using Forms = std::vector<std::string>;
  EXPECT_EQ(forms("\u212B"), (Forms{"A\u030A", "\u00C5", "A\u030A", "\u00C5"}));
  EXPECT_EQ(forms("\u2126"), (Forms{"\u03A9", "\u03A9", "\u03A9", "\u03A9"}));
  EXPECT_EQ(forms("\u1E0B\u0323"), (Forms{"d\u0323\u0307", "\u1E0D\u0307", "d\u0323\u0307", "\u1E0D\u0307"}));
  EXPECT_EQ(forms("q\u0307\u0323"), (Forms{"q\u0323\u0307", "q\u0323\u0307", "q\u0323\u0307", "q\u0323\u0307"}));
  EXPECT_EQ(forms("\uFB01"), (Forms{"\uFB01", "\uFB01", "fi", "fi"}));
  EXPECT_EQ(forms("2\u2075"), (Forms{"2\u2075", "2\u2075", "25", "25"}));
  EXPECT_EQ(forms("\u1E9B\u0323"), (Forms{"\u017F\u0323\u0307", "\u1E9B\u0323", "s\u0323\u0307", "\u1E69"}));
  EXPECT_EQ(forms("\uAC01"), (Forms{"\u1100\u1161\u11A8", "\uAC01", "\u1100\u1161\u11A8", "\uAC01"}));
  EXPECT_EQ(forms("\u0344"), (Forms{"\u0308\u0301", "\u0308\u0301", "\u0308\u0301", "\u0308\u0301"}));
  EXPECT_EQ(forms("\u0958"), (Forms{"\u0915\u093C", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C"}));
  // Blocked: a starter between, and one of the same class between.
  EXPECT_EQ(to_normal_form("a\u0305\u0301", NormalForm::kNfc), "a\u0305\u0301");
  EXPECT_EQ(to_normal_form("a\u0323\u0301", NormalForm::kNfc), "\u1EA1\u0301");
  EXPECT_EQ(to_normal_form("\u1100\u0300\u1161", NormalForm::kNfc), "\u1100\u0300\u1161");
  // Unicode 16: one that 9 does not know.
  EXPECT_EQ(to_normal_form("\U000105C9", NormalForm::kNfd), "\U000105D2\u0307");
  EXPECT_EQ(to_normal_form("\U000105C9", NormalForm::kNfd, NormalVersion::kUnicode9), "\U000105C9");
  EXPECT_EQ(to_normal_form("e\xFF\u0301", NormalForm::kNfc), "e\xFF\u0301");
}

TEST(NormalForm, LongRowsOfMarks) {
  std::string text = "a";
  for (size_t i = 0; i < 200000; ++i) text += i % 2 == 0 ? "\u0301" : "\u0323";
  const std::string sorted = to_normal_form(text, NormalForm::kNfd);
  EXPECT_EQ(sorted.size(), text.size());
  EXPECT_EQ(sorted.substr(0, 3), "a\u0323");
  EXPECT_EQ(sorted.substr(sorted.size() - 2), "\u0301");
}

// Unicode Standard Annex 29, table 1a and GraphemeBreakTest.txt.
TEST(Grapheme, Clusters) {
  const auto lengths = [](std::string_view text) {
    std::vector<size_t> all;
    for (size_t at = 0; at < text.size(); at += all.back()) all.push_back(grapheme_length(text, at));
    return all;
  };
  using Lengths = std::vector<size_t>;
  EXPECT_EQ(lengths("ab"), (Lengths{1, 1}));
  EXPECT_EQ(lengths("\r\n\n\r"), (Lengths{2, 1, 1}));
  EXPECT_EQ(lengths("e\u0301\u0323x"), (Lengths{5, 1}));
  EXPECT_EQ(lengths("\u1112\u1161\u11AB\u1112"), (Lengths{9, 3}));
  EXPECT_EQ(lengths("\uAC00\u11A8\uAC01\u1161"), (Lengths{6, 3, 3}));
  EXPECT_EQ(lengths("\U0001F1E6\U0001F1E7\U0001F1E8"), (Lengths{8, 4}));
  EXPECT_EQ(lengths("\U0001F476\U0001F3FF\U0001F476"), (Lengths{8, 4}));
  EXPECT_EQ(lengths("\U0001F468\u200D\U0001F469a\u200D\U0001F469"), (Lengths{11, 4, 4}));
  EXPECT_EQ(lengths("\u0915\u094D\u0937"), (Lengths{9}));
  EXPECT_EQ(lengths("\u0915\u0937"), (Lengths{3, 3}));
  EXPECT_EQ(lengths("\u0600a\u0903"), (Lengths{6}));
  EXPECT_EQ(lengths("e\xFF\u0301"), (Lengths{1, 1, 2}));
}

std::string unit_bytes(uint32_t unit) {
  std::string bytes;
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(unit >> (8 * i) & 0xFF);
  return bytes;
}

/// "a" becomes "xy", "ab" becomes "z".
std::string small_charsmap() {
  std::vector<uint32_t> units(256);
  units[0] = 0;                           // the root's children lie at their bytes
  units['a'] = 'a' | 1u << 8 | 2u << 10;  // its value lies at 'a' ^ 2, its children at 'a' ^ 2 ^ byte
  units['a' ^ 2] = 0x80000000u;           // offset 0
  units['a' ^ 2 ^ 'b'] = 'b' | 1u << 8 | 4u << 10;
  units['a' ^ 2 ^ 'b' ^ 4] = 0x80000000u | 3;
  std::string bytes = unit_bytes(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) bytes += unit_bytes(unit);
  return bytes + std::string("xy\0z\0", 5);
}

TEST(Charsmap, FindsRules) {
  const Charsmap map(small_charsmap());
  EXPECT_EQ(map.longest("abc").replacement, "z");
  EXPECT_EQ(map.longest("abc").length, 2u);
  EXPECT_EQ(map.shortest("abc").replacement, "xy");
  EXPECT_EQ(map.longest("acb").replacement, "xy");
  EXPECT_EQ(map.longest("b").length, 0u);
  EXPECT_EQ(map.longest("").length, 0u);
  EXPECT_EQ(Charsmap().longest("a").length, 0u);
}

TEST(Charsmap, HostileBytes) {
  const std::string whole = small_charsmap();
  for (size_t size = 1; size < whole.size(); ++size) {
    try {
      Charsmap(std::string_view(whole).substr(0, size)).longest("abab");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalid);
    }
  }
  EXPECT_THROW(Charsmap("abc"), Error);
  EXPECT_THROW(Charsmap(std::string_view(whole).substr(0, 600)), Error);
  EXPECT_THROW(Charsmap(std::string(1, '\xFF') + whole.substr(1)), Error);  // not whole units
  EXPECT_THROW(Charsmap(whole + "open"), Error);
  EXPECT_THROW(Charsmap(whole + std::string("\xFF\0", 2)), Error);
  for (size_t at = 4; at < 4 + 1024; ++at) {  // every unit wrong in turn: an answer, whatever it is
    std::string broken = whole;
    broken[at] = '\xFF';
    Charsmap(broken).longest("abababab");
  }
}

NormalizerStep step(NormalizerStep::Kind kind, std::string text = "", std::string content = "") {
  NormalizerStep s;
  s.kind = kind;
  s.text = std::move(text);
  s.content = std::move(content);
  return s;
}

TEST(Normalizer, Limits) {
  EXPECT_THROW(Normalizer(std::vector<NormalizerStep>(10000)), Error);
  EXPECT_EQ(Normalizer().apply("x"), "x");
  const Normalizer doubling(std::vector<NormalizerStep>(64, step(NormalizerStep::kReplaceString, "a", "aa")));
  EXPECT_THROW(doubling.apply("a"), Error);
  const Normalizer large({step(NormalizerStep::kReplaceRegex, "", std::string(1 << 16, 'x'))});
  EXPECT_THROW(large.apply("abcdefghijklmnopqrstuvwxyz"), Error);
  EXPECT_THROW(Normalizer({step(NormalizerStep::kReplaceRegex, "(a)\\1")}), Error);
  EXPECT_THROW(Normalizer({step(NormalizerStep::kPrecompiled, "cut")}), Error);
  EXPECT_EQ(Normalizer({step(NormalizerStep::kReplaceString, "", "x")}).apply("ab"), "ab");  // nothing to find
}

// A pattern and a text that a naive search takes their product for.
TEST(Normalizer, ReplacesInLinearTime) {
  const Normalizer normalizer({step(NormalizerStep::kReplaceString, std::string(50000, 'a') + "b", "x")});
  const std::string text(1000000, 'a');
  EXPECT_EQ(normalizer.apply(text), text);
}

TEST(Normalizer, InvalidBytesPass) {
  for (const auto kind :
       {NormalizerStep::kNfc, NormalizerStep::kNfkd, NormalizerStep::kLowercase, NormalizerStep::kStrip,
        NormalizerStep::kStripAccents, NormalizerStep::kNmt, NormalizerStep::kBert}) {
    EXPECT_EQ(Normalizer({step(kind)}).apply("a\xFF\xE2\x82z"), "a\xFF\xE2\x82z") << kind;
  }
}

}  // namespace
}  // namespace godwit
