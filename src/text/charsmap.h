// SentencePiece's precompiled normaliser: which strings become which.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace godwit {

inline constexpr size_t kMaxCharsmapKeyBytes = 256;  // of a string that is replaced; longer ones are not found

/// A table of replacements: a double array (Aoe 1989, in the form of darts-clone) over the bytes of what is replaced,
/// and the replacements. Source: SentencePiece, normalizer.cc.
class Charsmap {
 public:
  /// `bytes`: the size of the double array in bytes (32 bits, little endian), the double array, the replacements, each
  /// ended by a zero byte. No bytes: nothing is replaced. Throws Error (kInvalid), naming `where`, for sizes that do
  /// not fit, or replacements that do not end or are not UTF-8. An entry that leads outside the tables is no entry.
  explicit Charsmap(std::string_view bytes = {}, std::string_view where = "precompiled_charsmap");

  /// A string that `text` begins with, and what replaces it; length 0 when there is none. Replacements stay valid as
  /// long as the Charsmap.
  struct Match {
    size_t length = 0;
    std::string_view replacement;
  };
  Match longest(std::string_view text) const { return find(text, true); }
  Match shortest(std::string_view text) const { return find(text, false); }

  bool empty() const { return units_.empty(); }

 private:
  Match find(std::string_view text, bool longest) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace godwit
