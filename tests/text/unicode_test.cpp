#include "text/unicode.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace godwit {
namespace {

// Categories from the Unicode Character Database, 16.0.
TEST(Unicode, Classes) {
  for (const uint32_t letter :
       {0x41u, 0x7Au, 0xAAu, 0xB5u, 0xE9u, 0x2B0u, 0x4E00u, 0x9FFFu, 0xAC00u, 0x1D54Fu, 0x323AFu}) {
    EXPECT_EQ(char_class(letter), kLetter) << letter;
  }
  for (const uint32_t number : {0x30u, 0x39u, 0xB2u, 0xBDu, 0x663u, 0x2167u, 0x3007u, 0x1FBF9u}) {
    EXPECT_EQ(char_class(number), kNumber) << number;
  }
  for (const uint32_t mark : {0x301u, 0x903u, 0x20DDu, 0xFE0Fu, 0xE01EFu}) EXPECT_EQ(char_class(mark), kMark) << mark;
  for (const uint32_t sign : {0x21u, 0x5Fu, 0xABu, 0x2014u, 0x3002u, 0xFF01u})
    EXPECT_EQ(char_class(sign), kPunctuation) << sign;
  for (const uint32_t none :
       {0u, 0x1Cu, 0x24u, 0x2Bu, 0x60u, 0x200Bu, 0x200Du, 0x1F600u, 0xFFFDu, 0xE000u, 0x10FFFFu, kInvalidByte}) {
    EXPECT_EQ(char_class(none), 0) << none;
  }
}

// PropList.txt, White_Space: these 25 and no others.
TEST(Unicode, WhiteSpaceIsThePropertyWhole) {
  int n = 0;
  for (uint32_t code = 0; code < 0x110000; ++code) n += char_class(code) == kSpace;
  EXPECT_EQ(n, 25);
  for (const uint32_t space :
       {0x09u, 0x0Du, 0x20u, 0x85u, 0xA0u, 0x1680u, 0x2000u, 0x200Au, 0x2028u, 0x2029u, 0x202Fu, 0x205Fu, 0x3000u}) {
    EXPECT_EQ(char_class(space), kSpace) << space;
  }
}

// UnicodeData.txt and Scripts.txt, 16.0.
TEST(Unicode, CategoriesAndScripts) {
  struct Case {
    uint32_t code, bits;
  };
  for (const Case& c : std::vector<Case>{{'A', kLu},
                                         {'z', kLl},
                                         {0x1C5, kLt},
                                         {0x2B0, kLm},
                                         {0x5D0, kLo},
                                         {0x301, kMn},
                                         {0x903, kMc},
                                         {0x20DD, kMe},
                                         {'7', kNd},
                                         {0x2167, kNl},
                                         {0xB2, kNo},
                                         {'_', kPc},
                                         {'-', kPd},
                                         {'(', kPs},
                                         {')', kPe},
                                         {0xAB, kPi},
                                         {0xBB, kPf},
                                         {'!', kPo},
                                         {'+', kSm},
                                         {'$', kSc},
                                         {'^', kSk},
                                         {0xA9, kSo},
                                         {' ', kZs | kWhiteSpace},
                                         {0x2028, kZl | kWhiteSpace},
                                         {0x2029, kZp | kWhiteSpace},
                                         {'\n', kCc | kWhiteSpace},
                                         {0xAD, kCf},
                                         {0xD800, kCs},
                                         {0xE000, kCo},
                                         {0x378, kCn},
                                         {0x4E00, kLo | kHan},
                                         {0x3007, kNl | kHan},
                                         {0x3005, kLm | kHan},
                                         {0x323AF, kLo | kHan},
                                         {0x105C0, kLo},
                                         {0x10FFFF, kCn},
                                         {kInvalidByte, 0}}) {
    EXPECT_EQ(char_bits(c.code), c.bits) << c.code;
  }
  EXPECT_EQ(script_of(0x4E00), find_script("han"));
  EXPECT_EQ(script_of(0xE01), find_script("thai"));
  EXPECT_EQ(script_of('a'), find_script("latn"));
  EXPECT_EQ(script_of(0x378), find_script("unknown"));
  EXPECT_EQ(find_script("klingon"), -1);
}

// UnicodeData.txt, SpecialCasing.txt and CaseFolding.txt, 16.0.
TEST(Unicode, Case) {
  EXPECT_EQ(to_lowercase('A'), 'a');
  EXPECT_EQ(to_lowercase('a'), 'a');
  EXPECT_EQ(to_lowercase(0x3A3), 0x3C3u);
  EXPECT_EQ(to_lowercase(0x212A), 'k');
  EXPECT_EQ(to_lowercase(0x1E921), 0x1E943u);
  EXPECT_EQ(to_lowercase(0x10D50), 0x10D70u);
  EXPECT_EQ(to_lowercase(0xA7DC), 0x19Bu);
  EXPECT_EQ(to_lowercase(kInvalidByte), kInvalidByte);
  std::string text;
  append_lowercase(text, 0x130);
  EXPECT_EQ(text, "i\u0307");
  EXPECT_EQ(fold_case('k'), fold_case(0x212A));
  EXPECT_EQ(fold_case('S'), fold_case(0x17F));
  EXPECT_EQ(fold_case(0x3C3), fold_case(0x3C2));
  EXPECT_EQ(fold_case(0x1E9E), fold_case(0xDF));
  EXPECT_NE(fold_case('i'), fold_case(0x130));
  EXPECT_NE(fold_case('i'), fold_case(0x131));
}

TEST(Unicode, DecodesWhatItEncodes) {
  for (uint32_t code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 97) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    const Decoded d = decode_utf8(text, 0);
    ASSERT_EQ(d.code, code);
    ASSERT_EQ(d.length, text.size());
  }
}

TEST(Unicode, IllFormedBytesStandAlone) {
  // Lone continuation, overlong, surrogate, past U+10FFFF, cut short, bytes that never occur.
  for (const std::string_view bad : {"\x80", "\xC0\xAF", "\xC1\x80", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                                     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xF0\x9F\x98", "\xFF"}) {
    const Decoded d = decode_utf8(bad, 0);
    EXPECT_EQ(d.code, kInvalidByte) << bad;
    EXPECT_EQ(d.length, 1u) << bad;
  }
}

TEST(Unicode, StartsOfSequences) {
  const auto start = [](std::string_view text) {
    const Utf8Start s = utf8_start(text, 0);
    return std::pair<uint32_t, bool>(s.length, s.complete);
  };
  using Pair = std::pair<uint32_t, bool>;
  EXPECT_EQ(start("a"), Pair(1, true));
  EXPECT_EQ(start("\xE2\x82\xAC"), Pair(3, true));
  EXPECT_EQ(start("\xE2\x82"), Pair(2, false));
  EXPECT_EQ(start("\xE2\x82z"), Pair(2, false));
  EXPECT_EQ(start("\xF0\x9F\x98z"), Pair(3, false));
  EXPECT_EQ(start("\xE0\x80"), Pair(1, false));
  EXPECT_EQ(start("\x80"), Pair(0, false));
  EXPECT_EQ(start("\xC0\x80"), Pair(0, false));
}

}  // namespace
}  // namespace godwit
