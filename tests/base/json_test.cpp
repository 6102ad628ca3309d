#include "base/json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

/// The message of the Error that parsing throws; empty when it throws none.
std::string error_of(std::string_view text, size_t max_depth = kJsonFileDepth) {
  try {
    parse_json(text, "file.json", max_depth);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid);
    const std::string message = e.what();
    EXPECT_EQ(message.rfind("file.json: byte ", 0), 0u) << message;
    EXPECT_LE(message.size(), 512u);
    EXPECT_EQ(find_invalid_utf8(message), std::string_view::npos);
    return message;
  }
  return "";
}

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Json, ValuesKeepTheirKindAndOrder) {
  const Json j = parse_json(
      R"( {"z":1,"a":-2,"r":1e3,"big":18446744073709551615,"s":"\u00e9\ud83d\ude00","l":[true,null,[],{}]} )", "x");
  ASSERT_EQ(j.size(), 6u);
  EXPECT_EQ(j.begin().key(), "z");
  EXPECT_TRUE(j["z"].is_number_unsigned());
  EXPECT_EQ(j["a"].get<int64_t>(), -2);
  EXPECT_TRUE(j["r"].is_number_float());
  EXPECT_EQ(j["r"].get<double>(), 1000.0);
  EXPECT_EQ(j["big"].get<uint64_t>(), UINT64_MAX);
  EXPECT_EQ(j["s"].get<std::string>(), "\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(j["l"].dump(), "[true,null,[],{}]");
  EXPECT_EQ(parse_json("7", "x").get<int>(), 7);
  EXPECT_TRUE(parse_json("18446744073709551616", "x").is_number_float());
  EXPECT_TRUE(parse_json("-0", "x").is_number_float());
  EXPECT_TRUE(parse_json("\xEF\xBB\xBF{}", "x").is_object());
}

TEST(Json, SyntaxErrorsNameTheByte) {
  EXPECT_NE(error_of("").find("byte 0: invalid JSON: the text ends too early"), std::string::npos);
  EXPECT_NE(error_of("{\"a\": nul}").find("byte 9: invalid JSON: unexpected \"}\""), std::string::npos)
      << error_of("{\"a\": nul}");
  EXPECT_NE(error_of("{} x").find("byte 3"), std::string::npos);
  EXPECT_NE(error_of("[1,]").find("byte 3"), std::string::npos);
  for (const char* text : {"{",        "[1",    "{\"a\"", "{\"a\":",     "\"abc", "{\"a\":1,}", "[1 2]",   "NaN",
                           "Infinity", "01",    "1.",     ".5",          "+1",    "'a'",        "// c\n1", "\"\\x\"",
                           "\"\t\"",   "{1:2}", "tru",    "{\"a\":1}{}", "1e",    "\"\\u12\"",  "[,]",     "-"})
    EXPECT_NE(error_of(text), "") << text;
}

TEST(Json, UnpairedSurrogatesAreRefused) {
  EXPECT_NE(error_of("\"\\ud800\""), "");
  EXPECT_NE(error_of("\"\\ud800x\""), "");
  EXPECT_NE(error_of("\"\\udc00\""), "");
}

TEST(Json, InvalidUtf8NamesTheByte) {
  EXPECT_NE(error_of("{\"a\": \"b\xFF\"}").find("byte 8: invalid UTF-8 (0xff)"), std::string::npos);
  EXPECT_NE(error_of("\"\xC0\x80\"").find("byte 1: invalid UTF-8"), std::string::npos);
  EXPECT_NE(error_of("{}\xFF").find("byte 2"), std::string::npos);
}

TEST(Json, NulDoesNotEndTheText) {
  EXPECT_NE(error_of(std::string_view("{}\0{}", 5)).find("byte 2: NUL"), std::string::npos);
  EXPECT_NE(error_of(std::string_view("\0", 1)), "");
  EXPECT_EQ(parse_json("\"\\u0000\"", "x").get<std::string>(), std::string(1, '\0'));
}

TEST(Json, DuplicateKeysAreRefusedAtAnyDepth) {
  EXPECT_NE(error_of(R"({"a":1,"b":2,"a":3})").find("byte 16: duplicate key \"a\""), std::string::npos)
      << error_of(R"({"a":1,"b":2,"a":3})");
  EXPECT_NE(error_of(R"({"x":[{"a":{},"\u0061":1}]})").find("duplicate key \"a\""), std::string::npos);
  EXPECT_EQ(error_of(R"({"a":{"a":1},"b":{"a":1}})"), "");
}

TEST(Json, DepthIsCountedNotRecursed) {
  EXPECT_EQ(error_of(nested(128)), "");
  EXPECT_NE(error_of(nested(129)).find("byte 129: JSON nested deeper than 128"), std::string::npos)
      << error_of(nested(129));
  EXPECT_NE(error_of(nested(10'000'000)), "");
  EXPECT_NE(error_of(std::string(10'000'000, '[')), "");
  EXPECT_NE(error_of("{\"a\":{\"a\":[]}}", 2), "");
  EXPECT_EQ(error_of("{\"a\":{\"a\":[]}}", 3), "");
  std::string objects;
  for (int i = 0; i < 200; ++i) objects += "{\"rope_scaling\":";
  EXPECT_NE(error_of(objects).find("nested deeper"), std::string::npos);
}

TEST(Json, NumbersOutsideDoubleAreRefused) {
  EXPECT_NE(error_of("[1e999]").find("outside the range of double"), std::string::npos);
  EXPECT_NE(error_of("-1e999"), "");
  EXPECT_EQ(error_of("1e-999"), "");
}

TEST(Json, TokensHaveALimit) {
  const std::string limit(kJsonTokenBytes, '1');
  EXPECT_EQ(error_of("[\"" + limit + "\"]"), "");
  EXPECT_NE(error_of("[\"" + limit + "1\"]").find("byte 2: a string, number or run of spaces"), std::string::npos);
  EXPECT_NE(error_of("[" + std::string(kJsonTokenBytes + 2, ' ') + "]"), "");
  EXPECT_NE(error_of("[0." + limit + "]"), "");
  EXPECT_NE(error_of("\"" + limit + limit), "");
  // Escapes are skipped, so a quote in a string does not end it.
  EXPECT_NE(error_of("[\"" + limit.substr(0, limit.size() / 2) + "\\\"" + limit + "\"]"), "");
}

TEST(Json, LargeObjectsTakeLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) text += fmt::format("\"token{}\":{},", i, i);
  text.back() = '}';
  EXPECT_EQ(parse_json(text, "x").size(), 300'000u);
  text.back() = ',';
  EXPECT_NE(error_of(text + "\"token0\":1}").find("duplicate key \"token0\""), std::string::npos);
}

TEST(Json, MessagesStayShortAndSafe) {
  EXPECT_NE(error_of("[" + std::string(100000, 'x')), "");
  EXPECT_NE(error_of("{\"" + std::string(100000, 'k') + "\":1,\"" + std::string(100000, 'k') + "\":1}"), "");
  EXPECT_NE(error_of("[\"a\"\x1b[31m"), "");
}

TEST(Json, EveryTruncationOfAValidTextIsAnError) {
  const std::string text = R"({"a":[1,-2,3.5e1,"x\n\u0041",true,false,null,{"b":{}}]})";
  ASSERT_EQ(error_of(text), "");
  for (size_t n = 0; n < text.size(); ++n) EXPECT_NE(error_of(text.substr(0, n)), "") << n;
}

TEST(Json, DumpReplacesInvalidUtf8) {
  EXPECT_EQ(dump_json(Json("a\xFF")), "\"a\xEF\xBF\xBD\"");
  EXPECT_EQ(dump_json(parse_json(R"({"b":1,"a":[1,2]})", "x")), R"({"b":1,"a":[1,2]})");
}

}  // namespace
}  // namespace godwit
