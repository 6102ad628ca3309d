// tokenizer.model: what SentencePiece's trainer writes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace godwit {

inline constexpr size_t kMaxPieceBytes = 1024;

/// Source: SentencePiece, sentencepiece_model.proto, from which the defaults are.
struct SentencePieceModel {
  enum Kind : int32_t { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };

  std::string source;  // file, for messages
  Kind kind = kUnigram;
  std::vector<std::string> pieces;
  std::vector<float> scores;   // one a piece
  std::vector<int32_t> types;  // TokenType, one a piece
  bool byte_fallback = false;  // characters that are no piece become the pieces of their bytes
  std::string charsmap;        // precompiled_charsmap
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool whitespace_as_suffix = false;     // a word's space is behind it
  std::string unk_surface = " \u2047 ";  // what decoding makes of the unknown piece
  int32_t unk = 0;
  std::optional<int32_t> bos, eos, pad;  // control pieces by the names that the file gives them
};

/// Reads the protobuf. Throws Error (kInvalid), naming `where` and the byte: what is no protobuf or cut short; and as
/// SentencePiece does: an empty or repeated piece, none or several unknown pieces, byte pieces without byte_fallback or
/// fewer than 256 with it; more than kMaxVocabulary pieces, one over kMaxPieceBytes, a score that is no number.
SentencePieceModel parse_sentencepiece_model(std::string_view bytes, std::string_view where);

/// The same in GGUF's terms, as far as it has them: model "llama" (BPE), "t5" (unigram); "none", and why, for the rest.
Vocabulary vocabulary_from_sentencepiece(const SentencePieceModel& model);

}  // namespace godwit
