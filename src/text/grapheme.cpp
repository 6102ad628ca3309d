#include "text/grapheme.h"

#include "text/unicode.h"

namespace godwit {
namespace {

// Values of kPackedGraphemes, and the two kinds of Hangul syllable that the table leaves out.
enum Break {
  kBreakOther,
  kBreakCarriageReturn,
  kBreakLineFeed,
  kBreakControl,
  kBreakExtend,
  kBreakJoiner,
  kBreakRegional,
  kBreakPrepend,
  kBreakSpacing,
  kBreakHangulL,
  kBreakHangulV,
  kBreakHangulT,
  kBreakHangulLv,
  kBreakHangulLvt
};
constexpr int kGraphemePictographic = 16;
constexpr int kGraphemeConjunct = 96;  // mask of the next three
constexpr int kGraphemeLinker = 32, kGraphemeConsonant = 64, kGraphemeConjunctExtend = 96;

int break_of(uint32_t code) {
  static const CodeMap breaks(kPackedGraphemes);
  if (code >= 0xAC00 && code <= 0xD7A3) return (code - 0xAC00) % 28 == 0 ? kBreakHangulLv : kBreakHangulLvt;
  return breaks[code];
}

bool ends_line(int b) { return b == kBreakCarriageReturn || b == kBreakLineFeed || b == kBreakControl; }

/// What has been seen of the cluster, for the rules that look at more than the last character.
struct Seen {
  bool pictographic = false;  // a pictograph, then only Extend (and a joiner last)
  bool consonant = false;     // a consonant, then only linkers and extending characters
  bool linker = false;        // and among them a linker
  size_t n_regional = 0;      // at the end

  void add(int value) {
    const int b = value & 15;
    const int conjunct = value & kGraphemeConjunct;
    pictographic = (value & kGraphemePictographic) != 0 || (pictographic && (b == kBreakExtend || b == kBreakJoiner));
    if (conjunct == kGraphemeConsonant) {
      consonant = true;
      linker = false;
    } else if (conjunct == 0) {
      consonant = false;
    } else if (conjunct == kGraphemeLinker) {
      linker = true;
    }
    n_regional = b == kBreakRegional ? n_regional + 1 : 0;
  }
};

bool joins(int before, int value, const Seen& seen) {
  const int a = before & 15;
  const int b = value & 15;
  if (a == kBreakCarriageReturn) return b == kBreakLineFeed;
  if (ends_line(a) || ends_line(b)) return false;
  if (a == kBreakHangulL && (b == kBreakHangulL || b == kBreakHangulV || b == kBreakHangulLv || b == kBreakHangulLvt))
    return true;
  if ((a == kBreakHangulLv || a == kBreakHangulV) && (b == kBreakHangulV || b == kBreakHangulT)) return true;
  if ((a == kBreakHangulLvt || a == kBreakHangulT) && b == kBreakHangulT) return true;
  if (b == kBreakExtend || b == kBreakJoiner || b == kBreakSpacing || a == kBreakPrepend) return true;
  if ((value & kGraphemeConjunct) == kGraphemeConsonant && seen.consonant && seen.linker) return true;
  if (a == kBreakJoiner && (value & kGraphemePictographic) != 0 && seen.pictographic) return true;
  return a == kBreakRegional && b == kBreakRegional && seen.n_regional % 2 == 1;
}

}  // namespace

size_t grapheme_length(std::string_view text, size_t at) {
  Decoded d = decode_utf8(text, at);
  if (d.code == kInvalidByte) return 1;
  size_t end = at + d.length;
  Seen seen;
  int before = break_of(d.code);
  while (end < text.size()) {
    seen.add(before);
    d = decode_utf8(text, end);
    if (d.code == kInvalidByte) break;
    const int value = break_of(d.code);
    if (!joins(before, value, seen)) break;
    before = value;
    end += d.length;
  }
  return end - at;
}

}  // namespace godwit
