// Unigram, WordPiece, RWKV and files of SentencePiece.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>

#include "base/error.h"
#include "text/rwkv.h"
#include "text/sentencepiece_encoder.h"
#include "text/sentencepiece_model.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

namespace godwit {
namespace {

using Ids = std::vector<int32_t>;

template <class Model>
Ids encode(const Model& model, std::string_view text) {
  Ids ids;
  model.encode(text, ids);
  return ids;
}

TEST(ByteTrie, Longest) {
  const ByteTrie trie({{"a", 0}, {"abc", 1}, {"abd", 2}, {"", 3}, {"\xFF", 4}, {"abc", 5}});
  EXPECT_EQ(trie.longest("abcd").value, 5);  // of equal strings the last
  EXPECT_EQ(trie.longest("abcd").length, 3u);
  EXPECT_EQ(trie.longest("abx").value, 0);
  EXPECT_EQ(trie.longest("b").value, -1);
  EXPECT_EQ(trie.longest("\xFF").value, 4);
  EXPECT_TRUE(ByteTrie().empty());
}

TEST(Unigram, TheBestSum) {
  UnigramModel m;
  m.tokens = {"<unk>", "a", "b", "ab", "aba", "\u4E2D"};
  m.scores = {0, -1, -1, -1.5, -4, -2};
  m.unk = 0;
  const Unigram unigram(m, "test");
  EXPECT_EQ(encode(unigram, "aba"), (Ids{3, 1}));
  EXPECT_EQ(encode(unigram, "abab"), (Ids{3, 3}));
  EXPECT_EQ(encode(unigram, "xyza"), (Ids{0, 1}));  // a row of unknown characters is one
  EXPECT_EQ(encode(unigram, "\u4E2D\u4E2E\xFF"), (Ids{5, 0}));
  EXPECT_EQ(encode(unigram, ""), Ids{});
}

TEST(Unigram, RefusesWhatContradictsItself) {
  UnigramModel m;
  m.tokens = {"a", "b"};
  m.scores = {0};
  EXPECT_THROW(Unigram(m, "test"), Error);
  m.scores = {0, std::numeric_limits<double>::quiet_NaN()};
  EXPECT_THROW(Unigram(m, "test"), Error);
  m.scores = {0, 0};
  m.unk = 2;
  EXPECT_THROW(Unigram(m, "test"), Error);
  m.unk = 1;
  m.tokens[0] = std::string(2000, 'a');
  EXPECT_THROW(Unigram(m, "test"), Error);
}

TEST(WordPiece, GreedyFromTheFront) {
  WordPieceModel m;
  m.tokens = {"[UNK]", "un", "##aff", "##able", "a", "##b", "unaffa"};
  m.unk = 0;
  const WordPiece model(m, "test");
  EXPECT_EQ(encode(model, "unaff"), (Ids{1, 2}));
  EXPECT_EQ(encode(model, "unaffable"), (Ids{0}));  // "unaffa" is taken first and nothing goes on
  EXPECT_EQ(encode(model, "ab"), (Ids{4, 5}));
  EXPECT_EQ(encode(model, "##b"), (Ids{5}));
  EXPECT_EQ(encode(model, "a" + std::string(99, 'b')), [] {
    Ids ids{4};
    ids.resize(100, 5);
    return ids;
  }());
  EXPECT_EQ(encode(model, "a" + std::string(100, 'b')), (Ids{0}));
  m.unk = 7;
  EXPECT_THROW(WordPiece(m, "test"), Error);
}

TEST(Rwkv, Vocabulary) {
  const auto tokens =
      parse_rwkv_vocabulary("1 '\\x00' 1\n5 b'\\xe2\\x82' 2\n6 \"it's\" 4\n7 ' a b' 4\n8 '\\u4e2d' 3\n", "test");
  ASSERT_EQ(tokens.size(), 5u);
  EXPECT_EQ(tokens[0].bytes, std::string(1, '\0'));
  EXPECT_EQ(tokens[1].bytes, "\xE2\x82");
  EXPECT_EQ(tokens[2].bytes, "it's");
  EXPECT_EQ(tokens[3].bytes, " a b");
  EXPECT_EQ(tokens[4].bytes, "\u4E2D");
  for (const char* bad : {"1 'a' 2", "x 'a' 1", "1 a 1", "1 'a 1", "1 '\\' 1", "1 'a'1", "2 'a' 1\n1 'b' 1", "-1 'a' 1",
                          "1 '\\q' 1", "1 b'\\u4e2d' 3", "99999999 'a' 1", "1 '\\ud800' 3", "1 'a'b' 3"}) {
    EXPECT_THROW(parse_rwkv_vocabulary(bad, "test"), Error) << bad;
  }
}

TEST(Rwkv, Escapes) {
  EXPECT_EQ(unescape_rwkv_token("\\x00\\t\\n\\r\\\\\\'a\\xfF"), std::string("\0\t\n\r\\'a\xFF", 8));
  EXPECT_EQ(unescape_rwkv_token("a\\x0"), "a");
  EXPECT_EQ(unescape_rwkv_token("a\\"), "a");
  EXPECT_EQ(escape_rwkv_token("it's"), "it's");  // repr(b"it's") is b"it's"
  EXPECT_EQ(escape_rwkv_token("'\""), "\\'\"");  // repr(b"'\"") is b'\'"'
  EXPECT_EQ(escape_rwkv_token("\xFF\t\x7F"), "\\xff\\t\\x7f");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    EXPECT_EQ(unescape_rwkv_token(escape_rwkv_token(bytes)), bytes);
  }
  const Rwkv model({"<s>", "a", "ab", "abc", "b"}, 0);
  EXPECT_EQ(encode(model, "ababcxb"), (Ids{2, 3, 0, 4}));
}

// A protobuf by hand: fields of the specification of the encoding.
std::string field(int number, const std::string& bytes) {
  std::string out;
  const auto varint = [&](size_t value) {
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
    out += static_cast<char>(value);
  };
  varint(static_cast<size_t>(number) << 3 | 2);
  varint(bytes.size());
  return out + bytes;
}
std::string number_field(int number, char value) {
  std::string out;
  const size_t tag = static_cast<size_t>(number) << 3;
  if (tag >= 0x80) out += static_cast<char>(tag | 0x80);
  out += static_cast<char>(tag >= 0x80 ? tag >> 7 : tag);
  return out + value;
}
std::string piece(const std::string& text, float score, char type) {
  std::string bits(4, '\0');
  std::memcpy(bits.data(), &score, 4);
  return field(1, field(1, text) + "\x15" + bits + number_field(3, type));
}
std::string small_model(char kind) {
  return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("\u2581", -1, 1) + piece("a", -2, 1) +
         piece("b", -3, 1) + piece("ab", -1.5, 1) + piece("XY", 0, 4) + field(2, number_field(3, kind));
}

TEST(SentencePieceModel, ReadsTheFile) {
  const std::string file = small_model(2) + field(3, number_field(3, 0) + number_field(4, 0));
  const SentencePieceModel model = parse_sentencepiece_model(file, "test");
  EXPECT_EQ(model.kind, SentencePieceModel::kBpe);
  EXPECT_EQ(model.pieces.size(), 8u);
  EXPECT_EQ(model.scores[6], -1.5f);
  EXPECT_EQ(model.types[7], kTokenUserDefined);
  EXPECT_EQ(model.unk, 0);
  EXPECT_EQ(model.bos, 1);
  EXPECT_EQ(model.eos, 2);
  EXPECT_EQ(model.pad, std::nullopt);
  EXPECT_FALSE(model.add_dummy_prefix);
  EXPECT_FALSE(model.remove_extra_whitespaces);
  EXPECT_TRUE(model.escape_whitespaces);
  const Vocabulary v = vocabulary_from_sentencepiece(model);
  EXPECT_EQ(v.model, "llama");
  EXPECT_EQ(v.bos, 1);
  EXPECT_FALSE(v.add_space_prefix);
  check_vocabulary(v);
}

TEST(SentencePieceModel, Encodes) {
  for (const char kind : {1, 2}) {
    const SentencePieceEncoder encoder(parse_sentencepiece_model(small_model(kind), "test"));
    EXPECT_EQ(encoder.normalize("  ab  b "), "\u2581ab\u2581b");
    EXPECT_EQ(encoder.normalize("   "), "");
    EXPECT_EQ(encoder.normalize("a\xFFz"), "\u2581a\uFFFDz");
    EXPECT_EQ(encode(encoder, "ab  b "), (Ids{3, 6, 3, 5}));
    EXPECT_EQ(encode(encoder, "aXYcda"), (Ids{3, 4, 7, 0, 4}));
    EXPECT_EQ(encode(encoder, ""), Ids{});
  }
}

TEST(SentencePieceModel, HostileFiles) {
  const std::string whole = small_model(1);
  for (size_t size = 0; size < whole.size(); ++size) {
    try {
      parse_sentencepiece_model(whole.substr(0, size), "test");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalid);
    }
  }
  const std::string endless(20, '\xFF');
  for (const std::string& bad :
       {endless, std::string("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), std::string("\x0B"),
        std::string("\x02\x01"), std::string("\x0A\x05"), whole + piece("a", 0, 1), whole + piece("", 0, 1),
        whole + piece("<0x41>", 0, 6), whole + piece("q", std::numeric_limits<float>::quiet_NaN(), 1),
        whole + piece("q", 0, 7), whole + piece("q", 0, 2), whole + piece(std::string(2000, 'q'), 0, 1),
        piece("a", 0, 1), std::string(), whole + field(2, number_field(3, 9)), whole + field(2, field(35, "x")),
        whole + field(2, number_field(35, 1)), whole + number_field(1, 1)}) {
    EXPECT_THROW(parse_sentencepiece_model(bad, "test"), Error) << bad;
  }
  const std::string bad_charsmap = whole + field(3, field(2, "abc"));
  EXPECT_THROW(SentencePieceEncoder(parse_sentencepiece_model(bad_charsmap, "test")), Error);
}

}  // namespace
}  // namespace godwit
