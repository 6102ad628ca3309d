// Token ids to text as they come.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace godwit {

struct DetokenizerOptions {
  bool show_special = false;  // control tokens as they are written, else nothing
  bool begins_text = false;   // the ids begin a text: the space that encode puts in front is removed
};

/// Turns ids into UTF-8 piece by piece. What might be the beginning of a character is held back until the character is
/// whole or can no longer become one; then each longest start of a character becomes one U+FFFD (Unicode 16.0, section
/// 3.9). All texts in a row do not depend on how the ids came. Refers to the tokenizer, which must live longer.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, const DetokenizerOptions& options = {})
      : tokenizer_(&tokenizer),
        show_special_(options.show_special),
        state_(options.begins_text ? tokenizer.text_begins() : tokenizer.text_goes_on()) {}

  /// The text that this id completes; always valid UTF-8, perhaps empty.
  std::string push(int32_t id);

  /// The text held back, at the end.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  bool show_special_;
  Tokenizer::TextState state_;
  std::string held_;  // at most 3 bytes between calls
};

/// `bytes` with one U+FFFD for each longest start of a character that is not completed, and for each byte that starts
/// none.
std::string replace_invalid_utf8(std::string_view bytes);

}  // namespace godwit
