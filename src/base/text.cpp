#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace godwit {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // distances of a's first i bytes to every beginning of b
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string_view closest(std::string_view word, std::span<const std::string_view> candidates) {
  constexpr size_t kLongestWord = 64;
  if (word.size() > kLongestWord) return {};
  size_t allowed = word.size() <= 3 ? 1 : std::max<size_t>(2, word.size() / 3);
  std::string_view best;
  for (std::string_view candidate : candidates) {
    if (candidate.size() > word.size() + allowed) continue;
    const size_t distance = edit_distance(word, candidate);
    if (distance > allowed || distance >= std::max(word.size(), candidate.size())) continue;
    if (distance == 0) return candidate;
    best = candidate;
    allowed = distance - 1;
  }
  return best;
}

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// Bytes of a unit such as "", "b", "g", "gi", "gib", "gb"; 0 when it is none.
uint64_t unit_bytes(std::string_view unit) {
  std::string u(unit);
  std::transform(u.begin(), u.end(), u.begin(), lower);
  if (u.empty() || u == "b") return 1;
  constexpr std::string_view kPrefixes = "kmgtp";
  const size_t power = kPrefixes.find(u[0]);
  if (power == std::string_view::npos) return 0;
  const std::string rest = u.substr(1);
  if (rest != "" && rest != "i" && rest != "ib" && rest != "b") return 0;
  uint64_t bytes = 1;
  for (size_t i = 0; i <= power; ++i) bytes *= rest == "b" ? 1000 : 1024;
  return bytes;
}

}  // namespace

uint64_t parse_size(std::string_view text) {
  const std::string_view all = trimmed(text);
  size_t at = 0;
  uint64_t whole = 0;
  bool too_large = false;
  for (; at < all.size() && is_digit(all[at]); ++at)
    too_large |= __builtin_mul_overflow(whole, uint64_t{10}, &whole) ||
                 __builtin_add_overflow(whole, static_cast<uint64_t>(all[at] - '0'), &whole);
  const size_t whole_digits = at;
  double fraction = 0.0;
  bool bad = whole_digits == 0;
  if (!bad && at < all.size() && all[at] == '.') {
    double place = 0.1;
    for (++at; at < all.size() && is_digit(all[at]); ++at, place /= 10) fraction += place * (all[at] - '0');
    bad = !is_digit(all[at - 1]);
  }
  const uint64_t unit = bad ? 0 : unit_bytes(trimmed(all.substr(at)));
  if (unit == 0 || (unit == 1 && at > whole_digits))
    fail(ErrorKind::kUsage, "{} is not a size: expected bytes such as 8GiB, 512MiB, 1.5G or 4096", quoted(text));
  uint64_t bytes = 0;
  // A fraction that rounds to one still stays below the unit.
  const auto part = static_cast<uint64_t>(std::floor(fraction * static_cast<double>(unit) * (1 + 1e-15)));
  too_large |=
      __builtin_mul_overflow(whole, unit, &bytes) || __builtin_add_overflow(bytes, std::min(part, unit - 1), &bytes);
  if (too_large) fail(ErrorKind::kUsage, "{} is too large: at most 2^64 - 1 bytes", quoted(text));
  return bytes;
}

namespace {

/// Length of the well-formed sequence at the start of text (not empty), 0 when there is none.
size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (text.size() < length) return 0;
  unsigned char least = 0x80, most = 0xBF;  // of the second byte
  if (first == 0xE0) least = 0xA0;
  if (first == 0xED) most = 0x9F;
  if (first == 0xF0) least = 0x90;
  if (first == 0xF4) most = 0x8F;
  if (byte(1) < least || byte(1) > most) return 0;
  for (size_t i = 2; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  return length;
}

/// Characters that would move the cursor or reorder the line of a terminal, or hide in it.
bool is_hostile(std::string_view sequence) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(sequence[i]); };
  if (sequence.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7F;
  if (sequence.size() == 2) return byte(0) == 0xC2 && byte(1) < 0xA0;  // C1 controls
  if (sequence.size() != 3) return false;
  const bool marks = byte(0) == 0xE2 && ((byte(1) == 0x80 && byte(2) >= 0x8B && byte(2) <= 0x8F) ||  // U+200B..200F
                                         (byte(1) == 0x80 && byte(2) >= 0xA8 && byte(2) <= 0xAE) ||  // U+2028..202E
                                         (byte(1) == 0x81 && byte(2) >= 0xA0 && byte(2) <= 0xAF));   // U+2060..206F
  return marks || sequence == "\xEF\xBB\xBF";
}

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  for (size_t at = 0; at < text.size();) {
    uint64_t eight = kHighBits;
    if (text.size() - at >= sizeof eight) std::memcpy(&eight, text.data() + at, sizeof eight);
    if ((eight & kHighBits) == 0) {  // ASCII
      at += sizeof eight;
      continue;
    }
    const size_t length = utf8_sequence(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

size_t find_duplicate(std::span<const std::string_view> texts) {
  struct Entry {
    size_t hash, index;
  };
  std::vector<Entry> entries;
  entries.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) entries.push_back({std::hash<std::string_view>()(texts[i]), i});
  std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    if (a.hash != b.hash) return a.hash < b.hash;
    const int order = texts[a.index].compare(texts[b.index]);
    return order != 0 ? order < 0 : a.index < b.index;
  });
  size_t first = std::string_view::npos;
  for (size_t i = 1; i < entries.size(); ++i)
    if (entries[i - 1].hash == entries[i].hash && texts[entries[i - 1].index] == texts[entries[i].index])
      first = std::min(first, entries[i].index);
  return first;
}

std::string quoted(std::string_view text, size_t max_bytes) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_sequence(text.substr(at));
    const std::string_view sequence = text.substr(at, std::max<size_t>(length, 1));
    std::string piece;
    if (sequence == "\"" || sequence == "\\") {
      piece = fmt::format("\\{}", sequence);
    } else if (sequence == "\n" || sequence == "\t" || sequence == "\r") {
      piece = sequence == "\n" ? "\\n" : sequence == "\t" ? "\\t" : "\\r";
    } else if (length == 0 || is_hostile(sequence)) {
      for (char c : sequence) piece += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      piece = sequence;
    }
    if (out.size() - 1 + piece.size() > max_bytes) return out + "...\"";
    out += piece;
    at += sequence.size();
  }
  return out + "\"";
}

std::string printable(std::string_view text, size_t max_bytes) {
  const std::string in_quotes = quoted(text, max_bytes);
  return in_quotes.substr(1, in_quotes.size() - 2);
}

std::string printable_path(std::string_view path, size_t max_bytes) {
  std::string_view tail = path.substr(path.size() - std::min(path.size(), max_bytes));
  const auto in_character = [&] { return !tail.empty() && (static_cast<unsigned char>(tail[0]) & 0xC0) == 0x80; };
  while (tail.size() < path.size() && in_character()) tail.remove_prefix(1);
  constexpr size_t kLongestEscape = 4;
  std::string shown = printable(tail, kLongestEscape * max_bytes);
  while (shown.size() > max_bytes) {
    tail.remove_prefix((shown.size() - max_bytes + kLongestEscape - 1) / kLongestEscape);
    while (in_character()) tail.remove_prefix(1);
    shown = printable(tail, kLongestEscape * max_bytes);
  }
  return tail.size() < path.size() ? "..." + shown : shown;
}

}  // namespace godwit
