// Sets of characters, as regular expressions name them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace godwit {

/// Stands in sets for a byte that is not UTF-8: in no named set, and so in the complement of each.
inline constexpr uint32_t kInvalidInSet = 0x110000;

/// A set of code points and kInvalidInSet as ranges: sorted, apart, not touching.
class CharSet {
 public:
  struct Range {
    uint32_t first, last;  // both included
    bool operator==(const Range&) const = default;
  };

  CharSet() = default;
  CharSet(uint32_t first, uint32_t last) : ranges_{{first, last}} {}

  /// The characters with one of the bits (char_bits) and those with one of the flags (char_flags).
  static CharSet of_bits(uint32_t bits, uint8_t flags = 0);

  /// By its name in \p{...}: general categories (L, Lu, L&, Letter, ...), scripts, White_Space, Alphabetic, the POSIX
  /// classes, Any, Assigned; case, spaces, '-' and '_' do not matter. Nothing for other names.
  static std::optional<CharSet> named(std::string_view name);

  void add(uint32_t first, uint32_t last) { ranges_.push_back({first, last}); }
  void add(const CharSet& other) { ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end()); }

  /// To be called after the last add.
  void normalize();

  CharSet complement() const;
  CharSet intersection(const CharSet& other) const;

  /// With all characters that are equal to one of the set but for case (simple case folding).
  CharSet any_case() const;

  bool contains(uint32_t code) const;
  const std::vector<Range>& ranges() const { return ranges_; }
  bool operator==(const CharSet&) const = default;

 private:
  std::vector<Range> ranges_;
};

}  // namespace godwit
