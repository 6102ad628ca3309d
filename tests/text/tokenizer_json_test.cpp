#include "text/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/base64.h"
#include "text/vocabularies.h"

namespace godwit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

Vocabulary read(const Json& tokenizer) {
  HfTokenizerFiles files;
  files.source = "test";
  files.tokenizer = dump_json(tokenizer);
  return vocabulary_from_hf(files);
}

std::string refusal(const HfTokenizerFiles& files) {
  try {
    vocabulary_from_hf(files);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalid);
    EXPECT_LE(std::string(error.what()).size(), 512u);
    return error.what();
  }
  return "";
}

std::string refusal(const Json& tokenizer) {
  HfTokenizerFiles files;
  files.source = "test";
  files.tokenizer = dump_json(tokenizer);
  return refusal(files);
}

class SavedByTheLibrary : public ::testing::TestWithParam<const char*> {};

TEST_P(SavedByTheLibrary, GivesTheLibrarysIds) {
  const std::string path = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tokenizers/" + GetParam() + ".json";
  const Json golden = parse_json(read_text(path, 1 << 20), path);
  const Vocabulary v = read(golden.at("tokenizer"));
  ASSERT_EQ(v.unsupported, "");
  const auto t = testing::tokenizer_of(v);
  const auto again = testing::tokenizer_of(vocabulary_from_hf(hf_from_vocabulary(v)));
  for (const Json& c : golden.at("cases")) {
    const std::string text = testing::from_base64(c.at("text").get<std::string>());
    EXPECT_EQ(t->encode(text), c.at("ids").get<Ids>()) << text;
    EXPECT_EQ(again->encode(text), c.at("ids").get<Ids>()) << text;
  }
  EXPECT_GT(golden.at("cases").size(), 70u);
}

INSTANTIATE_TEST_SUITE_P(All, SavedByTheLibrary, ::testing::Values("gpt2", "smollm", "llama3", "qwen2"));

/// As Gemma's file: characters, U+2581 for spaces, byte fallback. "ab" is the better merge.
Json scored_file() {
  return parse_json(R"({
    "added_tokens": [
      {"id": 0, "content": "<unk>", "special": true, "normalized": false},
      {"id": 1, "content": "<bos>", "special": true, "normalized": false},
      {"id": 8, "content": "▁▁", "special": false, "normalized": false}],
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<bos>": {"id": "<bos>", "ids": [1], "tokens": ["<bos>"]}}},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
      "vocab": {"<unk>": 0, "<bos>": 1, "<0xC3>": 2, "<0xA9>": 3, "a": 4, "b": 5, "▁": 6, "ab": 7, "▁a": 9, "▁ab": 10},
      "merges": [["a", "b"], ["▁", "a"], "▁ ab", "▁a b"]}})",
                    "test");
}

TEST(TokenizerJson, CharactersWithByteFallback) {
  const Vocabulary v = read(scored_file());
  ASSERT_EQ(v.unsupported, "");
  EXPECT_EQ(v.model, "llama");
  EXPECT_FALSE(v.add_space_prefix);
  EXPECT_TRUE(v.add_bos);
  EXPECT_EQ(v.bos, 1);
  EXPECT_EQ(v.unk, 0);
  EXPECT_EQ(v.types[2], kTokenByte);
  EXPECT_EQ(v.tokens[8], "  ");
  EXPECT_TRUE(v.scores[7] > v.scores[9] && v.scores[9] > v.scores[10]);
  const auto t = testing::tokenizer_of(v);
  EXPECT_THAT(t->encode("ab ab  a\u00E9"), ElementsAre(1, 7, 10, 6, 9, 2, 3));
  EXPECT_THAT(t->encode("b a\xFF\xFF"), ElementsAre(1, 5, 9, 0));
  EXPECT_THAT(t->encode("\u2581\u2581"), ElementsAre(1, 8));  // looked for in the text as it is
}

TEST(TokenizerJson, SpacePrefix) {
  Json file = scored_file();
  file["normalizer"] = parse_json(
      R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},
          {"type":"Replace","pattern":{"String":" "},"content":"▁"}]})",
      "test");
  file["pre_tokenizer"] = nullptr;
  EXPECT_TRUE(read(file).add_space_prefix);
  file["normalizer"] = nullptr;
  EXPECT_THAT(testing::tokenizer_of(read(file))->encode("a a"), ElementsAre(1, 4, 0, 4));  // nothing makes U+2581
  file["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "first"}, {"split", false}};
  EXPECT_TRUE(read(file).add_space_prefix);
  file["pre_tokenizer"]["prepend_scheme"] = "never";
  EXPECT_FALSE(read(file).add_space_prefix);
}

TEST(TokenizerJson, MergesByTheirOrder) {
  Json file = scored_file();
  file["model"]["merges"].erase(3);  // one of two ways to make a token
  EXPECT_THAT(testing::tokenizer_of(read(file))->encode("ab ab a"), ElementsAre(1, 7, 10, 9));
  file["model"]["merges"] = parse_json(R"(["▁a b", "▁ a", "a b"])", "test");
  EXPECT_THAT(testing::tokenizer_of(read(file))->encode("ab ab a"), ElementsAre(1, 7, 10, 9));
  file["model"]["merges"] = parse_json(R"(["a b", "▁ a"])", "test");
  EXPECT_THAT(testing::tokenizer_of(read(file))->encode("ab ab a"), ElementsAre(1, 7, 6, 7, 9));
}

TEST(TokenizerJson, WrittenAndReadAgain) {
  std::mt19937 random(31);
  for (const bool prefix : {false, true}) {
    Vocabulary v = testing::scored_vocabulary({"ab", "\u2581a", "\u2581ab", "abab", "a", "b", "\u2581"}, prefix);
    v.tokens.push_back("\n\n"), v.scores.push_back(0), v.types.push_back(kTokenUserDefined);
    v.eot = v.pad = 2;
    v.more_stops = {264};
    v.chat_template = "{{ messages }}";
    const Vocabulary back = vocabulary_from_hf(hf_from_vocabulary(v));
    ASSERT_EQ(back.unsupported, "");
    EXPECT_EQ(back.tokens, v.tokens);
    EXPECT_EQ(back.types, v.types);
    EXPECT_EQ(back.bos, 1);
    EXPECT_EQ(back.eos, 2);
    EXPECT_EQ(back.pad, 2);
    EXPECT_EQ(back.unk, 0);
    EXPECT_EQ(back.add_space_prefix, prefix);
    EXPECT_THAT(back.more_stops, ElementsAre(2, 264));
    EXPECT_EQ(back.chat_template, v.chat_template);
    const auto a = testing::tokenizer_of(v), b = testing::tokenizer_of(back);
    EXPECT_EQ(a->stop_ids(), b->stop_ids());
    for (int i = 0; i < 500; ++i) {
      const std::string text = testing::random_bytes(random, 30, {"a", "b", " ", "ab", "\n", "\u00E9", "</s>"});
      ASSERT_EQ(a->encode(text), b->encode(text)) << text;
    }
  }
}

TEST(TokenizerJson, EqualAndEmptyTokensGetNames) {
  Vocabulary v = testing::byte_level_vocabulary({.merges = {{"a", "b"}}});
  for (const char* token : {"ab", "", "[UNUSED_256]"}) v.tokens.push_back(token), v.types.push_back(kTokenNormal);
  const Vocabulary back = vocabulary_from_hf(hf_from_vocabulary(v));
  EXPECT_EQ(back.tokens.size(), v.tokens.size());
  EXPECT_THAT(testing::tokenizer_of(back)->encode("ab"), ElementsAre(257));
}

TEST(TokenizerJson, WhatIsNotDoneHereIsSaid) {
  const Vocabulary plain = testing::byte_level_vocabulary({.merges = {{"a", "b"}}});
  const Json good = parse_json(hf_from_vocabulary(plain).tokenizer, "test");
  const auto with = [&](const char* pointer, const Json& value) {
    Json file = good;
    file[Json::json_pointer(pointer)] = value;
    return read(file).unsupported;
  };
  EXPECT_EQ(with("/version", "1.0"), "");
  EXPECT_THAT(with("/model/type", "Bigram"), HasSubstr("Bigram"));
  EXPECT_THAT(with("/model/dropout", 0.1), HasSubstr("dropout"));
  EXPECT_THAT(with("/normalizer", {{"type", "Reverse"}}), HasSubstr("Reverse"));
  EXPECT_THAT(with("/pre_tokenizer", {{"type", "UnicodeScripts"}}), HasSubstr("UnicodeScripts"));
  EXPECT_THAT(with("/pre_tokenizer/pretokenizers/0/pattern/Regex", R"((a)\1)"), HasSubstr("back-reference"));
  EXPECT_THAT(with("/post_processor", {{"type", "Frame"}}), HasSubstr("Frame"));
  for (const char* done : {R"({"type": "Lowercase"})", R"({"type": "NFC"})"}) {
    EXPECT_EQ(with("/normalizer", parse_json(done, "test")), "");
  }
  EXPECT_EQ(with("/pre_tokenizer", nullptr), "");
  EXPECT_EQ(with("/pre_tokenizer", {{"type", "Whitespace"}}), "");
  EXPECT_EQ(with("/pre_tokenizer/pretokenizers/0/pattern/Regex", "(a+)+"), "");
  EXPECT_EQ(with("/pre_tokenizer/pretokenizers/0/behavior", "Removed"), "");
  EXPECT_EQ(with("/model/end_of_word_suffix", "</w>"), "");
  EXPECT_EQ(with("/model/ignore_merges", true), "");
  Json other = good;
  other["normalizer"] = {{"type", "Lowercase"}};
  other["decoder"] = {{"type", "CTC"}};
  EXPECT_THAT(read(other).unsupported, HasSubstr("CTC"));
  std::string why_not;
  EXPECT_EQ(make_tokenizer(read(other), why_not), nullptr);
  EXPECT_THAT(why_not, HasSubstr("CTC"));
}

TEST(TokenizerJson, RefusesWhatContradictsItself) {
  EXPECT_EQ(refusal(scored_file()), "");
  const auto with = [](const char* pointer, const Json& value) {
    Json file = scored_file();
    file[Json::json_pointer(pointer)] = value;
    return refusal(file);
  };
  EXPECT_THAT(with("/model", nullptr), HasSubstr("model"));
  EXPECT_THAT(with("/model/vocab", Json::array()), HasSubstr("model.vocab"));
  EXPECT_THAT(with("/model/merges", Json::object()), HasSubstr("model.merges"));
  EXPECT_THAT(with("/model/merges/0", "a nothing"), HasSubstr("is no token"));
  EXPECT_THAT(with("/model/merges/0", "ab"), HasSubstr("two pieces"));
  EXPECT_THAT(with("/model/merges/0", "a b c"), HasSubstr("two pieces"));
  EXPECT_THAT(with("/model/merges/0", std::string(70000, 'a') + " b"), HasSubstr("longer than any token"));
  EXPECT_THAT(with("/model/vocab/ab", 2147483647), HasSubstr("2147483647"));
  EXPECT_THAT(with("/model/vocab/ab", -1), HasSubstr("-1"));
  EXPECT_THAT(with("/model/vocab/ab", 1.5), HasSubstr("1.5"));
  EXPECT_THAT(with("/model/vocab/ab", 4), HasSubstr("id 4 is both"));
  EXPECT_THAT(with("/model/vocab/ab", 40), HasSubstr("no gaps"));
  EXPECT_THAT(with("/model/unk_token", "<none>"), HasSubstr("unk_token"));
  EXPECT_THAT(with("/model/byte_fallback", 1), HasSubstr("byte_fallback"));
  EXPECT_THAT(with("/added_tokens/0/content", ""), HasSubstr("without content"));
  EXPECT_THAT(with("/added_tokens/0/id", 4), HasSubstr("added_tokens"));
  EXPECT_THAT(with("/added_tokens/0/content", "ab"), HasSubstr("has ids 7 and 0"));
  EXPECT_THAT(with("/post_processor/special_tokens", Json::object()), HasSubstr("post_processor"));
  EXPECT_THAT(with("/post_processor/special_tokens/<bos>/ids/0", 11), HasSubstr("post_processor"));
  HfTokenizerFiles files;
  files.tokenizer = R"({"model": {"type": "BPE", "vocab": {"\ud800": 0}, "merges": []}})";
  EXPECT_NE(refusal(files), "");
  files.tokenizer = std::string(200, '[');
  EXPECT_NE(refusal(files), "");
}

TEST(TokenizerJson, LongChains) {
  Json file = scored_file();
  Json steps = Json::array();
  for (int i = 0; i < 10000; ++i) steps.push_back(file["normalizer"]);
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  EXPECT_THAT(refusal(file), HasSubstr("steps"));
}

TEST(TokenizerJson, SideFiles) {
  HfTokenizerFiles files;
  EXPECT_EQ(vocabulary_from_hf(files).model, "none");
  files.tokenizer = dump_json(scored_file());
  files.config = R"({"bos_token": {"content": "ab"}, "eos_token": "b", "pad_token": null,
                     "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})";
  files.generation = R"({"eos_token_id": [5, 7]})";
  Vocabulary v = vocabulary_from_hf(files);
  EXPECT_EQ(v.bos, 1);  // the post-processor's
  EXPECT_EQ(v.eos, 5);
  EXPECT_FALSE(v.pad.has_value());
  EXPECT_EQ(v.chat_template, "D");
  EXPECT_THAT(v.more_stops, ElementsAre(5, 7));
  files.chat_template = "J";
  files.generation = R"({"eos_token_id": 7})";
  v = vocabulary_from_hf(files);
  EXPECT_EQ(v.chat_template, "J");
  EXPECT_THAT(v.more_stops, ElementsAre(7));
  files.generation = R"({"eos_token_id": -1})";
  EXPECT_THAT(refusal(files), HasSubstr("eos_token_id"));
  std::string million = R"({"eos_token_id": [0)";
  for (int i = 0; i < 1000000; ++i) million += ",1";
  files.generation = million + "]}";
  EXPECT_THAT(refusal(files), HasSubstr("eos_token_id"));
}

}  // namespace
}  // namespace godwit
