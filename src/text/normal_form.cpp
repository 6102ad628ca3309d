#include "text/normal_form.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "text/unicode.h"

namespace godwit {
namespace {

constexpr uint32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3;
constexpr uint32_t kLeadFirst = 0x1100, kVowelFirst = 0x1161, kTrailBefore = 0x11A7;
constexpr uint32_t kLeads = 19, kVowels = 21, kTrails = 28;

/// Bits of NormalData::traits beside the combining class in the low byte.
constexpr int32_t kHasCanonical = 1 << 8;
constexpr int32_t kHasCompatible = 1 << 9;
constexpr int32_t kComposesBack = 1 << 10;  // may join the character before
constexpr int32_t kNewer = 1 << 11;         // not known to Unicode 9

struct NormalData {
  CodeMap classes{kPackedCombiningClasses};
  CodeMap newer{kPackedNewerThanUnicode9};
  std::unordered_map<uint32_t, std::u32string> canonical, compatible;  // whole decompositions
  std::unordered_map<uint64_t, uint32_t> pairs;                        // (first, second) -> composed
  std::vector<int32_t> traits;                                         // by code point

  NormalData() : traits(0x110000) {
    for (uint32_t code = 0; code < 0x110000; ++code) traits[code] = classes[code] | (newer[code] != 0 ? kNewer : 0);
    // Decompositions are listed one step deep; what a step leads to may lie later in the list.
    std::unordered_map<uint32_t, std::u32string> canonical_step, any_step;
    uint32_t code = 0;
    for (PackedReader reader(kPackedCanonical); reader.more();) {
      code += static_cast<uint32_t>(reader.next());
      const bool excluded = reader.next() != 0;
      const uint32_t first = code + static_cast<uint32_t>(reader.next());
      const uint32_t second = static_cast<uint32_t>(reader.next());
      std::u32string& to = canonical_step[code];
      to += static_cast<char32_t>(first);
      if (second != 0) to += static_cast<char32_t>(second);
      traits[code] |= kHasCanonical;
      if (excluded || second == 0) continue;
      pairs[uint64_t{first} << 32 | second] = code;
      traits[second] |= kComposesBack;
    }
    any_step = canonical_step;
    code = 0;
    for (PackedReader reader(kPackedCompatible); reader.more();) {
      code += static_cast<uint32_t>(reader.next());
      uint32_t at = code;
      for (int32_t left = reader.next(); left > 0; --left) {
        at += static_cast<uint32_t>(reader.next());
        any_step[code] += static_cast<char32_t>(at);
      }
      traits[code] |= kHasCompatible;
    }
    // A character with a canonical decomposition only may still lead to one with a compatible one.
    for (const auto& step : any_step) {
      compatible[step.first] = expand(any_step, step.first);
      if (compatible[step.first] != expand(canonical_step, step.first)) traits[step.first] |= kHasCompatible;
    }
    for (const auto& step : canonical_step) canonical[step.first] = expand(canonical_step, step.first);
    for (uint32_t c = kVowelFirst; c < kVowelFirst + kVowels; ++c) traits[c] |= kComposesBack;
    for (uint32_t c = kTrailBefore + 1; c < kTrailBefore + kTrails; ++c) traits[c] |= kComposesBack;
  }

  static std::u32string expand(const std::unordered_map<uint32_t, std::u32string>& steps, uint32_t code) {
    std::u32string text(1, static_cast<char32_t>(code));
    for (size_t i = 0; i < text.size();) {
      const auto step = steps.find(text[i]);
      if (step == steps.end()) {
        ++i;
      } else {
        text.replace(i, 1, step->second);
      }
    }
    return text;
  }
};

const NormalData& normal_data() {
  static const NormalData data;
  return data;
}

class Former {
 public:
  Former(NormalForm form, NormalVersion version)
      : data_(normal_data()),
        compose_(form == NormalForm::kNfc || form == NormalForm::kNfkc),
        compatible_(form == NormalForm::kNfkc || form == NormalForm::kNfkd),
        known_(version == NormalVersion::kUnicode9 ? kNewer : 0) {}

  std::string run(std::string_view text) {
    out_.reserve(text.size() + text.size() / 8);
    for (size_t at = 0; at < text.size();) {
      if (static_cast<uint8_t>(text[at]) < 0x80) {
        put_starter(static_cast<uint8_t>(text[at++]));
        continue;
      }
      const Decoded d = decode_utf8(text, at);
      if (d.code == kInvalidByte) {
        flush();
        out_ += text[at];
      } else {
        decompose(d.code);
      }
      at += d.length;
    }
    flush();
    return std::move(out_);
  }

 private:
  struct Character {
    uint32_t code;
    uint8_t combining;
  };

  /// 0 for a character that the version does not know.
  int32_t traits(uint32_t code) const {
    const int32_t t = data_.traits[code];
    return (t & known_) != 0 ? 0 : t;
  }

  void decompose(uint32_t code) {
    if (code >= kHangulFirst && code <= kHangulLast) {
      const uint32_t index = code - kHangulFirst;
      put_starter(kLeadFirst + index / (kVowels * kTrails));
      put(kVowelFirst + index % (kVowels * kTrails) / kTrails, kComposesBack);
      if (index % kTrails != 0) put(kTrailBefore + index % kTrails, kComposesBack);
      return;
    }
    const int32_t t = traits(code);
    const bool whole = (t & (compatible_ ? kHasCanonical | kHasCompatible : kHasCanonical)) == 0;
    if (whole) return put(code, t);
    for (const char32_t part : (compatible_ ? data_.compatible : data_.canonical).find(code)->second) {
      put(part, traits(part));
    }
  }

  void put(uint32_t code, int32_t t) {
    if ((t & (0xFF | kComposesBack)) == 0) return put_starter(code);
    held_.push_back({code, static_cast<uint8_t>(t)});
  }

  /// A character that nothing before it has to wait for.
  void put_starter(uint32_t code) {
    flush();
    held_.push_back({code, 0});
  }

  void flush() {
    if (held_.size() > 1) {
      sort();
      if (compose_) compose();
    }
    for (const Character& c : held_) append_utf8(out_, c.code);
    held_.clear();
  }

  /// Canonical order: runs of non-starters by class, equals as they stood.
  void sort() {
    for (size_t i = 0; i < held_.size(); ++i) {
      if (held_[i].combining == 0) continue;
      const size_t begin = i;
      bool sorted = true;
      for (; i < held_.size() && held_[i].combining != 0; ++i) {
        sorted = sorted && (i == begin || held_[i - 1].combining <= held_[i].combining);
      }
      if (sorted) continue;
      std::stable_sort(held_.begin() + static_cast<ptrdiff_t>(begin), held_.begin() + static_cast<ptrdiff_t>(i),
                       [](const Character& a, const Character& b) { return a.combining < b.combining; });
    }
  }

  void compose() {
    size_t n = 0, starter = held_.size();
    int32_t last = -1;  // the class between the starter and here; -1: nothing is between
    for (const Character c : held_) {
      if (starter < n && last < c.combining) {
        if (const uint32_t whole = pair(held_[starter].code, c.code)) {
          held_[starter].code = whole;
          continue;
        }
      }
      if (c.combining == 0) {
        starter = n;
        last = -1;
      } else {
        last = c.combining;
      }
      held_[n++] = c;
    }
    held_.resize(n);
  }

  /// The composition of two characters; 0 when there is none.
  uint32_t pair(uint32_t first, uint32_t second) const {
    if (first >= kLeadFirst && first < kLeadFirst + kLeads && second >= kVowelFirst && second < kVowelFirst + kVowels) {
      return kHangulFirst + ((first - kLeadFirst) * kVowels + second - kVowelFirst) * kTrails;
    }
    if (first >= kHangulFirst && first <= kHangulLast && (first - kHangulFirst) % kTrails == 0 &&
        second > kTrailBefore && second < kTrailBefore + kTrails) {
      return first + second - kTrailBefore;
    }
    const auto found = data_.pairs.find(uint64_t{first} << 32 | second);
    return found == data_.pairs.end() || (data_.traits[found->second] & known_) != 0 ? 0 : found->second;
  }

  const NormalData& data_;
  bool compose_, compatible_;
  int32_t known_;  // the bit of characters to take for unknown
  std::vector<Character> held_;
  std::string out_;
};

}  // namespace

std::string to_normal_form(std::string_view text, NormalForm form, NormalVersion version) {
  return Former(form, version).run(text);
}

}  // namespace godwit
