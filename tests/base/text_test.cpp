#include "base/text.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/error.h"

namespace godwit {
namespace {

TEST(Text, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("saturday", "sunday"), 3u);
  EXPECT_EQ(edit_distance("--thread", "--threads"), 1u);
}

TEST(Text, ClosestSuggestsOnlyNearWords) {
  const std::array<std::string_view, 4> words = {"--threads", "--temp", "--top-k", "--top-p"};
  EXPECT_EQ(closest("--thread", words), "--threads");
  EXPECT_EQ(closest("--tpo-k", words), "--top-k");
  EXPECT_EQ(closest("--top-x", words), "--top-k");  // the first of equals
  EXPECT_EQ(closest("--temp", words), "--temp");
  EXPECT_EQ(closest("--greedy", words), "");
  EXPECT_EQ(closest(std::string(100000, '-'), words), "");
  EXPECT_EQ(closest("x", std::array<std::string_view, 1>{"y"}), "");
  EXPECT_EQ(closest("anything", {}), "");
}

TEST(Text, ParseSize) {
  constexpr uint64_t kGiB = uint64_t{1} << 30;
  EXPECT_EQ(parse_size("4096"), 4096u);
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("17 B"), 17u);
  for (const char* text : {"8GiB", "8Gi", "8G", "8g", "8gib", " 8 GiB "}) EXPECT_EQ(parse_size(text), 8 * kGiB) << text;
  EXPECT_EQ(parse_size("1.5GiB"), kGiB + kGiB / 2);
  EXPECT_EQ(parse_size("0.1K"), 102u);
  EXPECT_EQ(parse_size("512Mi"), uint64_t{512} << 20);
  EXPECT_EQ(parse_size("500kB"), 500000u);
  EXPECT_EQ(parse_size("8GB"), 8000000000u);
  EXPECT_EQ(parse_size("1.3kB"), 1300u);
  EXPECT_EQ(parse_size("2T"), uint64_t{2} << 40);
  EXPECT_EQ(parse_size("1P"), uint64_t{1} << 50);
  EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_size("1.99999999999999999999999999G"), 2 * kGiB - 1);
}

TEST(Text, ParseSizeRefuses) {
  for (const char* text : {"", " ", "G", "-1", "+1", "8X", "8GG", "8Gx", "1..5G", "1.G", ".5G", "1.5", "1e3", "0x10",
                           "8 G B", "nan", "18446744073709551616", "99999999999999999999999", "20000P"}) {
    try {
      parse_size(text);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(e.what()).find(quoted(text)), std::string::npos) << e.what();
    }
  }
}

TEST(Text, InvalidUtf8IsFoundWhereItBegins) {
  constexpr size_t kNone = std::string_view::npos;
  EXPECT_EQ(find_invalid_utf8(""), kNone);
  EXPECT_EQ(find_invalid_utf8("plain"), kNone);
  EXPECT_EQ(
      find_invalid_utf8("\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF"),
      kNone);
  EXPECT_EQ(find_invalid_utf8("ab\x80"), 2u);
  EXPECT_EQ(find_invalid_utf8("a\xC1\xBF"), 1u);         // overlong
  EXPECT_EQ(find_invalid_utf8("\xE0\x9F\xBF"), 0u);      // overlong
  EXPECT_EQ(find_invalid_utf8("abc\xED\xA0\x80"), 3u);   // surrogate
  EXPECT_EQ(find_invalid_utf8("\xF0\x8F\xBF\xBF"), 0u);  // overlong
  EXPECT_EQ(find_invalid_utf8("\xF4\x90\x80\x80"), 0u);  // over U+10FFFF
  EXPECT_EQ(find_invalid_utf8("\xF5\x80\x80\x80"), 0u);
  EXPECT_EQ(find_invalid_utf8("x\xE2\x82"), 1u);  // cut
  EXPECT_EQ(find_invalid_utf8("x\xE2\x82y"), 1u);
}

TEST(Text, InvalidUtf8AfterARunOfAscii) {
  for (size_t n = 0; n < 40; ++n) {
    EXPECT_EQ(find_invalid_utf8(std::string(n, 'a') + "\xFF" + std::string(20, 'b')), n);
    EXPECT_EQ(find_invalid_utf8(std::string(n, 'a') + "\xC3\xA9" + std::string(n, 'b')), std::string_view::npos);
  }
}

TEST(Text, FindDuplicate) {
  constexpr size_t kNone = std::string_view::npos;
  const auto find = [](std::vector<std::string_view> texts) { return find_duplicate(texts); };
  EXPECT_EQ(find({}), kNone);
  EXPECT_EQ(find({"a"}), kNone);
  EXPECT_EQ(find({"a", "b", "ab", ""}), kNone);
  EXPECT_EQ(find({"a", "b", "a"}), 2u);
  EXPECT_EQ(find({"c", "b", "a", "b", "a", "c"}), 3u);
  EXPECT_EQ(find({"", "x", ""}), 2u);
  EXPECT_EQ(find({"x", "x", "x"}), 1u);
}

TEST(Text, QuotedIsOneValidLine) {
  EXPECT_EQ(quoted("blk.0.attn_q.weight"), "\"blk.0.attn_q.weight\"");
  EXPECT_EQ(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\n\"");
  EXPECT_EQ(quoted(std::string_view("\0\x1B[31m\x7F", 7)), "\"\\x00\\x1b[31m\\x7f\"");
  EXPECT_EQ(quoted("caf\xC3\xA9 \xE6\x97\xA5"), "\"caf\xC3\xA9 \xE6\x97\xA5\"");
  EXPECT_EQ(quoted("\xFF\xC3("), "\"\\xff\\xc3(\"");
  EXPECT_EQ(quoted("a\xE2\x80\xAE"
                   "b"),
            "\"a\\xe2\\x80\\xae"
            "b\"");  // right-to-left override
  EXPECT_EQ(quoted("abcdef", 3), "\"abc...\"");
  EXPECT_EQ(quoted("ab\xC3\xA9", 3), "\"ab...\"");  // no sequence is cut
  EXPECT_EQ(quoted("ab\n", 3), "\"ab...\"");
  std::string all;
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b) all += {static_cast<char>(a), static_cast<char>(b)};
  const std::string safe = quoted(all, SIZE_MAX / 2);
  EXPECT_EQ(find_invalid_utf8(safe), std::string_view::npos);
  EXPECT_EQ(safe.find('\n'), std::string::npos);
}

TEST(Printable, NamesStayPlain) {
  EXPECT_EQ(printable("blk.0.attn_q.weight"), "blk.0.attn_q.weight");
  EXPECT_EQ(printable("a\n\xFF\""), "a\\n\\xff\\\"");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
}

TEST(Printable, PathsKeepTheirEnd) {
  EXPECT_EQ(printable_path("/a/b.gguf"), "/a/b.gguf");
  EXPECT_EQ(printable_path("/folder/b.gguf", 6), "...b.gguf");
  EXPECT_EQ(printable_path("/folder/\xC3\xA9.gguf", 6), "....gguf");  // no half character
  EXPECT_EQ(printable_path("aaaaaaaa\xFF", 6), "...aa\\xff");
  EXPECT_EQ(printable_path(std::string(200, '\xFF') + "x", 9), "...\\xff\\xffx");
  EXPECT_EQ(printable_path(""), "");
}

}  // namespace
}  // namespace godwit
