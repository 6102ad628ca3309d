// Small vocabularies with ids that can be worked out by hand, and the plain definitions of both kinds of BPE.
#pragma once

#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace godwit::testing {

/// Byte b is token b; each merge, given as bytes, adds the token after the last. Then control tokens, then
/// user-defined.
struct ByteLevelParts {
  std::string pre = "gpt-2";
  std::vector<std::pair<std::string, std::string>> merges = {};
  std::vector<std::string> control = {};
  std::vector<std::string> user_defined = {};
};

inline Vocabulary byte_level_vocabulary(const ByteLevelParts& parts) {
  Vocabulary v;
  v.source = "test";
  v.model = "gpt2";
  v.pre = parts.pre;
  for (int b = 0; b < 256; ++b) v.tokens.push_back(to_byte_level(std::string(1, static_cast<char>(b))));
  for (const auto& [left, right] : parts.merges) {
    v.tokens.push_back(to_byte_level(left + right));
    v.merges.push_back(to_byte_level(left) + " " + to_byte_level(right));
  }
  v.types.assign(v.tokens.size(), kTokenNormal);
  for (const std::string& token : parts.control) v.tokens.push_back(token), v.types.push_back(kTokenControl);
  for (const std::string& token : parts.user_defined) v.tokens.push_back(token), v.types.push_back(kTokenUserDefined);
  return v;
}

/// <unk> 0, <s> 1, </s> 2, byte b is 3 + b; then the pieces (U+2581 for a space), best first: the score is minus the
/// place.
inline Vocabulary scored_vocabulary(const std::vector<std::string>& pieces, bool space_prefix = false) {
  Vocabulary v;
  v.source = "test";
  v.model = "llama";
  const auto add = [&](std::string token, float score, int32_t type) {
    v.tokens.push_back(std::move(token));
    v.scores.push_back(score);
    v.types.push_back(type);
  };
  add("<unk>", 0, kTokenUnknown);
  add("<s>", 0, kTokenControl);
  add("</s>", 0, kTokenControl);
  for (int b = 0; b < 256; ++b) add(fmt::format("<0x{:02X}>", b), 0, kTokenByte);
  for (size_t i = 0; i < pieces.size(); ++i) add(pieces[i], -static_cast<float>(i), kTokenNormal);
  v.unk = 0;
  v.bos = 1;
  v.eos = 2;
  v.add_bos = true;
  v.add_space_prefix = space_prefix;
  return v;
}

inline std::unique_ptr<Tokenizer> tokenizer_of(const Vocabulary& vocabulary) {
  std::string why_not;
  auto tokenizer = make_tokenizer(vocabulary, why_not);
  CHECK(tokenizer != nullptr, "{}", why_not);
  return tokenizer;
}

/// Byte-level BPE as Sennrich et al. (2016) define it: of all pairs in the piece the one that comes first in the list
/// of merges, its leftmost occurrence; one merge at a time. No special tokens.
inline std::vector<int32_t> naive_byte_level(const Vocabulary& v, Pretokenizer kind, std::string_view text) {
  std::map<std::pair<std::string, std::string>, size_t> ranks;
  for (size_t i = 0; i < v.merges.size(); ++i) {
    const size_t space = v.merges[i].find(' ');
    ranks.emplace(std::pair(v.merges[i].substr(0, space), v.merges[i].substr(space + 1)), i);
  }
  std::map<std::string, int32_t> ids;
  for (size_t i = 0; i < v.tokens.size(); ++i) ids[v.tokens[i]] = static_cast<int32_t>(i);
  std::vector<int32_t> out;
  size_t begin = 0;
  for (const uint32_t end : pretokenize(kind, text)) {
    std::vector<std::string> parts;
    for (; begin < end; ++begin) {
      const std::string symbol = to_byte_level(text.substr(begin, 1));
      if (ids.count(symbol)) parts.push_back(symbol);  // what has no token is as if it were not there
    }
    while (true) {
      size_t best = v.merges.size(), where = 0;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto found = ranks.find({parts[i], parts[i + 1]});
        if (found != ranks.end() && found->second < best) best = found->second, where = i;
      }
      if (best == v.merges.size()) break;
      parts[where] += parts[where + 1];
      parts.erase(parts.begin() + static_cast<ptrdiff_t>(where) + 1);
    }
    for (const std::string& part : parts) out.push_back(ids[part]);
  }
  return out;
}

/// SentencePiece BPE as defined: of all adjacent pairs the one whose union is the piece with the highest score, the
/// leftmost of equals. Characters without a piece become bytes. No special tokens, no space prefix.
inline std::vector<int32_t> naive_scored(const Vocabulary& v, std::string_view text) {
  std::map<std::string, int32_t> ids;
  std::vector<int32_t> byte_ids(256, -1);
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.types[i] == kTokenNormal) ids[v.tokens[i]] = static_cast<int32_t>(i);
    if (v.types[i] == kTokenByte) byte_ids[std::stoul(v.tokens[i].substr(3, 2), nullptr, 16)] = static_cast<int32_t>(i);
  }
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t length = decode_utf8(text, at).length;
    parts.push_back(text[at] == ' ' ? "\u2581" : std::string(text.substr(at, length)));
    at += length;
  }
  while (true) {
    ptrdiff_t where = -1;
    float best = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ids.find(parts[i] + parts[i + 1]);
      if (found == ids.end()) continue;
      const float score = v.scores[static_cast<size_t>(found->second)];
      if (where < 0 || score > best) best = score, where = static_cast<ptrdiff_t>(i);
    }
    if (where < 0) break;
    parts[static_cast<size_t>(where)] += parts[static_cast<size_t>(where) + 1];
    parts.erase(parts.begin() + where + 1);
  }
  std::vector<int32_t> out;
  for (const std::string& part : parts) {
    if (ids.count(part)) {
      out.push_back(ids[part]);
    } else {
      for (const char c : part) out.push_back(byte_ids[static_cast<uint8_t>(c)]);
    }
  }
  return out;
}

inline std::string random_bytes(std::mt19937& random, size_t most, const std::vector<std::string>& alphabet = {}) {
  std::string text;
  for (size_t n = random() % (most + 1); n > 0; --n) {
    if (alphabet.empty()) {
      text += static_cast<char>(random() & 0xFF);
    } else {
      text += alphabet[random() % alphabet.size()];
    }
  }
  return text;
}

}  // namespace godwit::testing
