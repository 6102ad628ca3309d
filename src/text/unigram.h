// Unigram: the most likely cut of a text into tokens.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"

namespace godwit {

inline constexpr size_t kMaxUnigramTokenBytes = 1024;

struct UnigramModel {
  std::vector<std::string> tokens;
  std::vector<double> scores;  // logarithms of probabilities
  std::vector<int32_t> types;  // TokenType; empty: all normal. Read only with the rules of SentencePiece
  std::optional<int32_t> unk;
  bool byte_fallback = false;
  /// SentencePiece and Hugging Face's tokenizers differ. SentencePiece adds in 32-bit floats, takes the least score of
  /// normal tokens, finds normal, user-defined (preferred to all others) and not unused tokens in the text; tokenizers
  /// adds in 64 bits and finds every token of the list, also <s> and <0x0A>, where they are spelled; and a row of
  /// unknown characters that is itself spelled like a token is that token.
  bool sentencepiece = false;
};

/// Immutable. Time is n times the longest token, which is limited.
class Unigram {
 public:
  /// Throws Error (kInvalid), naming `where`: lists of different lengths, an unknown id outside the list, a token over
  /// kMaxUnigramTokenBytes, a score that is no number.
  Unigram(const UnigramModel& model, std::string_view where);

  /// Appends the ids of the cut with the highest sum of scores, of equals the one found first. Unknown characters
  /// count 10 less than the lowest score; a row of them is one unknown token or, with byte_fallback, the tokens of its
  /// bytes; nothing without an unknown token. Source: Kudo 2018; SentencePiece, unigram_model.cc (EncodeOptimized);
  /// tokenizers, models/unigram/model.rs.
  void encode(std::string_view text, std::vector<int32_t>& ids) const;

 private:
  struct Node {
    double score = 0;
    uint32_t begin = 0;
    int32_t id = kNothing;
  };
  static constexpr int32_t kNothing = -2;

  template <class Score>
  void find_best(std::string_view text, std::vector<Node>& best) const;
  void put_unknown(std::string_view text, std::vector<int32_t>& ids) const;

  ByteTrie trie_;
  std::vector<double> scores_;
  std::vector<char> preferred_;  // by token: user-defined
  std::array<int32_t, 256> byte_ids_;
  int32_t unk_ = -1;
  double unknown_score_ = 0;
  bool byte_fallback_, sentencepiece_;
};

}  // namespace godwit
