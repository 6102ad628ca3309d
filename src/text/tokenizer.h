// Text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/special_tokens.h"
#include "text/vocabulary.h"

namespace godwit {

struct EncodeOptions {
  bool special = true;  // text that reads as a control token becomes that token; false for text from users
  bool bos = true;      // the begin (and end) token that the model wants around a text
  /// Bytes that no control token is made of, not even partly: text from users within a rendered chat. Rising, not
  /// overlapping. User-defined tokens match there all the same, but for those that mark turns: named as begin, end or
  /// stop, written in the chat template, or of the form <|...|>. All else is done as if the ranges were not
  /// given.
  std::span<const TextRange> plain = {};
};

/// A tokenizer of one model: immutable, usable from any number of threads. Text is bytes; bytes that are not UTF-8 are
/// tokenized too. Encoding takes time n log n for n bytes, whatever they are.
///
/// Before anything else, user-defined tokens (and, when asked for, control and unknown tokens) are cut out of the text:
/// from left to right, the longest at each place. Tokens that end a generation and are known by their text are control
/// tokens whatever type the file gives them. Control, unknown, unused and byte tokens are never the result of merges.
/// Of tokens with equal text the last counts, as in llama.cpp.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// The ids of `text`. Text of 4 GiB and more throws Error (kFailed).
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// The bytes that a token stands for, control tokens as they are written; empty for ids outside the vocabulary (rows
  /// that pad an embedding). Valid as long as the tokenizer.
  std::string_view piece(int32_t id) const;

  /// The pieces of `ids` in a row, without control and unknown tokens if skip_special. Gives back what encode was given
  /// (without bos), except: bytes that the vocabulary has no token for are lost; with SentencePiece U+2581 becomes a
  /// space, and one leading space is removed where encode adds one.
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

  /// How far a text has come that is put together from its tokens.
  struct TextState {
    bool first = true;        // no token yet
    size_t strip = 0;         // characters that may still go from its start
    bool held_space = false;  // a space that goes if no token follows
  };
  /// The state of a text of which these tokens are the beginning, and of one that goes on.
  TextState text_begins() const { return {true, strip_count_, false}; }
  TextState text_goes_on() const { return {false, 0, false}; }
  /// The bytes that the next token adds to a text. Special tokens too; whoever wants none leaves them out.
  std::string next_text(int32_t id, TextState& state) const;

  /// Whether an id is a control or the unknown token: no text, unless asked for.
  bool is_special(int32_t id) const;

  /// Ids that end a generation, rising: end of text, of turn, of message, and tokens known by their text. Source:
  /// llama.cpp, src/llama-vocab.cpp.
  const std::vector<int32_t>& stop_ids() const { return stop_ids_; }

  int32_t size() const { return static_cast<int32_t>(offsets_.size()) - 1; }
  std::optional<int32_t> bos() const { return bos_; }
  std::optional<int32_t> eos() const { return eos_; }
  /// Whether encode puts the bos id in front of a text.
  bool adds_bos() const { return bos_ && !before_.empty() && before_.front() == *bos_; }
  bool adds_space_prefix() const { return add_space_prefix_; }

 protected:
  explicit Tokenizer(const Vocabulary& vocabulary);

  /// Appends the ids of a text, without those around it: cuts out special tokens and calls encode_text.
  virtual void encode_between(std::string_view text, const EncodeOptions& options, std::vector<int32_t>& ids) const;

  /// The bytes of the first token of a text, where they are not piece(id).
  virtual std::string first_piece(int32_t id) const { return std::string(piece(id)); }

  /// Appends the ids of text between special tokens. `opens`: it begins the whole text or follows a special token.
  virtual void encode_text(std::string_view text, bool opens, std::vector<int32_t>& ids) const = 0;

  /// Sets the bytes of all tokens; `pieces` in order of ids.
  void set_pieces(const std::vector<std::string>& pieces);

  /// What goes from the start of a text that is put together: at most `count` times `strip`; and from its end: the
  /// space of the last token.
  void set_opening(std::string strip, size_t count, bool drops_last_space) {
    strip_ = std::move(strip);
    strip_count_ = count;
    drops_last_space_ = drops_last_space;
  }

  int32_t type(size_t id) const { return types_[id]; }
  bool is_marker(int32_t id) const { return id >= 0 && is_marker_[static_cast<size_t>(id)]; }
  std::optional<int32_t> unk_;
  std::vector<int32_t> before_, after_;  // ids around a text

 private:
  void find_markers(const Vocabulary& vocabulary);

  std::vector<bool> is_marker_;  // user-defined tokens that mark turns
  std::vector<int32_t> types_;   // with the corrections described above
  std::string bytes_;            // of all pieces
  std::vector<uint64_t> offsets_{0};
  AddedTokenSearch special_;
  std::vector<int32_t> stop_ids_;
  std::optional<int32_t> bos_, eos_;
  bool add_space_prefix_;
  std::string strip_ = " ";
  size_t strip_count_;
  bool drops_last_space_ = false;
};

/// The tokenizer of a vocabulary. Null, with a reason in `why_not`, for a kind or a pre-tokenizer that this build does
/// not know: the model can be used without text. Throws Error (kInvalid) for a vocabulary that contradicts itself.
std::unique_ptr<Tokenizer> make_tokenizer(const Vocabulary& vocabulary, std::string& why_not);

}  // namespace godwit
