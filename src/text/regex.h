// Regular expressions in linear time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace godwit {

inline constexpr size_t kMaxRegexBytes = size_t{64} << 10;  // of the source
inline constexpr size_t kMaxRegexSteps = 8192;              // of the program, repeats written out
inline constexpr size_t kMaxRegexDepth = 100;               // groups in groups

/// An expression in Oniguruma's syntax, as tokenizer.json has it: alternatives (the first that matches wins), groups,
/// (?i), (?m), (?i:...), sets with ranges, nesting, && and \p{...}, \s \d \w \h, \b ^ $ \A \z, and ? * + {m,n},
/// greedy, lazy and possessive. Immutable, usable from any number of threads.
///
/// Time is linear in the text for every expression: a pass from the end finds for each place which parts of the
/// expression can still match from there, so that the walk from the front never turns back. Source: Frisch and Cardelli
/// 2004, "Greedy regular expression matching".
class Regex {
 public:
  /// Throws Error (kInvalid), beginning with `where`, for what is no expression and, by name, for what cannot be done
  /// in linear time or is not known: back-references, look-behind, look-ahead at more than one character, atomic groups
  /// and possessive repeats of more than one character, and more.
  static Regex compile(std::string_view source, std::string_view where = "regular expression");

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  struct Range {
    uint32_t begin, end;  // bytes
    bool operator==(const Range&) const = default;
  };

  /// The matches from left to right, none overlapping; an empty one never where another ended. A byte that is not
  /// UTF-8 is a character that only complements have ('.', [^...], \S, \P{...}). Text must be under 4 GiB (else throws
  /// Bug).
  std::vector<Range> find_all(std::string_view text) const;

 private:
  class Program;
  explicit Regex(std::unique_ptr<const Program> program);

  std::unique_ptr<const Program> program_;
};

}  // namespace godwit
