// The kinds of tokenizer that GGUF names, as stages.
#pragma once

#include <memory>

#include "text/pipeline.h"
#include "text/sentencepiece_model.h"

namespace godwit {

/// The stages of models "t5" (SentencePiece unigram), "bert" (WordPiece), "rwkv" (longest match of bytes), "gemma4"
/// (BPE over characters) and "bytes" (each byte its token <0xHH>); null for other models. Throws Error (kInvalid) for a
/// vocabulary that contradicts itself. Source: llama.cpp, src/llama-vocab.cpp; each kind's own tokenizer.
std::shared_ptr<const Pipeline> pipeline_of_gguf(const Vocabulary& vocabulary);

/// The stages of a tokenizer.model, whose pieces the vocabulary has: SentencePiece's own normalizer and model.
std::shared_ptr<const Pipeline> pipeline_of_sentencepiece(const Vocabulary& vocabulary,
                                                          const SentencePieceModel& model);

/// "left right" of tokenizer.ggml.merges; merges with more spaces are refused: throws Error (kInvalid) naming the line.
std::pair<std::string, std::string> read_gguf_merge(const Vocabulary& vocabulary, size_t line);

}  // namespace godwit
