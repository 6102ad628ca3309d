// SentencePiece BPE (Llama 2, Gemma): GGUF model "llama".
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace godwit {

/// What stands for a space within pieces: U+2581.
inline constexpr std::string_view kSpaceMark = "\u2581";

/// Scores as ranks, the highest 0, equal ones alike.
std::vector<uint32_t> score_ranks(const std::vector<float>& scores);

/// `text` with a space for each space mark.
std::string without_space_marks(std::string_view text);

/// Joins the adjacent pair whose concatenation is the token with the highest score, the leftmost of equals, until none
/// is left; characters that are no token become their byte tokens. Source: Kudo and Richardson 2018; SentencePiece,
/// bpe_model.cc. Throws Error (kInvalid) without scores.
std::unique_ptr<Tokenizer> make_sentencepiece_bpe(const Vocabulary& vocabulary);

}  // namespace godwit
