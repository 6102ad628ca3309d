// WordPiece: BERT's greedy cut of a word.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"

namespace godwit {

struct WordPieceModel {
  std::vector<std::string> tokens;
  std::optional<int32_t> unk;
  std::string prefix = "##";  // of tokens that go on within a word
  size_t max_characters = 100;
};

/// Immutable. Time is at most n times max_characters.
class WordPiece {
 public:
  /// Throws Error (kInvalid), naming `where`, for an unknown id outside the list.
  WordPiece(const WordPieceModel& model, std::string_view where);

  /// Appends the ids of a word: the longest token that it begins with, then the longest that goes on, and so on. A word
  /// that does not end so, or is longer than max_characters, is the unknown token (nothing without one). Source: Devlin
  /// et al. 2019, the tokenization of BERT.
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  ByteTrie first_, next_;
  int32_t unk_;
  size_t max_characters_;
};

}  // namespace godwit
