// Answers as they are shown: thoughts dim, nothing that the terminal would obey.
#include "cli/chat_screen.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace godwit {
namespace {

std::string shown(const std::vector<std::string>& parts, bool styled, bool thinking) {
  AnswerScreen screen(styled, thinking);
  std::string all;
  for (const std::string& part : parts) all += screen.push(part);
  return all + screen.finish();
}

TEST(AnswerScreen, ThoughtsAreDimHoweverTheTextIsCut) {
  struct Case {
    bool thinking;
    std::string text, shown;
  };
  const std::string dim = kDim, undim = kUndim;
  const std::vector<Case> cases = {
      {false, "Hello.", "Hello."},
      {false, "<think>Well\n</think>\n\nHello.", dim + "<think>Well\n</think>" + undim + "\n\nHello."},
      {false, "\n<think>Well", dim + "\n<think>Well" + undim},
      {true, "Well</think>Hello.", dim + "Well</think>" + undim + "Hello."},
      {false, "<thinker>", "<thinker>"},
      {false, "<thin", "<thin"},
      {false, "  ", "  "},
      {false, "I <think> so</think>", "I <think> so</think>"},
      {true, "a </thin k></think>b<think>c", dim + "a </thin k></think>" + undim + "b<think>c"},
      {false, "a\033[2Jb", "a\xE2\x90\x9B[2Jb"},
      {false, "", ""},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(shown({c.text}, true, c.thinking), c.shown) << c.text;
    for (size_t a = 0; a <= c.text.size(); ++a) {
      for (size_t b = a; b <= c.text.size(); ++b)
        EXPECT_EQ(shown({c.text.substr(0, a), c.text.substr(a, b - a), c.text.substr(b)}, true, c.thinking), c.shown)
            << c.text << " cut at " << a << " and " << b;
    }
  }
}

TEST(AnswerScreen, PlainWithoutStyle) {
  EXPECT_EQ(shown({"<think>a</think>b\033"}, false, false), "<think>a</think>b\xE2\x90\x9B");
}

TEST(AnswerScreen, NothingIsHeldBackWithoutReason) {
  AnswerScreen screen(true, false);
  EXPECT_EQ(screen.push("Hel"), "Hel");
  EXPECT_EQ(screen.push("lo <"), "lo <");
}

TEST(AnswerScreen, PromptsThatEndInThoughts) {
  EXPECT_TRUE(ends_thinking("<|assistant|>\n<think>\n"));
  EXPECT_FALSE(ends_thinking("<|assistant|>\n<think>\n\n</think>\n"));
  EXPECT_FALSE(ends_thinking(""));
}

TEST(Grouped, Thousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(123456), "123,456");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-1234), "-1,234");
  EXPECT_EQ(grouped(-123), "-123");
}

}  // namespace
}  // namespace godwit
