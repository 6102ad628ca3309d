#include "text/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace godwit {
namespace {

constexpr double kUnknownPenalty = 10;

}  // namespace

Unigram::Unigram(const UnigramModel& model, std::string_view where)
    : scores_(model.scores),
      preferred_(model.tokens.size()),
      byte_fallback_(model.byte_fallback),
      sentencepiece_(model.sentencepiece) {
  const size_t n = model.tokens.size();
  if (model.scores.size() != n || (!model.types.empty() && model.types.size() != n)) {
    invalid("{}: expected a score and a type for each of {} tokens, got {} and {}", where, n, model.scores.size(),
            model.types.size());
  }
  if (model.unk) {
    unk_ = *model.unk;
    if (unk_ < 0 || static_cast<size_t>(unk_) >= n) invalid("{}: expected an unk_id below {}, got {}", where, n, unk_);
  }
  byte_ids_.fill(-1);
  double least = std::numeric_limits<double>::infinity();
  std::vector<std::pair<std::string_view, int32_t>> strings;
  for (size_t i = 0; i < n; ++i) {
    const std::string& token = model.tokens[i];
    const int32_t id = static_cast<int32_t>(i);
    const int32_t type = sentencepiece_ && !model.types.empty() ? model.types[i] : int32_t{kTokenNormal};
    if (token.size() > kMaxUnigramTokenBytes) {
      invalid("{}: token {}: expected at most {} bytes, got {}", where, i, kMaxUnigramTokenBytes, token.size());
    }
    if (std::isnan(model.scores[i])) invalid("{}: token {}: its score is not a number", where, i);
    if (const auto byte = parse_byte_token(token); byte && (type == kTokenByte || !sentencepiece_))
      byte_ids_[*byte] = id;
    if (type == kTokenNormal || type == kTokenUndefined) {
      least = std::min(least, model.scores[i]);
    } else if (type != kTokenUserDefined) {
      continue;
    }
    preferred_[i] = type == kTokenUserDefined;
    strings.emplace_back(token, id);
  }
  if (!std::isfinite(least)) least = 0;
  // In 32 bits as SentencePiece does.
  unknown_score_ = sentencepiece_ ? static_cast<double>(static_cast<float>(least) - 10.0f) : least - kUnknownPenalty;
  trie_ = ByteTrie(strings);
}

template <class Score>
void Unigram::find_best(std::string_view text, std::vector<Node>& best) const {
  const auto offer = [&](size_t begin, size_t end, double score, int32_t id) {
    const Score sum = static_cast<Score>(score) + static_cast<Score>(best[begin].score);
    Node& node = best[end];
    if (node.id == kNothing || sum > static_cast<Score>(node.score)) {
      node = {static_cast<double>(sum), static_cast<uint32_t>(begin), id};
    }
  };
  for (size_t at = 0; at < text.size();) {
    const uint32_t length = decode_utf8(text, at).length;
    bool single = false;
    uint32_t node = ByteTrie::kRoot;
    for (size_t end = at; end < text.size();) {
      node = trie_.step(node, static_cast<uint8_t>(text[end++]));
      if (node == ByteTrie::kNone) break;
      const int32_t id = trie_.value(node);
      if (id < 0) continue;
      // Above 0 and so above all logarithms, and the longer the higher.
      const double score = preferred_[static_cast<size_t>(id)] ? static_cast<double>(end - at) * 0.1 - 0.1
                                                               : scores_[static_cast<size_t>(id)];
      offer(at, end, score, id);
      single = single || end - at == length;
    }
    if (!single) offer(at, at + length, unknown_score_, unk_);
    at += length;
  }
}

void Unigram::put_unknown(std::string_view text, std::vector<int32_t>& ids) const {
  if (!sentencepiece_) {
    const ByteTrie::Match whole = trie_.longest(text);
    if (whole.value >= 0 && whole.length == text.size()) return ids.push_back(whole.value);
  }
  const auto byte_id = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
  if (byte_fallback_ && std::all_of(text.begin(), text.end(), [&](char c) { return byte_id(c) >= 0; })) {
    for (const char c : text) ids.push_back(byte_id(c));
  } else if (unk_ >= 0) {
    ids.push_back(unk_);
  }
}

void Unigram::encode(std::string_view text, std::vector<int32_t>& ids) const {
  std::vector<Node> best(text.size() + 1);
  if (sentencepiece_) {
    find_best<float>(text, best);
  } else {
    find_best<double>(text, best);
  }
  struct Part {
    uint32_t begin, end;
    int32_t id;
  };
  std::vector<Part> parts;  // from the last to the first
  for (size_t end = text.size(); end > 0;) {
    const Node& node = best[end];
    if (node.id == unk_ && !parts.empty() && parts.back().id == unk_) {
      parts.back().begin = node.begin;
    } else {
      parts.push_back({node.begin, static_cast<uint32_t>(end), node.id});
    }
    end = node.begin;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->id == unk_) {
      put_unknown(text.substr(part->begin, part->end - part->begin), ids);
    } else {
      ids.push_back(part->id);
    }
  }
}

}  // namespace godwit
