// Text to the ids of a SentencePiece model, as SentencePiece itself does it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/byte_trie.h"
#include "text/charsmap.h"
#include "text/id_map.h"
#include "text/merge_queue.h"
#include "text/sentencepiece_model.h"
#include "text/unigram.h"

namespace godwit {

/// Immutable. Equal to the program of the same name (0.2) for every text, except that a piece is at most kMaxPieceBytes
/// and a normalisation rule's left side kMaxCharsmapKeyBytes long. Source: SentencePiece, normalizer.cc, bpe_model.cc,
/// unigram_model.cc, sentencepiece_processor.cc.
class SentencePieceEncoder {
 public:
  /// Throws Error (kInvalid) for a charsmap that cannot be used.
  explicit SentencePieceEncoder(SentencePieceModel model);

  /// The text that is cut into pieces: characters replaced by the charsmap's longest rule at each place (user-defined
  /// pieces stay as they are), spaces as the model says; bytes that are not UTF-8 become U+FFFD. Throws Error
  /// (kInvalid) when the rules make it larger than 16 times the text plus 1 MiB.
  std::string normalize(std::string_view text) const;

  /// Appends the ids of normalised text: of all of the pieces, without begin and end.
  void encode_normalized(std::string_view text, std::vector<int32_t>& ids) const;

  void encode(std::string_view text, std::vector<int32_t>& ids) const { encode_normalized(normalize(text), ids); }

  const SentencePieceModel& model() const { return model_; }

 private:
  struct Piece {
    size_t length;
    int32_t id;
  };

  std::string_view next_normalized(std::string_view text, size_t& length) const;
  void make_pairs();
  void cut_bpe(std::string_view text, std::vector<Piece>& pieces) const;
  void merge(std::string_view text, std::vector<MergePart>& parts, std::vector<Piece>& pieces) const;
  void cut_words(std::string_view text, std::vector<Piece>& pieces) const;
  void cut_characters(std::string_view text, std::vector<Piece>& pieces) const;
  int32_t id_of(std::string_view piece) const;

  SentencePieceModel model_;
  Charsmap charsmap_;
  ByteTrie user_defined_;
  std::unordered_map<std::string_view, int32_t> mergeable_;  // normal, user-defined and unused pieces
  // BPE: characters and pieces as symbols. Pieces keep their ids; characters that are parts of pieces only come behind.
  IdMap characters_;             // code point -> symbol
  IdMap pairs_;                  // (symbol, symbol) -> the piece that they make
  IdMap neighbours_;             // (code point, code point) side by side in a piece
  std::vector<uint32_t> ranks_;  // by piece: 0 has the highest score
  size_t longest_ = 0;
  std::array<int32_t, 256> byte_ids_;
  std::unique_ptr<Unigram> unigram_;
};

}  // namespace godwit
