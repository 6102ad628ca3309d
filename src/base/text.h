// Text from and for people: sizes, suggestions, and outside bytes made fit for an error message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace godwit {

/// The least number of insertions, deletions and replacements of single bytes that turn a into b (Levenshtein 1965).
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, the first of equals; empty when none is near enough to suggest: at most 2 edits
/// away (1 for words of up to 3 bytes) or, for longer words, a third of its length. Words over 64 bytes get no
/// suggestion.
std::string_view closest(std::string_view word, std::span<const std::string_view> candidates);

/// Bytes from "8GiB", "8Gi", "8G", "1.5GiB", "512Mi" (powers of 1024), "8GB", "500kB" (powers of 1000) or plain "4096";
/// any case, K M G T P, spaces around and before the unit. A fraction rounds down. Throws Error (kUsage) naming the
/// text.
uint64_t parse_size(std::string_view text);

/// Where `text` stops being UTF-8 (overlong forms, surrogates and values over U+10FFFF are not UTF-8): the offset of
/// the first byte of the first bad sequence; npos when all is valid. Source: Unicode 15, table 3-7.
size_t find_invalid_utf8(std::string_view text);

/// The index of the first text that equals an earlier one; npos when all differ. Takes n log n steps whatever the texts
/// are: a hash table's time is for the one who chose them to say.
size_t find_duplicate(std::span<const std::string_view> texts);

/// `text` in double quotes on one line: quotes, backslashes, control and direction-changing characters and bytes that
/// are not UTF-8 as escapes (\n, \xNN). What goes beyond max_bytes within the quotes becomes "...". Always valid UTF-8.
std::string quoted(std::string_view text, size_t max_bytes = 80);
// std::quoted of <iomanip>, found by its argument, would fit a std::string better than the one above.
inline std::string quoted(const char* text, size_t max_bytes = 80) { return quoted(std::string_view(text), max_bytes); }
inline std::string quoted(const std::string& text, size_t max_bytes = 80) {
  return quoted(std::string_view(text), max_bytes);
}
inline std::string quoted(std::string& text, size_t max_bytes = 80) {
  return quoted(std::string_view(text), max_bytes);
}

/// As quoted, without the quotes: for names that are mostly plain, such as keys and tensors.
std::string printable(std::string_view text, size_t max_bytes = 80);

/// A path as printable, but cut at its beginning, because the file's name is at its end.
std::string printable_path(std::string_view path, size_t max_bytes = 160);

}  // namespace godwit
