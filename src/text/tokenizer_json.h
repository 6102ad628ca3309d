// Tokenizers of Hugging Face folders: tokenizer.json and the files beside it, to and from a Vocabulary.
#pragma once

#include <string>

#include "text/vocabulary.h"

namespace godwit {

/// The texts of the files; empty for one that is not there.
struct HfTokenizerFiles {
  std::string source;         // folder, for messages
  std::string tokenizer;      // tokenizer.json
  std::string config;         // tokenizer_config.json
  std::string generation;     // generation_config.json
  std::string chat_template;  // chat_template.jinja; wins over the one in tokenizer_config.json
  std::string sentencepiece;  // tokenizer.model, a protobuf; counts where there is no tokenizer.json
};

/// Reads the files of a folder. Throws Error (kInvalid) for one that is too large.
HfTokenizerFiles read_hf_tokenizer(const std::string& folder);

/// The vocabulary that the files describe, in GGUF's terms as far as they go. Where they do not say all that
/// tokenizer.json says (normalizers, rules of added tokens, merges that no scores express, ...), `hf_json` is the file
/// and `pipeline` the tokenizer that it describes: then that is what encodes, with the ids of Hugging Face's
/// tokenizers. Where no tokenizer of this build does what the file says, `model` is "none" and `unsupported` says what
/// and where; without tokenizer.json and tokenizer.model, `model` is "none". Ids of generation_config.json go to
/// more_stops. Throws Error (kInvalid) naming file and place for what contradicts itself.
Vocabulary vocabulary_from_hf(const HfTokenizerFiles& files);

/// Whether a vocabulary has a form in tokenizer.json: one with hf_json, or of model "gpt2", "llama", "t5" or "bert".
bool has_hf_form(const Vocabulary& vocabulary);

/// The files that describe a vocabulary; Hugging Face's tokenizers give the same ids with them. hf_json is written as
/// it is; else, of tokens with equal text all but the last, and tokens without text, get a name that no text has.
/// Without such a form `tokenizer` stays empty, and the other files say what they can: stop ids, the chat template. The
/// steps for t5 and bert are Hugging Face's; a few texts (characters that the rules replace in part, tokens spelled in
/// the text) have other ids there than in the programs that GGUF's kinds come from.
HfTokenizerFiles hf_from_vocabulary(const Vocabulary& vocabulary);

}  // namespace godwit
