// Vocabulary: what a model file says about its tokenizer, in GGUF's terms; the tokenizers are built from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace godwit {

class Config;
struct Pipeline;

/// tokenizer.ggml.token_type.
enum TokenType : int32_t {
  kTokenUndefined = 0,  // treated as normal
  kTokenNormal = 1,
  kTokenUnknown = 2,
  kTokenControl = 3,      // cut out of text where special tokens are asked for
  kTokenUserDefined = 4,  // always cut out of text
  kTokenUnused = 5,       // never the result of encoding
  kTokenByte = 6,         // <0x00> to <0xFF>
};

inline constexpr size_t kMaxVocabulary = size_t{2} << 20;
inline constexpr size_t kMaxMerges = size_t{4} << 20;
inline constexpr size_t kMaxTokenBytes = size_t{64} << 10;
inline constexpr size_t kMaxGgufJsonBytes = size_t{16} << 20;     // the longest text that GGUF's reader takes
inline constexpr size_t kMaxSpecialTokens = size_t{64} << 10;     // control, unknown and user-defined ones
inline constexpr size_t kMaxSpecialTokenBytes = size_t{2} << 20;  // of all of them together

/// Source: GGUF specification, keys tokenizer.ggml.*; docs/tokenizers.
struct Vocabulary {
  std::string source;  // file, for messages
  std::string model;   // "gpt2": byte-level BPE; "llama": SentencePiece BPE; "none"; others see pipeline_gguf.h
  std::string pre;     // gpt2: the name of the pre-tokenizer
  std::vector<std::string> tokens;  // gpt2: normal tokens in the byte-level alphabet, the others as they are
  std::vector<float> scores;        // empty, or one a token; llama needs them
  std::vector<int32_t> types;       // empty (all normal), or one TokenType a token
  std::vector<std::string> merges;  // gpt2: "left right", best first
  std::optional<int32_t> bos, eos, eot, eom, unk, pad, sep;
  std::vector<int32_t> more_stops;              // other ids that end a generation (generation_config.json)
  bool add_bos = false;                         // what the model wants in front of a text, where a bos id exists
  bool add_eos = false;                         // and at its end
  bool add_sep = false;                         // the same for the token between two texts, where it ends one
  bool add_space_prefix = false;                // llama: a space before text that begins, or follows a special token
  bool remove_extra_whitespaces = false;        // t5: spaces at the ends, and all but one between words
  bool lowercase = true, strip_accents = true;  // bert
  std::string charsmap;                         // t5: SentencePiece's precompiled_charsmap
  std::string chat_template;                    // Jinja; empty when the file has none
  std::string hf_json;                          // tokenizer.json whole, where these fields cannot say all that it says
  std::shared_ptr<const Pipeline> pipeline;     // made of it: then the tokenizer is this
  std::string unsupported;  // model "none": why, when there is a tokenizer that this build does not know

  int32_t type(size_t id) const { return types.empty() ? kTokenNormal : types[id]; }
};

/// Reads tokenizer.ggml.* and checks it. `model` is "none" when the file has no tokenizer. Missing keys get llama.cpp's
/// defaults (llama: bos 1, eos 2, unk 0, add_bos and add_space_prefix; gpt2: none, but for the pre-tokenizers that add
/// bos). Throws Error (kInvalid) naming file and key.
Vocabulary vocabulary_from(const Config& config);

/// Sets the same keys from a vocabulary. Of more_stops two go to the keys of eot and eom where those are free. hf_json
/// is left out over kMaxGgufJsonBytes: then the file says less than the vocabulary.
void vocabulary_to(const Vocabulary& vocabulary, Config& config);

/// Array lengths, limits, types, ids within the vocabulary, scores that are numbers, byte tokens of the form <0xHH>.
/// Throws Error (kInvalid). Every Vocabulary from outside passes through here.
void check_vocabulary(const Vocabulary& vocabulary);

/// The byte of "<0x00>" to "<0xFF>" (two hexadecimal digits of either case); nothing for all else.
std::optional<uint8_t> parse_byte_token(const std::string& text);

}  // namespace godwit
