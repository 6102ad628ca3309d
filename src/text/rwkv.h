// RWKV's tokenizer: the longest token at each place, over bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"

namespace godwit {

/// A token of rwkv_vocab_v20230424.txt: its id and bytes.
struct RwkvToken {
  int32_t id;
  std::string bytes;
};

/// Reads the vocabulary's text: a line a token, of its id, a Python literal ('...' or b'...', either quote) and its
/// length in bytes. Throws Error (kInvalid), naming `where` and the line: a literal that is none, another length, an id
/// that does not rise, more than kMaxVocabulary tokens.
std::vector<RwkvToken> parse_rwkv_vocabulary(std::string_view text, std::string_view where);

/// The bytes of a token as GGUF holds it: \t, \n, \r and \xHH are bytes, a backslash before anything else stands for
/// that; an escape that is cut short is left out. Source: llama.cpp, src/llama-vocab.cpp.
std::string unescape_rwkv_token(std::string_view text);

/// The same backwards: what Python writes within b'...'.
std::string escape_rwkv_token(std::string_view bytes);

/// Immutable. Time is n times the longest token.
class Rwkv {
 public:
  /// `tokens` are bytes, by id; empty ones are never found.
  Rwkv(const std::vector<std::string>& tokens, std::optional<int32_t> unk);

  /// Appends the ids: the longest token at each place; a byte that begins none is the unknown token, or nothing.
  void encode(std::string_view text, std::vector<int32_t>& ids) const;

 private:
  ByteTrie trie_;
  int32_t unk_;
};

}  // namespace godwit
