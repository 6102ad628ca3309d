// From tokens to text, as the decoder of a tokenizer.json says: what each token stands for, alone, so that text
// streams.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace godwit {

inline constexpr size_t kMaxAllDecodedBytes = size_t{256} << 20;
inline constexpr size_t kMaxDecodedBytes = size_t{64} << 10;  // of one token, as in the vocabulary itself

/// One step over a token's text. Source: Hugging Face tokenizers, decoders.
struct DecoderStep {
  enum class Kind { kByteLevel, kReplace, kByteFallback, kStrip, kMetaspace, kWordPiece, kBpe, kJoin };
  Kind kind;
  std::string text =
      {};  // kReplace: what is replaced; kStrip, kMetaspace: a character; kWordPiece, kBpe: prefix, suffix
  std::string content = {};    // kReplace: by what
  size_t start = 0, stop = 0;  // kStrip: at most so many characters at either end
  bool flag = false;           // kMetaspace: not at the start of a text; kWordPiece: cleanup
};

/// A chain of steps. A token's bytes depend on nothing but whether it is the first of its text; besides, `strip`
/// characters may go from the start of the whole text, and the last token may lose the space that ends it.
struct DecoderChain {
  std::vector<DecoderStep> steps;
  std::string strip = " ";        // what goes from the start of the text
  size_t strip_count = 0;         // at most so many
  bool drops_last_space = false;  // kBpe: the end of the last word is no space

  /// The bytes of a token as it stands in the vocabulary. Throws Error (kInvalid) when they become too many.
  std::string decode(std::string_view token, bool first) const;
};

}  // namespace godwit
