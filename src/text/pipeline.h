// A tokenizer made of the stages that a tokenizer.json names.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/decoders.h"
#include "text/merge_model.h"
#include "text/splits.h"
#include "text/tokenizer.h"

namespace godwit {

/// A token that is cut out of the text before it is tokenized.
struct AddedToken {
  std::string content;
  int32_t id;
  bool single_word = false;  // not within a word
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and behind it
  bool normalized = false;   // looked for in the normalized text, in its own normal form
};

/// The stages, in their order: added tokens, normalizer, added tokens, splits, model, and what stands around the text.
/// Source: Hugging Face tokenizers, tokenizer/mod.rs, added_vocabulary.rs.
struct Pipeline {
  std::vector<std::string> tokens;  // by id, as the decoder takes them
  std::vector<AddedToken> added;
  std::function<std::string(std::string_view)> normalize;  // empty: the text stays as it is
  std::vector<std::unique_ptr<const SplitStep>> splits;
  std::unique_ptr<const PieceModel> model;
  std::vector<int32_t> before, after;  // ids around a text
  DecoderChain decoder;
};

/// The tokenizer of these stages; of the vocabulary it takes types and the ids that end a generation.
std::unique_ptr<Tokenizer> make_pipeline_tokenizer(const Vocabulary& vocabulary,
                                                   std::shared_ptr<const Pipeline> pipeline);

}  // namespace godwit
