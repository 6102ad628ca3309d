#include "text/sentencepiece.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "text/merge_queue.h"
#include "text/unicode.h"

namespace godwit {
namespace {

class SentencePieceBpe final : public Tokenizer {
 public:
  explicit SentencePieceBpe(const Vocabulary& vocabulary);

 private:
  void encode_text(std::string_view text, bool opens, std::vector<int32_t>& ids) const override;
  std::string escape(std::string_view text, bool opens) const;
  void append(std::string_view text, std::vector<int32_t>& ids) const;
  int32_t find(std::string_view text) const {
    if (text.size() > longest_) return -1;
    const auto found = ids_.find(text);
    return found == ids_.end() ? -1 : found->second;
  }

  std::vector<std::string> tokens_;                    // normal and user-defined ones as they stand in the file
  std::unordered_map<std::string_view, int32_t> ids_;  // of the same; views into tokens_
  std::vector<uint32_t> ranks_;                        // by token: 0 has the highest score
  std::array<int32_t, 256> byte_ids_;
  size_t longest_ = 0;
};

std::vector<uint32_t> ranks_of(const std::vector<float>& scores) {
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

SentencePieceBpe::SentencePieceBpe(const Vocabulary& v) : Tokenizer(v), ranks_(ranks_of(v.scores)) {
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
    if (!tokens_[i].empty()) ids_[tokens_[i]] = static_cast<int32_t>(i);
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
  std::vector<MergePart> parts;
  parts.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const uint32_t length = decode_utf8(text, at).length;
    const int32_t index = static_cast<int32_t>(parts.size());
    parts.push_back({-1, static_cast<uint32_t>(at), length, index - 1, index + 1});
    at += length;
  }
  parts.back().next = -1;

  const auto token_of_pair = [&](const MergePart& left) {
    return find(std::string_view(text).substr(left.begin, left.length + parts[static_cast<size_t>(left.next)].length));
  };
  MergeQueue queue;
  const auto propose = [&](int32_t left) {
    if (left < 0 || parts[static_cast<size_t>(left)].next < 0) return;
    const int32_t id = token_of_pair(parts[static_cast<size_t>(left)]);
    if (id >= 0) queue.push(merge_entry(ranks_[static_cast<size_t>(id)], left));
  };
  for (size_t i = 0; i < parts.size(); ++i) propose(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const uint32_t rank = static_cast<uint32_t>(queue.top() >> 32);
    const int32_t left = static_cast<int32_t>(queue.top());
    queue.pop();
    const MergePart& part = parts[static_cast<size_t>(left)];
    if (part.length == 0 || part.next < 0) continue;
    const int32_t id = token_of_pair(part);
    if (id < 0 || ranks_[static_cast<size_t>(id)] != rank) continue;
    join_with_next(parts, left, id);
    propose(part.previous);
    propose(left);
  }
  for (const MergePart& part : parts) {
    if (part.length == 0) continue;
    if (part.id >= 0) {
      ids.push_back(part.id);
    } else {
      append(std::string_view(text).substr(part.begin, part.length), ids);
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
