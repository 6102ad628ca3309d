// Files that lie: tokenizer.json as nobody should write it. Each gives an error that says where, or the right ids, in
// little time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer_json.h"
#include "text/vocabularies.h"

namespace godwit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kGood = R"({
  "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
  "normalizer": {"type": "Lowercase"},
  "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a+"}, "behavior": "Isolated", "invert": false},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}},
  "decoder": {"type": "Fuse"},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "##b": 3}, "merges": [["a", "b"]]}})";

/// What reading says, an error or why not; then text is encoded, if it can be. All within a second (more with
/// sanitizers, which are some ten times slower).
std::string outcome(const std::string& json, const std::string& text = "ab") {
  const auto start = std::chrono::steady_clock::now();
  std::string said;
  try {
    HfTokenizerFiles files;
    files.source = "test";
    files.tokenizer = json;
    const Vocabulary v = vocabulary_from_hf(files);
    std::string why_not;
    const auto t = make_tokenizer(v, why_not);
    if (t != nullptr) t->decode(t->encode(text));
    said = why_not;
  } catch (const Error& error) {
    said = error.what();
    EXPECT_LE(said.size(), 512u);
    EXPECT_NE(said, "");
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
#ifdef GODWIT_SANITIZED
  EXPECT_LT(took.count(), 20) << said;
#else
  EXPECT_LT(took.count(), 4) << said;  // 1 s on a machine that does nothing else
#endif
  return said;
}

std::string with(const char* pointer, const Json& value, const std::string& text = "ab") {
  Json file = parse_json(kGood, "test");
  file[Json::json_pointer(pointer)] = value;
  return outcome(dump_json(file), text);
}

TEST(HostileTokenizer, TheGoodFile) {
  EXPECT_EQ(outcome(kGood), "");
  HfTokenizerFiles files;
  files.tokenizer = kGood;
  EXPECT_THAT(testing::tokenizer_of(vocabulary_from_hf(files))->encode("ABbaab"), ElementsAre(4, 0, 1, 1, 0, 0, 1));
}

TEST(HostileTokenizer, Merges) {
  const std::string longest(60000, 'a');
  EXPECT_THAT(with("/model/merges/0", Json::array({longest, "b"})), HasSubstr("is no token"));  // K01
  EXPECT_THAT(with("/model/merges/0", Json::array({longest, longest})), HasSubstr("longer"));
  EXPECT_THAT(with("/model/continuing_subword_prefix", "#########"), HasSubstr("no longer than"));  // K02
  EXPECT_THAT(with("/model/continuing_subword_prefix", "b"), HasSubstr("no longer than"));
}

TEST(HostileTokenizer, Ids) {
  EXPECT_THAT(with("/model/vocab/ab", 2147483647), HasSubstr("2147483647"));  // K03
  EXPECT_THAT(with("/model/vocab/ab", -1), HasSubstr("-1"));                  // K04
  EXPECT_THAT(with("/model/vocab/ab", 0), HasSubstr("id 0 is both"));         // K05
  EXPECT_THAT(with("/model/vocab/ab", 77), HasSubstr("no gaps"));             // K06
  EXPECT_THAT(with("/model/vocab/ab", 2000000), HasSubstr("no gaps"));
  EXPECT_THAT(with("/model/vocab/ab", "2"), HasSubstr("id"));
}

TEST(HostileTokenizer, Expressions) {
  const std::string as(200000, 'a');
  for (const char* pattern : {"(a+)+", "(.*)*", "(a+)+$", "(a|a)*b", "(a*)*b", "((a*)*)*b"}) {  // K07
    EXPECT_EQ(with("/pre_tokenizer/pattern/Regex", pattern, as), "") << pattern;
    EXPECT_EQ(with("/normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", pattern}}}, {"content", "b"}}, as), "");
  }
  EXPECT_THAT(with("/pre_tokenizer/pattern/Regex", R"((a)\1)"), HasSubstr("back-reference"));
  EXPECT_THAT(with("/pre_tokenizer/pattern/Regex", "(?<=a)b"), HasSubstr("look-behind"));
  EXPECT_NE(with("/pre_tokenizer/pattern/Regex", "(((a{1000}){1000}){1000}){1000}"), "");
  EXPECT_NE(with("/pre_tokenizer/pattern/Regex", std::string(100000, '(')), "");
  EXPECT_NE(with("/pre_tokenizer/pattern/Regex", "[a"), "");
  EXPECT_THAT(with("/pre_tokenizer/pattern", {{"String", ""}}), HasSubstr("empty"));
}

TEST(HostileTokenizer, Normalizers) {
  const auto replace = [](const char* what, const std::string& content) {
    return Json{{"type", "Replace"}, {"pattern", {{"String", what}}}, {"content", content}};
  };
  EXPECT_THAT(with("/normalizer", replace("", "b")), HasSubstr("empty"));  // K08
  Json chain = Json::array();
  for (int i = 0; i < 10000; ++i) chain.push_back(replace("a", "aa"));  // K09
  EXPECT_THAT(with("/normalizer", {{"type", "Sequence"}, {"normalizers", chain}}), HasSubstr("steps"));
  chain.erase(chain.begin() + 60, chain.end());  // 2^60 letters
  EXPECT_NE(with("/normalizer", {{"type", "Sequence"}, {"normalizers", chain}}, "aaaa"), "");
  Json nested = replace("a", "b");
  for (int i = 0; i < 40; ++i) nested = {{"type", "Sequence"}, {"normalizers", Json::array({nested})}};
  EXPECT_EQ(with("/normalizer", nested), "");
  for (const char* map : {"AAAA", "AAEAAA==", "////////", "*"}) {  // K10
    EXPECT_NE(with("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", map}}), "") << map;
  }
}

TEST(HostileTokenizer, FramesLimitsAndAddedTokens) {
  EXPECT_THAT(with("/post_processor/single/0/SpecialToken/id", "<none>"), HasSubstr("<none>"));  // K11
  EXPECT_THAT(with("/post_processor/special_tokens/<s>/ids/0", 5), HasSubstr("no token"));
  EXPECT_THAT(with("/post_processor/special_tokens/<s>/ids", Json::array()), HasSubstr("ids"));
  EXPECT_THAT(with("/truncation", {{"max_length", 8}, {"stride", 8}}), HasSubstr("stride"));  // K12
  EXPECT_EQ(with("/truncation", {{"max_length", 8}, {"stride", 2}}), "");
  EXPECT_THAT(with("/added_tokens/0/content", ""), HasSubstr("without content"));              // K13
  EXPECT_THAT(with("/added_tokens/0", {{"id", 4}, {"content", "ab"}}), HasSubstr("has ids"));  // K14
  Json same = {{"id", 2}, {"content", "ab"}, {"normalized", false}};
  EXPECT_THAT(with("/added_tokens/0", same), HasSubstr("no token"));  // then nothing has id 4, which the frame names
  std::string surrogate = kGood;
  surrogate.replace(surrogate.find("\"ab\""), 4, R"("\ud800")");  // K15
  EXPECT_NE(outcome(surrogate), "");
}

TEST(HostileTokenizer, StagesThatAreNone) {
  for (const char* stage : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    for (const Json& value :
         {Json(1), Json("x"), Json::array(), Json::object(), Json{{"type", 1}}, Json{{"type", "X"}}}) {
      EXPECT_NE(with((std::string("/") + stage).c_str(), value), "") << stage << " " << dump_json(value);
    }
  }
  EXPECT_NE(with("/model/vocab", Json::array()), "");
  EXPECT_NE(with("/model/type", "Unigram"), "");
  EXPECT_NE(with("/pre_tokenizer", {{"type", "FixedLength"}, {"length", 0}}), "");
  EXPECT_NE(with("/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "ab"}}), "");
  EXPECT_NE(with("/pre_tokenizer", {{"type", "CharDelimiterSplit"}, {"delimiter", ""}}), "");
}

}  // namespace
}  // namespace godwit
