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
};

/// Reads the files of a folder. Throws Error (kInvalid) for one that is too large.
HfTokenizerFiles read_hf_tokenizer(const std::string& folder);

/// The vocabulary that the files describe: byte-level BPE (GPT-2, SmolLM2, Llama 3, Qwen) as model "gpt2"; BPE over
/// characters with byte fallback and U+2581 for spaces (Llama 2, Gemma) as model "llama", with scores in the order of
/// the merges. Where no tokenizer of this build does what the file says, `model` is "none" and `unsupported` says what
/// and where; without tokenizer.json, `model` is "none". Ids of generation_config.json go to more_stops. NFC is
/// accepted and not done, as in llama.cpp. Throws Error (kInvalid) naming file and place for what contradicts itself.
Vocabulary vocabulary_from_hf(const HfTokenizerFiles& files);

/// The files that describe a vocabulary of model "gpt2" or "llama"; Hugging Face's tokenizers give the same ids with
/// them. Of tokens with equal text all but the last, and tokens without text, get a name that no text has. Throws Error
/// (kInvalid) for other kinds.
HfTokenizerFiles hf_from_vocabulary(const Vocabulary& vocabulary);

}  // namespace godwit
