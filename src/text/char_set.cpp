#include "text/char_set.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "text/unicode.h"

namespace godwit {
namespace {

struct NamedBits {
  std::string_view name;
  uint32_t bits;
  uint8_t flags = 0;
};

constexpr NamedBits kNamedBits[] = {
    {"l", kAnyL},
    {"letter", kAnyL},
    {"lu", kLu},
    {"uppercaseletter", kLu},
    {"ll", kLl},
    {"lowercaseletter", kLl},
    {"lt", kLt},
    {"titlecaseletter", kLt},
    {"lc", kLu | kLl | kLt},
    {"l&", kLu | kLl | kLt},
    {"casedletter", kLu | kLl | kLt},
    {"lm", kLm},
    {"modifierletter", kLm},
    {"lo", kLo},
    {"otherletter", kLo},
    {"m", kAnyM},
    {"mark", kAnyM},
    {"combiningmark", kAnyM},
    {"mn", kMn},
    {"nonspacingmark", kMn},
    {"mc", kMc},
    {"spacingmark", kMc},
    {"me", kMe},
    {"enclosingmark", kMe},
    {"n", kAnyN},
    {"number", kAnyN},
    {"nd", kNd},
    {"decimalnumber", kNd},
    {"digit", kNd},
    {"nl", kNl},
    {"letternumber", kNl},
    {"no", kNo},
    {"othernumber", kNo},
    {"p", kAnyP},
    {"punctuation", kAnyP},
    {"pc", kPc},
    {"connectorpunctuation", kPc},
    {"pd", kPd},
    {"dashpunctuation", kPd},
    {"ps", kPs},
    {"openpunctuation", kPs},
    {"pe", kPe},
    {"closepunctuation", kPe},
    {"pi", kPi},
    {"initialpunctuation", kPi},
    {"pf", kPf},
    {"finalpunctuation", kPf},
    {"po", kPo},
    {"otherpunctuation", kPo},
    {"s", kAnyS},
    {"symbol", kAnyS},
    {"sm", kSm},
    {"mathsymbol", kSm},
    {"sc", kSc},
    {"currencysymbol", kSc},
    {"sk", kSk},
    {"modifiersymbol", kSk},
    {"so", kSo},
    {"othersymbol", kSo},
    {"z", kAnyZ},
    {"separator", kAnyZ},
    {"zs", kZs},
    {"spaceseparator", kZs},
    {"zl", kZl},
    {"lineseparator", kZl},
    {"zp", kZp},
    {"paragraphseparator", kZp},
    {"c", kAnyC},
    {"other", kAnyC},
    {"cc", kCc},
    {"control", kCc},
    {"cntrl", kCc},
    {"cf", kCf},
    {"format", kCf},
    {"cs", kCs},
    {"surrogate", kCs},
    {"co", kCo},
    {"privateuse", kCo},
    {"cn", kCn},
    {"unassigned", kCn},
    {"any", kAnyCategory},
    {"assigned", kAnyCategory & ~kCn},
    {"whitespace", kWhiteSpace},
    {"space", kWhiteSpace},
    {"alphabetic", 0, kAlphabetic},
    {"alpha", 0, kAlphabetic},
    {"lowercase", 0, kLowercase},
    {"lower", 0, kLowercase},
    {"uppercase", 0, kUppercase},
    {"upper", 0, kUppercase},
    {"alnum", kNd, kAlphabetic},
    {"punct", kAnyP},
};

/// Characters equal but for case, by what they fold to; only those that are not alone.
const std::unordered_map<uint32_t, std::vector<uint32_t>>& case_classes() {
  static const auto classes = [] {
    std::unordered_map<uint32_t, std::vector<uint32_t>> made;
    for (uint32_t code = 0; code < 0x20000; ++code) {
      const uint32_t first = fold_case(code);
      if (first == code) continue;
      std::vector<uint32_t>& alike = made[first];
      if (alike.empty()) alike.push_back(first);
      alike.push_back(code);
    }
    return made;
  }();
  return classes;
}

/// Code points where char_properties changes, with its value from there on.
struct PropertiesRun {
  uint32_t first;
  const CharProperties* properties;
};
const std::vector<PropertiesRun>& property_runs() {
  static const auto runs = [] {
    std::vector<PropertiesRun> made;
    for (uint32_t code = 0; code < 0x110000; ++code) {
      const CharProperties* p = &char_properties(code);
      if (made.empty() || made.back().properties != p) made.push_back({code, p});
    }
    return made;
  }();
  return runs;
}

/// Code points where the script changes, with the script from there on.
const std::vector<CodeMap::Run>& script_runs() {
  static const auto runs = [] {
    std::vector<CodeMap::Run> made;
    for (uint32_t code = 0; code < 0x110000; ++code) {
      const int32_t script = script_of(code);
      if (made.empty() || made.back().value != script) made.push_back({code, script});
    }
    return made;
  }();
  return runs;
}

}  // namespace

CharSet CharSet::of_bits(uint32_t bits, uint8_t flags) {
  CharSet set;
  const auto& runs = property_runs();
  for (size_t i = 0; i < runs.size(); ++i) {
    const CharProperties& p = *runs[i].properties;
    if ((p.bits & bits) == 0 && (p.flags & flags) == 0) continue;
    set.add(runs[i].first, (i + 1 < runs.size() ? runs[i + 1].first : 0x110000) - 1);
  }
  set.normalize();
  return set;
}

std::optional<CharSet> CharSet::named(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c == ' ' || c == '-' || c == '_') continue;
    plain += static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  }
  for (const NamedBits& known : kNamedBits) {
    if (known.name == plain) return of_bits(known.bits, known.flags);
  }
  if (plain == "word") {
    // With six superscripts and fractions of Latin-1, as Oniguruma has it.
    CharSet set = of_bits(kAnyM | kNd | kPc, kAlphabetic);
    for (const uint32_t c : {0xB2u, 0xB3u, 0xB9u, 0xBCu, 0xBDu, 0xBEu}) set.add(c, c);
    set.normalize();
    return set;
  }
  if (plain == "xdigit" || plain == "asciihexdigit") {
    CharSet set('0', '9');
    set.add('A', 'F');
    set.add('a', 'f');
    set.normalize();
    return set;
  }
  if (plain == "blank") {
    CharSet set = of_bits(kZs);
    set.add('\t', '\t');
    set.normalize();
    return set;
  }
  if (plain == "ascii") return CharSet(0, 0x7F);
  const int32_t script = find_script(plain);
  if (script < 0) return std::nullopt;
  CharSet set;
  const auto& runs = script_runs();
  for (size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].value != script) continue;
    set.add(runs[i].first, (i + 1 < runs.size() ? runs[i + 1].first : 0x110000) - 1);
  }
  return set;
}

void CharSet::normalize() {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
  size_t n = 0;
  for (const Range range : ranges_) {
    if (n > 0 && range.first <= ranges_[n - 1].last + 1) {
      ranges_[n - 1].last = std::max(ranges_[n - 1].last, range.last);
    } else {
      ranges_[n++] = range;
    }
  }
  ranges_.resize(n);
}

CharSet CharSet::complement() const {
  CharSet set;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) set.add(next, range.first - 1);
    next = range.last + 1;
  }
  if (next <= kInvalidInSet) set.add(next, kInvalidInSet);
  return set;
}

CharSet CharSet::intersection(const CharSet& other) const {
  CharSet set;
  size_t i = 0, j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const Range& a = ranges_[i];
    const Range& b = other.ranges_[j];
    const uint32_t first = std::max(a.first, b.first), last = std::min(a.last, b.last);
    if (first <= last) set.add(first, last);
    if (a.last < b.last) {
      ++i;
    } else {
      ++j;
    }
  }
  return set;
}

CharSet CharSet::any_case() const {
  CharSet set = *this;
  for (const auto& alike : case_classes()) {
    bool some = false;
    for (const uint32_t code : alike.second) some = some || contains(code);
    if (!some) continue;
    for (const uint32_t code : alike.second) set.add(code, code);
  }
  set.normalize();
  return set;
}

bool CharSet::contains(uint32_t code) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), code,
                                      [](uint32_t value, const Range& range) { return value < range.first; });
  return after != ranges_.begin() && code <= (after - 1)->last;
}

}  // namespace godwit
