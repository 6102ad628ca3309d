// Who may write which token, and what becomes of long steps: a user's text, added tokens, prefixes, decoders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/vocabularies.h"

namespace godwit {
namespace {

using testing::byte_level_vocabulary;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::unique_ptr<Tokenizer> made(const Vocabulary& vocabulary) {
  std::string why_not;
  auto tokenizer = make_tokenizer(vocabulary, why_not);
  EXPECT_NE(tokenizer, nullptr) << why_not;
  return tokenizer;
}

Vocabulary from_json(const Json& root) {
  HfTokenizerFiles files;
  files.source = "test";
  files.tokenizer = dump_json(root);
  return vocabulary_from_hf(files);
}

TEST(Markers, UserDefinedTokensThatMarkTurnsAreNotMadeOfPlainBytes) {
  Vocabulary v = byte_level_vocabulary({.user_defined = {"<|im_start|>", "[Y]", "<turn>", "\n\n"}});
  v.chat_template = "{% for m in messages %}<turn>{{ m.content }}\n\n{% endfor %}";
  const auto t = made(v);
  const int32_t first = t->size() - 4;  // as listed
  const std::string text = "<|im_start|>[Y]<turn>\n\n";
  const auto encode = [&](bool special, std::vector<TextRange> plain) {
    return t->encode(text, {.special = special, .bos = false, .plain = plain});
  };
  const std::vector<int32_t> all = {first, first + 1, first + 2, first + 3};
  EXPECT_EQ(encode(true, {}), all);
  EXPECT_EQ(encode(false, {}), all);
  for (const bool special : {true, false}) {
    const auto ids = encode(special, {{0, text.size()}});
    EXPECT_THAT(ids, Not(Contains(first)));      // of the form <|...|>
    EXPECT_THAT(ids, Contains(first + 1));       // marks nothing
    EXPECT_THAT(ids, Not(Contains(first + 2)));  // written by the template
    EXPECT_THAT(ids, Contains(first + 3));       // white space marks nothing
  }
}

// Ids by Hugging Face's tokenizers.
TEST(Markers, ByteFallbackWithAPrefix) {
  Json vocabulary = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = byte;
  int32_t next = 256;
  for (const char* token : {"a", "##b", "ab", "##c", "<unk>"}) vocabulary[token] = next++;
  const auto t = made(from_json({{"model",
                                  {{"type", "BPE"},
                                   {"byte_fallback", true},
                                   {"continuing_subword_prefix", "##"},
                                   {"unk_token", "<unk>"},
                                   {"vocab", vocabulary},
                                   {"merges", Json::array({Json::array({"a", "##b"})})}}}}));
  EXPECT_THAT(t->encode("ab"), ElementsAre(258));
  EXPECT_THAT(t->encode("abc"), ElementsAre(258, 259));
  EXPECT_THAT(t->encode("aab"), ElementsAre(256, 35, 35, 97, 257));
  EXPECT_THAT(t->encode("abz"), ElementsAre(258, 35, 35, 122));
}

TEST(Markers, DecodersThatGrowAreRefused) {
  Json steps = Json::array();
  for (int i = 0; i < 6; ++i) {
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(1000, 'a')}});
  }
  const Vocabulary v =
      from_json({{"decoder", {{"type", "Sequence"}, {"decoders", steps}}},
                 {"model", {{"type", "WordLevel"}, {"unk_token", "b"}, {"vocab", {{"a", 0}, {"b", 1}}}}}});
  std::string why_not;
  try {
    make_tokenizer(v, why_not);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalid);
    EXPECT_THAT(error.what(), HasSubstr("decoder"));
  }
}

// SentencePiece's rule for spaces, said by a GGUF key: those at the ends and all but one between words are gone.
TEST(Markers, ExtraSpacesOfAScoredVocabulary) {
  Vocabulary v = testing::scored_vocabulary({"\u2581", "a", "b", "\u2581a", "\u2581b"}, true);
  const auto as_it_is = made(v);
  v.remove_extra_whitespaces = true;
  const auto trimmed = made(v);
  EXPECT_EQ(trimmed->encode("  a   b  ", {.bos = false}), as_it_is->encode("a b", {.bos = false}));
  EXPECT_NE(as_it_is->encode("  a   b  ", {.bos = false}), as_it_is->encode("a b", {.bos = false}));
}

}  // namespace
}  // namespace godwit
