// How a tokenizer.json cuts text into the pieces that its model works on: pre-tokenizers, one after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/pretokenize.h"

namespace godwit {

/// Bytes [begin, end) of Pieces::text.
struct PieceRange {
  uint32_t begin, end;
};

/// A text on its way to the model: pieces of one buffer, in order; none is empty.
struct Pieces {
  std::string text;
  std::vector<PieceRange> ranges;
  bool opens = false;            // the first piece begins the whole input
  size_t most_bytes = SIZE_MAX;  // that steps may make of the text
};

/// What becomes of matches and of the gaps between them. Source: Hugging Face tokenizers, SplitDelimiterBehavior.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// A part of a piece that an expression matched, or what lies between two.
struct SplitPart {
  uint32_t begin, end;
  bool matched;
};

/// Cuts one piece into parts that follow each other without gaps. Offsets are those of the piece.
using PartFinder = std::function<std::vector<SplitPart>(std::string_view piece)>;

/// Parts as `behavior` wants them.
std::vector<PieceRange> apply_behavior(const std::vector<SplitPart>& parts, SplitBehavior behavior);

/// The characters of a class one by one, and what lies between.
std::vector<SplitPart> parts_by_character(std::string_view piece, bool (*is_match)(uint32_t code));
/// The runs of a class and what lies between: \w+|[^\w\s]+ are the matches of Whitespace.
std::vector<SplitPart> parts_by_word(std::string_view piece);
/// The places of a text, from left to right, not overlapping.
std::vector<SplitPart> parts_by_text(std::string_view piece, std::string_view wanted);

/// Whether a code point is part of a word: Alphabetic, M, Nd, Pc and Join_Control. Source: Unicode TS 18, annex C.
bool is_word_character(uint32_t code);
/// Punctuation of ASCII or of Unicode (P).
bool is_any_punctuation(uint32_t code);
bool is_white_space(uint32_t code);
bool is_numeric(uint32_t code);

/// One step. Steps are immutable and usable from any number of threads.
class SplitStep {
 public:
  virtual ~SplitStep() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

/// Split, Digits, Punctuation, Whitespace, ...: a finder and what becomes of its parts.
class PartStep final : public SplitStep {
 public:
  PartStep(PartFinder finder, SplitBehavior behavior, bool invert = false)
      : finder_(std::move(finder)), behavior_(behavior), invert_(invert) {}
  void apply(Pieces& pieces) const override;

 private:
  PartFinder finder_;
  SplitBehavior behavior_;
  bool invert_;
};

/// One of the splitters of pretokenize.h.
class KnownStep final : public SplitStep {
 public:
  explicit KnownStep(Pretokenizer kind) : kind_(kind) {}
  void apply(Pieces& pieces) const override;

 private:
  Pretokenizer kind_;
};

/// Pieces of `length` characters.
class FixedLengthStep final : public SplitStep {
 public:
  explicit FixedLengthStep(size_t length) : length_(length) {}
  void apply(Pieces& pieces) const override;

 private:
  size_t length_;
};

/// A space in front of every piece that has none.
class SpacePrefixStep final : public SplitStep {
 public:
  void apply(Pieces& pieces) const override;
};

/// Bytes as characters of the byte-level alphabet, where steps follow or the model wants characters.
class ByteLevelStep final : public SplitStep {
 public:
  void apply(Pieces& pieces) const override;
};

/// Spaces become a mark; one is put in front, perhaps; each mark begins a piece, perhaps.
class MetaspaceStep final : public SplitStep {
 public:
  enum class Prepend { kFirst, kNever, kAlways };
  MetaspaceStep(std::string mark, Prepend prepend, bool split)
      : mark_(std::move(mark)), prepend_(prepend), split_(split) {}
  void apply(Pieces& pieces) const override;

 private:
  std::string mark_;
  Prepend prepend_;
  bool split_;
};

}  // namespace godwit
