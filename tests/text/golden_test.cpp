// Token ids of real vocabularies against those of Hugging Face's tokenizers and of SentencePiece
// (tests/oracle/make_tokens.py), and what holds for real vocabularies whatever the text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "formats/gguf.h"
#include "text/base64.h"
#include "text/tokenizer_json.h"
#include "text/vocabularies.h"

namespace godwit {
namespace {

/// The vocabulary of a model that scripts/fetch-models brings; nothing, and a line on stderr, when it is not there.
std::optional<Vocabulary> real_vocabulary(const std::string& file) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string root = cache != nullptr && *cache ? cache : std::string(home != nullptr ? home : ".") + "/.cache";
  const std::string path = root + "/godwit/models/" + file;
  if (!std::filesystem::exists(path)) {
    std::cerr << "SKIPPED: model " << path << " absent, run scripts/fetch-models\n";
    return std::nullopt;
  }
  return vocabulary_from(open_gguf(path).config);
}

constexpr const char* kSmolLm2 = "SmolLM2-135M-Instruct.Q4_1.gguf";
constexpr const char* kGemma3 = "gemma-3-270m.Q4_K_M.gguf";

Json golden(const std::string& name) {
  const std::string path = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tokens/" + name + ".json";
  return parse_json(read_text(path, 1 << 20), path);
}

using Ids = std::vector<int32_t>;

void expect_as_golden(const Tokenizer& t, const std::string& name) {
  size_t compared = 0;
  for (const Json& c : golden(name)) {
    const std::string text = testing::from_base64(c.at("text").get<std::string>());
    if (!c.contains("invalid")) {
      EXPECT_EQ(t.encode(text, {.special = true, .bos = false}), c.at("ids").get<Ids>()) << text;
      EXPECT_EQ(t.encode(text, {.special = false, .bos = false}), c.at("ids_nospecial").get<Ids>()) << text;
      compared += 2;
    } else if (name == "gemma3") {
      EXPECT_EQ(t.decode(t.encode(text, {.bos = false})), text);  // bytes have tokens there, so nothing is replaced
    }
  }
  EXPECT_GT(compared, 150u);
}

TEST(Golden, SmolLm2) {
  const auto v = real_vocabulary(kSmolLm2);
  if (!v) return;
  const auto t = testing::tokenizer_of(*v);
  expect_as_golden(*t, "smollm2");
  EXPECT_EQ(t->size(), 49152);
  EXPECT_FALSE(t->adds_bos());
  EXPECT_EQ(t->stop_ids(), (Ids{0, 2}));
  EXPECT_EQ(t->piece(0), "<|endoftext|>");
}

TEST(Golden, Gemma3) {
  const auto v = real_vocabulary(kGemma3);
  if (!v) return;
  const auto t = testing::tokenizer_of(*v);
  expect_as_golden(*t, "gemma3");
  EXPECT_EQ(t->size(), 262144);
  EXPECT_TRUE(t->adds_bos());
  EXPECT_EQ(t->encode("").front(), 2);
  EXPECT_EQ(t->stop_ids(), (Ids{1, 106}));
}

TEST(Golden, TheSameThroughTokenizerJson) {
  for (const auto& [file, name] : {std::pair(kSmolLm2, "smollm2"), std::pair(kGemma3, "gemma3")}) {
    const auto v = real_vocabulary(file);
    if (!v) continue;
    const Vocabulary back = vocabulary_from_hf(hf_from_vocabulary(*v));
    ASSERT_EQ(back.unsupported, "");
    expect_as_golden(*testing::tokenizer_of(back), name);
  }
}

// Bytes that some token has for its whole piece come back; SmolLM2's vocabulary lacks 21 of the 256.
TEST(Golden, RandomBytesComeBack) {
  for (const char* file : {kSmolLm2, kGemma3}) {
    const auto v = real_vocabulary(file);
    if (!v) continue;
    const auto t = testing::tokenizer_of(*v);
    std::string lost;
    for (int b = 0; b < 256; ++b) {
      const std::string byte(1, static_cast<char>(b));
      if (t->encode(byte, {.bos = false}).empty()) lost += byte;
    }
    EXPECT_EQ(lost.size(), file == kSmolLm2 ? 21u : 0u);
    std::mt19937 random(21);
    for (int round = 0; round < 2000; ++round) {
      std::string text = testing::random_bytes(random, 64), expected;
      for (const char c : text) {
        if (lost.find(c) == std::string::npos) expected += c;
      }
      ASSERT_EQ(t->decode(t->encode(text, {.bos = false}), false), expected);
    }
  }
}

TEST(Golden, EveryTokenGivesItsText) {
  const auto v = real_vocabulary(kSmolLm2);
  if (!v) return;
  const auto t = testing::tokenizer_of(*v);
  for (int32_t id = 0; id < t->size(); ++id) {
    if (t->is_special(id)) continue;
    ASSERT_EQ(to_byte_level(t->piece(id)), v->tokens[static_cast<size_t>(id)]);
  }
}

TEST(Golden, AMegabyteOfAnythingTakesLittleTime) {
#ifdef GODWIT_SANITIZED
  const double limit_s = 200;
#else
  const double limit_s = 40;
#endif
  const size_t n = 1000000;
  for (const char* file : {kSmolLm2, kGemma3}) {
    const auto v = real_vocabulary(file);
    if (!v) continue;
    const auto t = testing::tokenizer_of(*v);
    std::mt19937 random(22);
    std::string letters;
    while (letters.size() < n) letters += static_cast<char>('a' + random() % 10);
    for (const std::string& text : {std::string(n, ' '), std::string(n, 'a'), std::string(n, '\n'), letters}) {
      const auto start = std::chrono::steady_clock::now();
      const Ids ids = t->encode(text, {.bos = false});
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      EXPECT_LT(took.count(), limit_s) << file << " " << text.substr(0, 4);
      EXPECT_EQ(t->decode(ids), text);
    }
  }
}

}  // namespace
}  // namespace godwit
