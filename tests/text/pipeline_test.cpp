// Tokenizers made of stages: against what Hugging Face's library gives (tests/oracle/make_tokenizer_json.py), and by
// hand.
#include "text/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "formats/config.h"
#include "text/base64.h"
#include "text/detokenizer.h"
#include "text/tokenizer_json.h"
#include "text/vocabularies.h"

namespace godwit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Vocabulary read_pipeline_file(const std::string& text) {
  HfTokenizerFiles files;
  files.source = "test";
  files.tokenizer = text;
  return vocabulary_from_hf(files);
}

std::string streamed(const Tokenizer& t, const std::vector<int32_t>& ids) {
  Detokenizer stream(t, {.show_special = true, .begins_text = true});
  std::string text;
  for (const int32_t id : ids) text += stream.push(id);
  return text + stream.flush();
}

class Stages : public ::testing::TestWithParam<const char*> {};

TEST_P(Stages, GiveTheLibrarysIdsAndTexts) {
  const std::string path = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tokenizers/" + GetParam() + ".json";
  const Json golden = parse_json(read_text(path, 1 << 20), path);
  const Vocabulary v = read_pipeline_file(dump_json(golden.at("tokenizer")));
  ASSERT_EQ(v.unsupported, "");
  ASSERT_NE(v.pipeline, nullptr);
  const auto t = testing::tokenizer_of(v);
  // Through a GGUF file and back to a folder.
  Config config;
  config.source = "test.gguf";
  vocabulary_to(v, config);
  const Vocabulary stored = vocabulary_from(config);
  const auto from_gguf = testing::tokenizer_of(stored);
  const auto from_folder = testing::tokenizer_of(vocabulary_from_hf(hf_from_vocabulary(stored)));
  size_t n_texts = 0;
  for (const Json& c : golden.at("cases")) {
    const std::string text = testing::from_base64(c.at("text").get<std::string>());
    const auto ids = c.at("ids").get<std::vector<int32_t>>();
    EXPECT_EQ(t->encode(text), ids) << text;
    EXPECT_EQ(from_gguf->encode(text), ids) << text;
    EXPECT_EQ(from_folder->encode(text), ids) << text;
    if (!c.contains("decoded")) continue;
    ++n_texts;
    EXPECT_EQ(t->decode(ids, false), c.at("decoded").get<std::string>()) << text;
    EXPECT_EQ(streamed(*t, ids), c.at("decoded").get<std::string>()) << text;
  }
  EXPECT_GT(n_texts, 70u);
}

INSTANTIATE_TEST_SUITE_P(All, Stages,
                         ::testing::Values("o200k", "tekken", "fallback", "suffix", "unigram", "wordpiece",
                                           "wordlevel"));

/// Words of letters, lower case; "<|x|>" is looked for in the normal form, "[y]" in the text.
std::string lowercase_file() {
  return R"({"added_tokens": [
      {"id": 3, "content": "<|X|>", "special": true, "normalized": true},
      {"id": 4, "content": "[Y]", "special": false, "normalized": false}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"}, {"type": "Lowercase"}]},
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[a-z]+|[^a-z]"}, "behavior": "Isolated", "invert": false},
    "decoder": {"type": "Fuse"},
    "model": {"type": "WordLevel", "vocab": {"?": 0, "a": 1, "_": 2, "x": 5}, "unk_token": "?"}})";
}

TEST(Pipeline, ControlTokensOfTheNormalForm) {
  const auto t = testing::tokenizer_of(read_pipeline_file(lowercase_file()));
  // The token's own normal form is "_<|x|>".
  EXPECT_THAT(t->encode("<|x|>a"), ElementsAre(3, 1));
  EXPECT_THAT(t->encode("a<|X|>"), ElementsAre(2, 1, 0, 0, 5, 0, 0));
  const auto encode = [&](std::string_view text, std::vector<TextRange> plain) {
    return t->encode(text, {.plain = plain});
  };
  EXPECT_THAT(encode("<|X|>A", {{5, 6}}), ElementsAre(3, 1));
  EXPECT_THAT(encode("<|X|>A", {{4, 5}}), ElementsAre(2, 0, 0, 5, 0, 0, 1));
  EXPECT_THAT(encode("<|X|>[Y]", {{0, 8}}), ElementsAre(2, 0, 0, 5, 0, 0, 4));
  EXPECT_THAT(t->encode("<|X|>[Y]", {.special = false}), ElementsAre(2, 0, 0, 5, 0, 0, 4));
}

TEST(Pipeline, ControlTokensAreNeverWords) {
  Json file = parse_json(lowercase_file(), "test");
  file["added_tokens"][0] = {{"id", 5}, {"content", "x"}, {"special", true}, {"normalized", false}};
  file["added_tokens"][1]["id"] = 3;
  file["model"]["vocab"]["b"] = 4;
  const auto t = testing::tokenizer_of(read_pipeline_file(dump_json(file)));
  EXPECT_THAT(t->encode("bxb"), ElementsAre(2, 4, 5, 2, 4));
  EXPECT_THAT(t->encode("x", {.special = false}), ElementsAre(2, 0));
}

TEST(Pipeline, KindsOfGguf) {
  Vocabulary v;
  v.source = "test";
  v.model = "rwkv";
  v.tokens = {"<s>", "a", "ab", R"(\n\xff)", R"(\n)", "\\\\"};
  v.types = {kTokenControl, 1, 1, 1, 1, 1};
  auto t = testing::tokenizer_of(v);
  EXPECT_THAT(t->encode("aab\n\xff\n\\<s>z"), ElementsAre(1, 2, 3, 4, 5, 0));
  EXPECT_EQ(t->decode(std::vector<int32_t>{2, 3}), "ab\n\xff");

  v.model = "bytes";
  v.tokens.clear();
  v.types.clear();
  for (int byte = 0; byte < 256; ++byte)
    v.tokens.push_back(fmt::format("<0x{:02X}>", byte)), v.types.push_back(kTokenByte);
  v.tokens.push_back("<s>"), v.types.push_back(kTokenControl);
  v.bos = 256;
  v.add_bos = true;
  t = testing::tokenizer_of(v);
  EXPECT_THAT(t->encode("a\xff <s>"), ElementsAre(256, 'a', 255, ' ', 256));
  std::mt19937 random(8);
  for (int i = 0; i < 200; ++i) {
    const std::string text = testing::random_bytes(random, 64);
    ASSERT_EQ(t->decode(t->encode(text, {.special = false})), text);
  }

  v = Vocabulary();
  v.source = "test";
  v.model = "bert";
  v.tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581un", "aff", "able", "\u2581,", "\u2581a"};
  v.types = {3, 2, 3, 3, 1, 1, 1, 1, 1};
  v.unk = 1, v.bos = 2, v.sep = 3;
  v.add_bos = v.add_sep = true;
  t = testing::tokenizer_of(v);
  EXPECT_THAT(t->encode("Unaff\u00E1ble, \u00C1"), ElementsAre(2, 4, 5, 6, 7, 8, 3));  // accents go
  EXPECT_THAT(t->encode("UNaffable,a zzz"), ElementsAre(2, 4, 5, 6, 7, 8, 1, 3));
  EXPECT_EQ(t->decode(std::vector<int32_t>{2, 4, 5, 8, 3}), "unaff a");

  v = Vocabulary();
  v.source = "test";
  v.model = "t5";
  v.tokens = {"<pad>", "</s>", "<unk>", "\u2581", "\u2581a", "a", "b", "ab"};
  v.types = {3, 3, 2, 1, 1, 1, 1, 1};
  v.scores = {0, 0, 0, -3, -1, -3, -3, -2};
  v.unk = 2, v.eos = 1;
  v.add_eos = v.add_space_prefix = v.remove_extra_whitespaces = true;
  t = testing::tokenizer_of(v);
  EXPECT_THAT(t->encode(" ab  b zz"), ElementsAre(4, 6, 3, 6, 3, 2, 1));  // -1 -3 is better than -3 -2
  EXPECT_EQ(t->decode(std::vector<int32_t>{4, 6, 3, 6, 1}), "ab b");

  v = Vocabulary();
  v.source = "test";
  v.model = "gemma4";
  v.tokens = {"<bos>", "\n\n", "\n", "\u2581", "a", "\u2581a", "<0xC3>", "<0xA9>"};
  v.types = {3, 1, 1, 1, 1, 1, 6, 6};
  v.merges = {"\u2581 a"};
  t = testing::tokenizer_of(v);
  EXPECT_THAT(t->encode("a a\n\n\u00E9\n\n\n"), ElementsAre(4, 5, 1, 6, 7, 2, 2, 2));
  EXPECT_EQ(t->decode(std::vector<int32_t>{4, 5, 1, 6, 7}), "a a\n\n\u00E9");
}

TEST(Pipeline, StopIdsGoThroughGguf) {
  Vocabulary v = testing::byte_level_vocabulary({.merges = {}, .control = {"<a>", "<b>", "<c>"}});
  v.eos = 256;
  v.more_stops = {256, 257, 258};
  Config config;
  vocabulary_to(v, config);
  EXPECT_EQ(testing::tokenizer_of(vocabulary_from(config))->stop_ids(), testing::tokenizer_of(v)->stop_ids());
}

}  // namespace
}  // namespace godwit
