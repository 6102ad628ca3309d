// SentencePiece BPE (Llama 2, Gemma): GGUF model "llama".
#pragma once

#include <memory>

#include "text/tokenizer.h"

namespace godwit {

/// Joins the adjacent pair whose concatenation is the token with the highest score, the leftmost of equals, until none
/// is left; characters that are no token become their byte tokens. Source: Kudo and Richardson 2018; SentencePiece,
/// bpe_model.cc. Throws Error (kInvalid) without scores.
std::unique_ptr<Tokenizer> make_sentencepiece_bpe(const Vocabulary& vocabulary);

}  // namespace godwit
