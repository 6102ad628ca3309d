#include "text/vocabulary.h"

#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace godwit {

std::optional<uint8_t> parse_byte_token(const std::string& text) {
  if (text.size() != 6 || text.compare(0, 3, "<0x") != 0 || text[5] != '>') return std::nullopt;
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  const int high = digit(text[3]);
  const int low = digit(text[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

void check_vocabulary(const Vocabulary& v) {
  const auto where = [&](const char* key) { return printable_path(v.source) + ": tokenizer.ggml." + key; };
  const size_t n = v.tokens.size();
  if (n > kMaxVocabulary) invalid("{}: expected at most {} tokens, got {}", where("tokens"), kMaxVocabulary, n);
  if (v.merges.size() > kMaxMerges) {
    invalid("{}: expected at most {} merges, got {}", where("merges"), kMaxMerges, v.merges.size());
  }
  if (!v.scores.empty() && v.scores.size() != n) {
    invalid("{}: expected one for each of {} tokens, got {}", where("scores"), n, v.scores.size());
  }
  if (!v.types.empty() && v.types.size() != n) {
    invalid("{}: expected one for each of {} tokens, got {}", where("token_type"), n, v.types.size());
  }
  size_t n_special = 0, special_bytes = 0;
  for (size_t i = 0; i < n; ++i) {
    if (v.tokens[i].size() > kMaxTokenBytes) {
      invalid("{}: token {}: expected at most {} bytes, got {}", where("tokens"), i, kMaxTokenBytes,
              v.tokens[i].size());
    }
    if (!v.scores.empty() && std::isnan(v.scores[i])) invalid("{}: token {}: not a number", where("scores"), i);
    const int32_t type = v.type(i);
    if (type < kTokenUndefined || type > kTokenByte) {
      invalid("{}: token {}: expected a type from 0 to 6, got {}", where("token_type"), i, type);
    }
    if (type == kTokenByte && !parse_byte_token(v.tokens[i])) {
      invalid("{}: token {}: expected a byte <0x00> to <0xFF>, got {}", where("tokens"), i, quoted(v.tokens[i]));
    }
    if (type == kTokenUnknown || type == kTokenControl || type == kTokenUserDefined) {
      ++n_special;
      special_bytes += v.tokens[i].size();
    }
  }
  if (n_special > kMaxSpecialTokens || special_bytes > kMaxSpecialTokenBytes) {
    invalid("{}: expected at most {} special tokens of {} bytes together, got {} of {}", where("token_type"),
            kMaxSpecialTokens, kMaxSpecialTokenBytes, n_special, special_bytes);
  }
  const auto check_id = [&](const char* key, const std::optional<int32_t>& id) {
    // Without tokens (a tokenizer that this build does not know) the ids are of use all the same.
    if (id && (*id < 0 || (n > 0 && static_cast<size_t>(*id) >= n))) {
      invalid("{}: expected an id below {}, got {}", where(key), n, *id);
    }
  };
  check_id("bos_token_id", v.bos);
  check_id("eos_token_id", v.eos);
  check_id("eot_token_id", v.eot);
  check_id("eom_token_id", v.eom);
  check_id("unknown_token_id", v.unk);
  check_id("padding_token_id", v.pad);
  check_id("seperator_token_id", v.sep);
}

}  // namespace godwit
