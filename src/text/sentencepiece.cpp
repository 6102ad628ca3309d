#include "text/sentencepiece.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "text/merge_model.h"
#include "text/unicode.h"

namespace godwit {
namespace {

class SentencePieceBpe final : public Tokenizer, private PieceModel {
 public:
  explicit SentencePieceBpe(const Vocabulary& vocabulary);

 private:
  void encode_text(std::string_view text, bool opens, std::vector<int32_t>& ids) const override;
  void encode(std::string_view piece, std::vector<int32_t>& ids) const override;  // of escaped text
  std::string escape(std::string_view text, bool opens) const;
  void append(std::string_view text, std::vector<int32_t>& ids) const;
  int32_t find(std::string_view text) const {
    if (text.size() > longest_) return -1;
    const auto found = ids_.find(text);
    return found == ids_.end() ? -1 : found->second;
  }

  std::vector<std::string> tokens_;                    // normal and user-defined ones as they stand in the file
  std::unordered_map<std::string_view, int32_t> ids_;  // of the same; views into tokens_
  IdMap joined_;                                       // pairs of code points that stand side by side in some token
  std::vector<uint32_t> ranks_;                        // by token: 0 has the highest score
  std::array<int32_t, 256> byte_ids_;
  size_t longest_ = 0;
};

SentencePieceBpe::SentencePieceBpe(const Vocabulary& v) : Tokenizer(v), ranks_(score_ranks(v.scores)) {
  byte_ids_.fill(-1);
  tokens_.resize(v.tokens.size());
  std::vector<std::string> pieces(v.tokens.size());
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    const int32_t id = static_cast<int32_t>(i);
    const int32_t kind = type(i);
    if (kind == kTokenByte) {
      const uint8_t byte = *parse_byte_token(v.tokens[i]);
      byte_ids_[byte] = id;
      pieces[i] = static_cast<char>(byte);
      continue;
    }
    pieces[i] = v.tokens[i];
    if (kind != kTokenNormal && kind != kTokenUndefined && kind != kTokenUserDefined) continue;
    tokens_[i] = v.tokens[i];
    longest_ = std::max(longest_, tokens_[i].size());
    if (kind == kTokenUserDefined) continue;
    pieces[i] = without_space_marks(tokens_[i]);
  }
  set_pieces(pieces);
  ids_.reserve(tokens_.size());
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].empty()) continue;
    ids_[tokens_[i]] = static_cast<int32_t>(i);
    uint32_t last = 0;
    for (size_t at = 0; at < tokens_[i].size();) {
      const Decoded d = decode_utf8(tokens_[i], at);
      if (at > 0) joined_.insert(uint64_t{last} << 32 | d.code, 0);
      last = d.code;
      at += d.length;
    }
  }
}

std::string SentencePieceBpe::escape(std::string_view text, bool opens) const {
  std::string escaped;
  escaped.reserve(text.size() + text.size() / 2);
  if (opens && adds_space_prefix()) escaped += kSpaceMark;
  for (const char c : text) {
    if (c == ' ') {
      escaped += kSpaceMark;
    } else {
      escaped += c;
    }
  }
  return escaped;
}

void SentencePieceBpe::encode_text(std::string_view raw, bool opens, std::vector<int32_t>& ids) const {
  const std::string text = escape(raw, opens);
  // Cut where no token reaches across: what is merged on one side never depends on the other.
  std::vector<PieceRange> pieces;
  uint32_t begin = 0, last = 0;
  for (uint32_t at = 0; at < text.size();) {
    const Decoded d = decode_utf8(text, at);
    if (at > 0 && joined_.find(uint64_t{last} << 32 | d.code) == IdMap::kNone) {
      pieces.push_back({begin, at});
      begin = at;
    }
    last = d.code;
    at += d.length;
  }
  if (begin < text.size()) pieces.push_back({begin, static_cast<uint32_t>(text.size())});
  encode_pieces(*this, text, pieces, ids);
}

void SentencePieceBpe::encode(std::string_view text, std::vector<int32_t>& ids) const {
  std::vector<MergePart> parts;
  parts.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const uint32_t length = decode_utf8(text, at).length;
    const int32_t index = static_cast<int32_t>(parts.size());
    parts.push_back({-1, static_cast<uint32_t>(at), length, index - 1, index + 1});
    at += length;
  }
  parts.back().next = -1;
  const auto token_of = [&](const MergePart& left, const MergePart& right) {
    return find(text.substr(left.begin, left.length + right.length));
  };
  merge_by_rank(
      parts, ranks_.size(),
      [&](const MergePart& left, const MergePart& right) {
        const int32_t id = token_of(left, right);
        return id < 0 ? IdMap::kNone : ranks_[static_cast<size_t>(id)];
      },
      [&](const MergePart& left, const MergePart& right, uint32_t) { return token_of(left, right); });
  for (const MergePart& part : parts) {
    if (part.length == 0) continue;
    if (part.id >= 0) {
      ids.push_back(part.id);
    } else {
      append(text.substr(part.begin, part.length), ids);
    }
  }
}

/// One character: its token, else the tokens of its bytes, else the unknown token, else nothing.
void SentencePieceBpe::append(std::string_view text, std::vector<int32_t>& ids) const {
  const int32_t id = find(text);
  if (id >= 0) return ids.push_back(id);
  const auto byte_id = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
  if (std::all_of(text.begin(), text.end(), [&](char c) { return byte_id(c) >= 0; })) {
    for (const char c : text) ids.push_back(byte_id(c));
  } else if (unk_) {
    ids.push_back(*unk_);
  }
}

}  // namespace

std::vector<uint32_t> score_ranks(const std::vector<float>& scores) {
  std::vector<float> sorted = scores;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::vector<uint32_t> ranks;
  ranks.reserve(scores.size());
  for (const float score : scores) {
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), score, std::greater<>());
    ranks.push_back(static_cast<uint32_t>(place - sorted.begin()));
  }
  return ranks;
}

std::string without_space_marks(std::string_view token) {
  std::string text;
  for (size_t at = 0; at < token.size();) {
    if (token.substr(at).starts_with(kSpaceMark)) {
      text += ' ';
      at += kSpaceMark.size();
    } else {
      text += token[at++];
    }
  }
  return text;
}

std::unique_ptr<Tokenizer> make_sentencepiece_bpe(const Vocabulary& vocabulary) {
  if (vocabulary.scores.size() != vocabulary.tokens.size()) {
    invalid("{}: tokenizer.ggml.scores: expected one for each of {} tokens, got none",
            printable_path(vocabulary.source), vocabulary.tokens.size());
  }
  return std::make_unique<SentencePieceBpe>(vocabulary);
}

}  // namespace godwit
