#include "text/rwkv.h"

#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace godwit {
namespace {

std::optional<uint32_t> hex_digits(std::string_view text) {
  uint32_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The bytes of a Python literal; nothing when it is none.
std::optional<std::string> python_literal(std::string_view text) {
  const bool is_bytes = text.starts_with('b');
  if (is_bytes) text.remove_prefix(1);
  if (text.size() < 2 || (text[0] != '\'' && text[0] != '"') || text.back() != text[0]) return std::nullopt;
  const char quote = text[0];
  text = text.substr(1, text.size() - 2);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at++];
    if (c == quote) return std::nullopt;
    if (c != '\\') {
      out += c;
      continue;
    }
    if (at == text.size()) return std::nullopt;
    const char escape = text[at++];
    size_t n_digits = 0;
    switch (escape) {
      case 't':
        out += '\t';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case '\\':
      case '\'':
      case '"':
        out += escape;
        break;
      case 'x':
        n_digits = 2;
        break;
      case 'u':
      case 'U':
        if (is_bytes) return std::nullopt;
        n_digits = escape == 'u' ? 4 : 8;
        break;
      default:
        return std::nullopt;
    }
    if (n_digits == 0) continue;
    if (text.size() - at < n_digits) return std::nullopt;
    const std::optional<uint32_t> code = hex_digits(text.substr(at, n_digits));
    if (!code || *code >= 0x110000 || (*code >= 0xD800 && *code < 0xE000)) return std::nullopt;
    at += n_digits;
    if (is_bytes) {
      out += static_cast<char>(*code);
    } else {
      append_utf8(out, *code);
    }
  }
  return out;
}

}  // namespace

std::vector<RwkvToken> parse_rwkv_vocabulary(std::string_view text, std::string_view where) {
  std::vector<RwkvToken> tokens;
  for (size_t at = 0, n = 1; at < text.size(); ++n) {
    const size_t line_end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, line_end - at);
    at = line_end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t first = line.find(' '), last = line.rfind(' ');
    const auto number = [&](std::string_view digits) {
      int32_t value = -1;
      const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      return result.ec == std::errc() && result.ptr == digits.data() + digits.size() ? value : -1;
    };
    if (first == std::string_view::npos || first == last) {
      invalid("{}: line {}: expected an id, a literal and a length, got {}", where, n, quoted(line));
    }
    const int32_t id = number(line.substr(0, first));
    const int32_t length = number(line.substr(last + 1));
    const std::optional<std::string> bytes = python_literal(line.substr(first + 1, last - first - 1));
    if (id < 0 || static_cast<size_t>(id) >= kMaxVocabulary || (!tokens.empty() && id <= tokens.back().id)) {
      invalid("{}: line {}: expected a rising id below {}, got {}", where, n, kMaxVocabulary, quoted(line));
    }
    if (!bytes || length < 0 || bytes->size() != static_cast<size_t>(length)) {
      invalid("{}: line {}: expected a literal and its length in bytes, got {}", where, n, quoted(line));
    }
    tokens.push_back({id, *bytes});
  }
  return tokens;
}

std::string unescape_rwkv_token(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at++];
    if (c != '\\') {
      bytes += c;
      continue;
    }
    if (at == text.size()) break;
    const char escape = text[at++];
    if (escape == 'x') {
      if (text.size() - at < 2) break;
      if (const auto value = hex_digits(text.substr(at, 2))) bytes += static_cast<char>(*value);
      at += 2;
    } else {
      bytes += escape == 't' ? '\t' : escape == 'n' ? '\n' : escape == 'r' ? '\r' : escape;
    }
  }
  return bytes;
}

std::string escape_rwkv_token(std::string_view bytes) {
  // Python chooses the quote; one that stands within the other is not escaped.
  const bool single = bytes.find('\'') == std::string_view::npos || bytes.find('"') != std::string_view::npos;
  std::string text;
  for (const char c : bytes) {
    const uint8_t byte = static_cast<uint8_t>(c);
    if (c == '\t' || c == '\n' || c == '\r' || c == '\\' || (c == '\'' && single)) {
      text += '\\';
      text += c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : c;
    } else if (byte < 0x20 || byte >= 0x7F) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text;
}

Rwkv::Rwkv(const std::vector<std::string>& tokens, std::optional<int32_t> unk) : unk_(unk.value_or(-1)) {
  std::vector<std::pair<std::string_view, int32_t>> strings;
  for (size_t i = 0; i < tokens.size(); ++i) strings.emplace_back(tokens[i], static_cast<int32_t>(i));
  trie_ = ByteTrie(strings);
}

void Rwkv::encode(std::string_view text, std::vector<int32_t>& ids) const {
  for (size_t at = 0; at < text.size();) {
    const ByteTrie::Match match = trie_.longest(text.substr(at));
    if (match.value >= 0) {
      ids.push_back(match.value);
    } else if (unk_ >= 0) {
      ids.push_back(unk_);
    }
    at += match.length > 0 ? match.length : 1;
  }
}

}  // namespace godwit
