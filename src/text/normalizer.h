// What is done to text before it is cut and tokenized: the normalizers of tokenizer.json.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace godwit {

inline constexpr size_t kMaxNormalizerSteps = 64;

/// One step, by the names and fields of tokenizer.json. A Sequence is its steps in a row.
struct NormalizerStep {
  enum Kind {
    kNfc,
    kNfd,
    kNfkc,
    kNfkd,
    kLowercase,
    kStrip,          // left, right
    kStripAccents,   // removes all marks
    kNmt,            // removes control characters, makes others spaces
    kBert,           // clean_text, chinese, strip_accents, lowercase
    kPrecompiled,    // text: the charsmap's bytes
    kReplaceString,  // text by content
    kReplaceRegex,   // matches of text by content
    kPrepend,        // content, where there is text
    kByteLevel,      // each byte by its character of the byte-level alphabet
  };
  Kind kind = kNfc;
  std::string text;
  std::string content;
  bool left = true, right = true;
  bool clean_text = true, chinese = true, strip_accents = true, lowercase = true;
};

/// A chain of steps, immutable. The result equals that of Hugging Face's tokenizers (0.23) for valid UTF-8, whose
/// normal forms are those of Unicode 9; bytes that are not UTF-8 pass through (except byte level). Time n log n.
class Normalizer {
 public:
  /// Throws Error (kInvalid), naming `where` and the step: more than kMaxNormalizerSteps, a charsmap or a regular
  /// expression that cannot be used.
  explicit Normalizer(std::vector<NormalizerStep> steps = {}, std::string_view where = "normalizer");
  ~Normalizer();
  Normalizer(Normalizer&&) noexcept;
  Normalizer& operator=(Normalizer&&) noexcept;

  /// Throws Error (kInvalid) when a step makes text larger than 16 times the first plus 1 MiB.
  std::string apply(std::string_view text) const;

  bool empty() const { return steps_.empty(); }
  const std::vector<NormalizerStep>& steps() const { return steps_; }

 private:
  struct Compiled;

  std::vector<NormalizerStep> steps_;
  std::vector<std::unique_ptr<Compiled>> compiled_;  // by step; null where nothing is to prepare
};

}  // namespace godwit
