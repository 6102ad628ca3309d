#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "text/vocabularies.h"

namespace godwit {
namespace {

using testing::byte_level_vocabulary;
using testing::tokenizer_of;

TEST(Detokenizer, HoldsBackWhatIsNotYetACharacter) {
  const auto t = tokenizer_of(byte_level_vocabulary({}));
  Detokenizer d(*t);
  EXPECT_EQ(d.push('a'), "a");
  EXPECT_EQ(d.push(0xF0), "");
  EXPECT_EQ(d.push(0x9F), "");
  EXPECT_EQ(d.push(0x98), "");
  EXPECT_EQ(d.push(0x80), "\U0001F600");
  EXPECT_EQ(d.push('b'), "b");
  EXPECT_EQ(d.flush(), "");
}

// Examples of Unicode 16.0, section 3.9, tables 3-8 and 3-9, and of a character cut short at the end.
TEST(Detokenizer, ReplacesLongestStarts) {
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  EXPECT_EQ(replace_invalid_utf8("ok \xE2\x82"), "ok \uFFFD");
  const auto t = tokenizer_of(byte_level_vocabulary({}));
  Detokenizer d(*t);
  EXPECT_EQ(d.push(0xE2), "");
  EXPECT_EQ(d.push('z'), "\uFFFDz");
  EXPECT_EQ(d.push(0xE2), "");
  EXPECT_EQ(d.flush(), "\uFFFD");
  EXPECT_EQ(d.flush(), "");
}

TEST(Detokenizer, SpecialTokensOnlyWhenShown) {
  const auto t = tokenizer_of(byte_level_vocabulary({.control = {"<|x|>"}, .user_defined = {"[y]"}}));
  Detokenizer hidden(*t), shown(*t, {.show_special = true});
  EXPECT_EQ(hidden.push(256), "");
  EXPECT_EQ(hidden.push(257), "[y]");
  EXPECT_EQ(shown.push(256), "<|x|>");
}

TEST(Detokenizer, TheSpaceInFrontGoesAtTheBeginningOfATextOnly) {
  const auto t = tokenizer_of(testing::scored_vocabulary({"\u2581a", "\u2581"}, true));
  Detokenizer whole(*t, {.begins_text = true}), continuation(*t);
  EXPECT_EQ(whole.push(1), "");  // begin of text
  EXPECT_EQ(whole.push(259), "a");
  EXPECT_EQ(whole.push(259), " a");
  EXPECT_EQ(continuation.push(259), " a");
}

TEST(Detokenizer, AllTextsTogetherAreTheTextOfAllBytes) {
  std::mt19937 random(8);
  const auto t = tokenizer_of(byte_level_vocabulary({.merges = {{"\xE2", "\x82"}, {"\xF0", "\x9F"}, {"a", "\xE2"}}}));
  const std::vector<std::string> alphabet = {"a",    "\u20AC",   "\U0001F600", "\xE2",
                                             "\x82", "\xF0\x9F", "\xFF",       "\xED\xA0"};
  for (int round = 0; round < 1000; ++round) {
    const std::string bytes = testing::random_bytes(random, 12, alphabet);
    Detokenizer d(*t);
    std::string text;
    for (const int32_t id : t->encode(bytes)) {
      const std::string part = d.push(id);
      ASSERT_EQ(find_invalid_utf8(part), std::string_view::npos);
      text += part;
    }
    ASSERT_EQ(text + d.flush(), replace_invalid_utf8(bytes));
  }
}

}  // namespace
}  // namespace godwit
