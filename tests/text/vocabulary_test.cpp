#include "text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "base/error.h"
#include "formats/config.h"
#include "text/vocabularies.h"

namespace godwit {
namespace {

using ::testing::HasSubstr;

/// The message of the Error (kInvalid) that f throws; empty when it throws none.
std::string refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalid);
    EXPECT_LE(std::string(error.what()).size(), 512u);
    return error.what();
  }
  return "";
}

std::string refusal(const Vocabulary& v) {
  return refusal([&] {
    std::string why_not;
    make_tokenizer(v, why_not);
  });
}

TEST(Vocabulary, ByteTokensAreReadStrictly) {
  EXPECT_EQ(parse_byte_token("<0x00>"), 0x00);
  EXPECT_EQ(parse_byte_token("<0xfF>"), 0xFF);
  for (const char* bad : {"<0x-1>", "<0xZZ>", "<0x100>", "<0x1>", "<0x >", "0x41", "<0x41", "<0X41>", "", "<0x+1>"}) {
    EXPECT_FALSE(parse_byte_token(bad).has_value()) << bad;
  }
}

TEST(Vocabulary, RefusesWhatContradictsItself) {
  const Vocabulary good = testing::scored_vocabulary({"a", "b"});
  EXPECT_EQ(refusal(good), "");
  const auto with = [&](const std::function<void(Vocabulary&)>& change) {
    Vocabulary v = good;
    change(v);
    return refusal(v);
  };
  EXPECT_THAT(with([](Vocabulary& v) { v.types.pop_back(); }), HasSubstr("token_type"));
  EXPECT_THAT(with([](Vocabulary& v) { v.scores.pop_back(); }), HasSubstr("scores"));
  EXPECT_THAT(with([](Vocabulary& v) { v.scores.clear(); }), HasSubstr("scores"));
  EXPECT_THAT(with([](Vocabulary& v) { v.scores[1] = std::numeric_limits<float>::quiet_NaN(); }), HasSubstr("scores"));
  EXPECT_THAT(with([](Vocabulary& v) { v.types[5] = 7; }), HasSubstr("token_type"));
  EXPECT_THAT(with([](Vocabulary& v) { v.types[5] = -1; }), HasSubstr("token_type"));
  EXPECT_THAT(with([](Vocabulary& v) { v.tokens[5] = "<0x-1>"; }), HasSubstr("<0x-1>"));
  EXPECT_THAT(with([](Vocabulary& v) { v.bos = 261; }), HasSubstr("bos_token_id"));
  EXPECT_THAT(with([](Vocabulary& v) { v.eos = -1; }), HasSubstr("eos_token_id"));
  EXPECT_THAT(with([](Vocabulary& v) { v.tokens[260] = std::string(65537, 'x'); }), HasSubstr("65536 bytes"));
  EXPECT_EQ(with([](Vocabulary& v) { v.tokens[260] = std::string(65536, 'x'); }), "");
  EXPECT_EQ(with([](Vocabulary& v) { v.tokens[260] = v.tokens[259]; }), "");  // equal tokens are tolerated
  EXPECT_EQ(with([](Vocabulary& v) { v.tokens[260].clear(); }), "");
}

TEST(Vocabulary, RefusesTooMuch) {
  Vocabulary v = testing::scored_vocabulary({});
  v.tokens.resize(kMaxVocabulary + 1);
  EXPECT_THAT(refusal(v), HasSubstr("tokens"));
  v = testing::byte_level_vocabulary({});
  v.merges.resize(kMaxMerges + 1);
  EXPECT_THAT(refusal(v), HasSubstr("merges"));
  v = testing::byte_level_vocabulary({.control = std::vector<std::string>(kMaxSpecialTokens + 1, "x")});
  EXPECT_THAT(refusal(v), HasSubstr("special tokens"));
  v = testing::byte_level_vocabulary({.control = std::vector<std::string>(300, std::string(60000, 'x'))});
  EXPECT_THAT(refusal(v), HasSubstr("special tokens"));
}

TEST(Vocabulary, MergesAreTwoKnownPieces) {
  for (const char* bad : {"ab", "a", "", " ", "a ", " b", "a b ", "a  b", "a b c", "a x\u0120", "nope b", "b a"}) {
    Vocabulary v = testing::byte_level_vocabulary({.merges = {{"a", "b"}}});
    v.merges.push_back(bad);
    EXPECT_THAT(refusal(v), HasSubstr("merges")) << bad;
  }
}

Config config_of(const Vocabulary& v) {
  Config config;
  config.architecture = "llama";
  config.source = "test.gguf";
  vocabulary_to(v, config);
  return config;
}

TEST(Vocabulary, FromAndToConfig) {
  Vocabulary v = testing::byte_level_vocabulary({.pre = "smollm", .merges = {{"a", "b"}}, .control = {"<|x|>"}});
  v.eos = 257;
  v.pad = 257;
  v.add_bos = true;
  v.chat_template = "{{ x }}";
  const Vocabulary back = vocabulary_from(config_of(v));
  EXPECT_EQ(back.model, "gpt2");
  EXPECT_EQ(back.pre, "smollm");
  EXPECT_EQ(back.tokens, v.tokens);
  EXPECT_EQ(back.types, v.types);
  EXPECT_EQ(back.merges, v.merges);
  EXPECT_EQ(back.eos, 257);
  EXPECT_EQ(back.pad, 257);
  EXPECT_FALSE(back.bos.has_value());
  EXPECT_TRUE(back.add_bos);
  EXPECT_FALSE(back.add_space_prefix);
  EXPECT_EQ(back.chat_template, "{{ x }}");
  EXPECT_EQ(back.source, "test.gguf");
  const Vocabulary scored = testing::scored_vocabulary({"a", "b"});
  EXPECT_EQ(vocabulary_from(config_of(scored)).scores, scored.scores);
}

TEST(Vocabulary, DefaultsWhereTheFileIsSilent) {
  Config config;
  config.architecture = "llama";
  EXPECT_EQ(vocabulary_from(config).model, "none");
  config.set("tokenizer.ggml.model", std::string("llama"));
  config.set("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", "a"});
  config.set("tokenizer.ggml.scores", std::vector<double>{0, 0, 0, -1});
  const Vocabulary llama = vocabulary_from(config);
  EXPECT_EQ(llama.unk, 0);
  EXPECT_EQ(llama.bos, 1);
  EXPECT_EQ(llama.eos, 2);
  EXPECT_TRUE(llama.add_bos && llama.add_space_prefix && !llama.add_eos);
  config.set("tokenizer.ggml.model", std::string("gpt2"));
  const Vocabulary gpt2 = vocabulary_from(config);
  EXPECT_TRUE(!gpt2.bos && !gpt2.eos && !gpt2.unk && !gpt2.add_bos && !gpt2.add_space_prefix);
  EXPECT_EQ(gpt2.pre, "default");
  config.set("tokenizer.ggml.pre", std::string("llama-bpe"));
  EXPECT_TRUE(vocabulary_from(config).add_bos);
}

TEST(Vocabulary, RefusesMetadataOfTheWrongKind) {
  const auto with = [&](const char* key, ConfigValue value) {
    Config config = config_of(testing::scored_vocabulary({"a"}));
    config.set(key, std::move(value));
    return refusal([&] { vocabulary_from(config); });
  };
  EXPECT_THAT(with("tokenizer.ggml.scores", std::vector<int64_t>(260, 1)), HasSubstr("scores"));
  EXPECT_THAT(with("tokenizer.ggml.token_type", std::vector<double>(260, 1)), HasSubstr("token_type"));
  EXPECT_THAT(with("tokenizer.ggml.token_type", std::vector<int64_t>(260, int64_t{1} << 32 | 1)),
              HasSubstr("token_type"));
  EXPECT_THAT(with("tokenizer.ggml.token_type", std::vector<int64_t>(259, 1)), HasSubstr("token_type"));
  EXPECT_THAT(with("tokenizer.ggml.tokens", std::string("a")), HasSubstr("tokens"));
  EXPECT_THAT(with("tokenizer.ggml.tokens", std::vector<std::string>()), HasSubstr("tokens"));
  EXPECT_THAT(with("tokenizer.ggml.bos_token_id", int64_t{260}), HasSubstr("bos_token_id"));
  EXPECT_THAT(with("tokenizer.ggml.bos_token_id", int64_t{1} << 32), HasSubstr("bos_token_id"));
  EXPECT_THAT(with("tokenizer.ggml.bos_token_id", std::string("1")), HasSubstr("bos_token_id"));
  EXPECT_THAT(with("tokenizer.ggml.model", int64_t{1}), HasSubstr("model"));
}

TEST(Vocabulary, RefusesKindsWithoutTokens) {
  for (const char* model : {"llama", "gpt2", "t5", "bert", "rwkv", "gemma4", "bytes", "none", "another"}) {
    Config config;
    config.source = "test";
    config.architecture = "llama";
    config.set("tokenizer.ggml.model", std::string(model));
    config.set("tokenizer.ggml.eos_token_id", int64_t{0});
    const bool known = model != std::string("none") && model != std::string("another");
    EXPECT_THAT(refusal([&] { vocabulary_from(config); }), known ? HasSubstr("tokens") : HasSubstr("")) << model;
  }
}

}  // namespace
}  // namespace godwit
