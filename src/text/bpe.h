// Byte-level BPE (GPT-2 and relatives): GGUF model "gpt2".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace godwit {

/// The byte-level alphabet: the code point that stands for a byte. Printable Latin-1 stands for itself, the other 68
/// bytes for U+0100 on. Source: GPT-2 (Radford et al. 2019), encoder.py.
uint32_t byte_level_code(uint8_t byte);

/// The byte that a code point of the byte-level alphabet stands for; nothing for others.
std::optional<uint8_t> byte_of_level_code(uint32_t code);

/// `bytes` in the byte-level alphabet, as UTF-8.
std::string to_byte_level(std::string_view bytes);

/// The bytes of text in the byte-level alphabet; nothing when a character is not of the alphabet.
std::optional<std::string> from_byte_level(std::string_view text);

/// Null, with a reason, when the name of the pre-tokenizer is unknown. Throws Error (kInvalid) for merges that are not
/// two pieces with one space between, or name a piece that is no token.
std::unique_ptr<Tokenizer> make_byte_level_bpe(const Vocabulary& vocabulary, std::string& why_not);

}  // namespace godwit
