// Cuts text into the pieces that byte-level BPE works on, one after the other. The expressions of the known tokenizers
// are written out by hand, so the time is linear whatever the text.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace godwit {

/// The splitters, named for the first model that used each. In a chain of expressions each one splits the pieces of the
/// one before (matches and the gaps between them), and sees nothing outside its piece. Marks below: C is a contraction
/// ('s 't 're 've 'm 'll 'd) in either case, U+017F counting as s; ... is \s+(?!\S)|\s+.
enum class Pretokenizer {
  kGpt2,       // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kStarcoder,  // \p{N}, then kGpt2
  kFalcon,     // [\p{P}$+<=>^~|`]+, then kGpt2, then [0-9][0-9][0-9]
  kDefault,    // [\p{P}$+<=>^~|]+, then kGpt2, then \p{N}+, then [0-9][0-9][0-9]
  kLlama3,     // C|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  kQwen2,      // kLlama3 with \p{N} for \p{N}{1,3}
  kQwen35,     // kQwen2 with \p{M} beside \p{L} everywhere but in the optional first character of a word
  // Words with a change of case within: U is [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], W is [\p{Ll}\p{Lm}\p{Lo}\p{M}].
  kTekken,         // [^\r\n\p{L}\p{N}]?U*W+|[^\r\n\p{L}\p{N}]?U+W*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|...
  kO200k,          // kTekken with C? after either word, and \p{N}{1,3}
  kKimiK2,         // [\p{Han}]+|, then kO200k without Han in U and W, and with [\r\n]* for [\r\n/]*
  kDeepseek3,      // \p{N}{1,3}; then [一-龥぀-ゟ゠-ヿ]+; then [ASCII
                   // sign][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
                   // ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  kDeepseekLlm,    // [\r\n]; \s?[cased letters]+; \s?[signs]+; \s+$; [一-龥ࠀ-一가-퟿]+; \p{N}+
  kDeepseekCoder,  // [\r\n]; \s?\p{L}+; \s?\p{P}+; [一-龥ࠀ-一가-퟿]+; \p{N}
  kBailing,        // kQwen2; contractions of ASCII letters only
  kSeedCoder,      // kBailing without [\r\n]* after signs
  kMinicpm5,       // \p{N}{1,3}, then kLlama3
  kLaguna,         // [^\n]+|[\n]+, then kQwen2
  kLines,          // [^\n]+|[\n]+
  kPoro,           // ?[^(\s|.,!?…。，、।۔،)]+
  kViking,         // kPoro, then \p{N}
};

/// What a name in tokenizer.ggml.pre stands for.
struct PretokenizerChoice {
  Pretokenizer kind;
  bool ignore_merges = false;  // a whole piece that is a token is that token, whatever the merges say
  bool add_bos = false;        // the default where the file does not say
  bool add_sep = false;        // the same for the separator at the end
};

/// Nothing for names that this build does not know.
std::optional<PretokenizerChoice> find_pretokenizer(std::string_view name);

/// The ends of the pieces of `text` as byte offsets, rising; the last is text.size(). Empty text has no pieces. Bytes
/// that are not UTF-8 count as characters of no class. Text must be under 4 GiB (else throws Bug).
std::vector<uint32_t> pretokenize(Pretokenizer kind, std::string_view text);

}  // namespace godwit
