#include "text/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/char_set.h"
#include "text/unicode.h"

namespace godwit {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> matches(std::string_view pattern, const std::string& text) {
  std::vector<std::string> found;
  for (const Regex::Range& range : Regex::compile(pattern).find_all(text)) {
    found.push_back(text.substr(range.begin, range.end - range.begin));
  }
  return found;
}

using Strings = std::vector<std::string>;

// By the rules of leftmost-first matching.
TEST(Regex, TheFirstAlternativeThatMatchesWins) {
  EXPECT_EQ(matches("a|ab", "abab"), (Strings{"a", "a"}));
  EXPECT_EQ(matches("ab|a", "abaab"), (Strings{"ab", "a", "ab"}));
  EXPECT_EQ(matches("(?:a|ab)(?:c|bcd)", "abcd"), (Strings{"abcd"}));
  EXPECT_EQ(matches("a*?b", "aab"), (Strings{"aab"}));
  EXPECT_EQ(matches("a{2,3}?", "aaaa"), (Strings{"aa", "aa"}));
  EXPECT_EQ(matches("<.+?>", "<a><bc>"), (Strings{"<a>", "<bc>"}));
}

TEST(Regex, LooksAhead) {
  EXPECT_EQ(matches("\\s+(?!\\S)|\\s+", "a   b  "), (Strings{"  ", " ", "  "}));
  EXPECT_EQ(matches("\\w(?=,|$)", "ab,cd"), (Strings{"b", "d"}));
  EXPECT_EQ(matches("a++b|a", "aab aac"), (Strings{"aab", "a", "a"}));
  EXPECT_EQ(matches("a++a", "aaa"), Strings{});
  EXPECT_EQ(matches("[ab]?+a", "ab ba a"), (Strings{"ba"}));
  EXPECT_EQ(matches("(?>\\d+)\\.", "12.3"), (Strings{"12."}));
}

TEST(Regex, EmptyMatches) {
  EXPECT_EQ(Regex::compile("a*").find_all("baac"),
            (std::vector<Regex::Range>{{0, 0}, {1, 3}, {4, 4}}));  // none at 3, where another ended
  EXPECT_EQ(Regex::compile("").find_all(""), (std::vector<Regex::Range>{{0, 0}}));
  EXPECT_EQ(matches("(a*)*", "aa"), (Strings{"aa"}));
  EXPECT_EQ(matches("(?:|a)*", "a"), (Strings{"", ""}));
  EXPECT_EQ(matches("(?:|a)*b", "aab"), (Strings{"aab"}));
  EXPECT_EQ(matches("^|$", "a\nb"), (Strings{"", "", "", ""}));
}

TEST(Regex, InvalidBytesAreCharactersOfNoClass) {
  EXPECT_EQ(matches("\\p{L}+|[^\\s]", "a\xFF\xE2\x82z"), (Strings{"a", "\xFF", "\xE2", "\x82", "z"}));
  EXPECT_EQ(matches("\\p{Cn}|\\p{Any}", "\xFF"), Strings{});
  EXPECT_EQ(matches(".", "\xFF"), (Strings{"\xFF"}));
}

TEST(Regex, RefusesByName) {
  const auto message = [](std::string_view pattern) -> std::string {
    try {
      Regex::compile(pattern, "file: pre_tokenizer");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalid);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message("(a)\\1"), HasSubstr("back-reference"));
  EXPECT_THAT(message("(?<n>a)\\k<n>"), HasSubstr("back-reference"));
  EXPECT_THAT(message("(?<=a)b"), HasSubstr("look-behind"));
  EXPECT_THAT(message("(?<!a)b"), HasSubstr("look-behind"));
  EXPECT_THAT(message("a(?=bc)"), HasSubstr("look-ahead at more than one character"));
  EXPECT_THAT(message("a(?!b*)"), HasSubstr("look-ahead at more than one character"));
  EXPECT_THAT(message("(?>ab)"), HasSubstr("atomic group"));
  EXPECT_THAT(message("(?:ab)++"), HasSubstr("possessive"));
  EXPECT_THAT(message("\\p{Klingon}"), HasSubstr("the property \"Klingon\""));
  EXPECT_THAT(message("(?~a)"), HasSubstr("absence"));
  EXPECT_THAT(message("(?i)ss"), HasSubstr("may be one"));
  EXPECT_THAT(message("(?i)\u00DF"), HasSubstr("several"));
  EXPECT_THAT(message("\\G"), HasSubstr("\\G"));
  EXPECT_THAT(message("[z-a]"), HasSubstr("range"));
  EXPECT_THAT(message("(a"), HasSubstr("not closed"));
  EXPECT_THAT(message("a)"), HasSubstr("closes nothing"));
  EXPECT_THAT(message("[a"), HasSubstr("ends within"));
  EXPECT_THAT(message("*a"), HasSubstr("repeat of nothing"));
  EXPECT_THAT(message("a{3,2}"), HasSubstr("more at least"));
  EXPECT_THAT(message("\xFF"), HasSubstr("not UTF-8"));
  EXPECT_THAT(message("(a)\\1"), HasSubstr("file: pre_tokenizer"));
}

TEST(Regex, RefusesWhatIsTooLarge) {
  const auto repeated = [](const char* text, size_t n) {
    std::string all;
    for (size_t i = 0; i < n; ++i) all += text;
    return all;
  };
  for (const std::string& pattern :
       {std::string("a{100001}"), std::string("(((a{1000}){1000}){1000}){1000}"), std::string("(?:(?:){99999}){99999}"),
        repeated("(", 10000), repeated("[", 10000), repeated("(?:", 10000) + "a", "a" + repeated("*", 100),
        repeated("\\w", 20000), repeated("\\p{Han}", 9000), "[" + repeated("\\w", 20000) + "]",
        "(?i)" + repeated("a", 60000), repeated("[^a&&", 20000), std::string(70000, 'a'),
        repeated("(?i:", 500) + repeated(")", 500), std::string("(?:a?){5000}b{5000}")}) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THROW(Regex::compile(pattern), Error) << pattern.substr(0, 40);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2)) << pattern.substr(0, 40);
  }
}

// Nested repeats, alternatives that share beginnings, and searches that run to the end in vain.
TEST(Regex, TimeIsLinearWhateverTheExpression) {
  for (const char* pattern :
       {"(a+)+$", "(a+)+b", "(.*)*x", "(a|aa)+c", "a.*b|a", "(?:a?){30}a{30}", "(\\w+\\s?)*:", "a*a*a*a*b"}) {
    const Regex regex = Regex::compile(pattern);
    std::string text(100000, 'a');
    text += '!';
    const auto begin = std::chrono::steady_clock::now();
    regex.find_all(text);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10)) << pattern;
  }
}

// Random texts of two letters make a state of most places, far more than the cache holds at once.
TEST(Regex, ManyStatesAreMadeAgain) {
  const Regex regex = Regex::compile("(?:a|b)*?b[ab]{12}c|a[ab]{9}b|[ab]");
  std::string text;
  uint32_t random = 1;
  for (size_t i = 0; i < 60000; ++i) {
    random = random * 1664525 + 1013904223;
    text += random >> 16 & 1 ? 'a' : 'b';
    if (random >> 20 % 64 == 5) text += 'c';
  }
  uint32_t at = 0;
  for (const Regex::Range& range : regex.find_all(text)) {
    EXPECT_GE(range.begin, at);
    EXPECT_GT(range.end, range.begin);
    at = range.end;
  }
  EXPECT_GT(at, 59000u);
}

TEST(CharSet, Operations) {
  CharSet set('a', 'f');
  set.add('x', 'z');
  set.add('g', 'h');
  set.normalize();
  EXPECT_EQ(set.ranges(), (std::vector<CharSet::Range>{{'a', 'h'}, {'x', 'z'}}));
  EXPECT_EQ(set.complement().complement(), set);
  EXPECT_EQ(set.intersection(CharSet('h', 'x')).ranges(), (std::vector<CharSet::Range>{{'h', 'h'}, {'x', 'x'}}));
  EXPECT_TRUE(set.complement().contains(kInvalidInSet));
  EXPECT_EQ(CharSet('k', 'k').any_case().ranges(),
            (std::vector<CharSet::Range>{{'K', 'K'}, {'k', 'k'}, {0x212A, 0x212A}}));
  EXPECT_EQ(CharSet::named("Letter"), CharSet::of_bits(kAnyL));
  EXPECT_EQ(CharSet::named("old_persian")->ranges(),
            (std::vector<CharSet::Range>{{0x103A0, 0x103C3}, {0x103C8, 0x103D5}}));
}

}  // namespace
}  // namespace godwit
