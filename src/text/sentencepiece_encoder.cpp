#include "text/sentencepiece_encoder.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "text/merge_queue.h"
#include "text/sentencepiece.h"
#include "text/unicode.h"

namespace godwit {
namespace {

/// Scores as ranks, equal ones alike, the highest 0.
std::vector<uint32_t> piece_ranks(const std::vector<float>& scores) {
  std::vector<float> sorted = scores;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  std::vector<uint32_t> ranks;
  ranks.reserve(scores.size());
  for (const float score : scores) {
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), score, std::greater<>());
    ranks.push_back(static_cast<uint32_t>(place - sorted.begin()));
  }
  return ranks;
}

}  // namespace

SentencePieceEncoder::SentencePieceEncoder(SentencePieceModel model)
    : model_(std::move(model)),
      charsmap_(model_.charsmap, printable_path(model_.source) + ": precompiled_charsmap"),
      ranks_(piece_ranks(model_.scores)) {
  byte_ids_.fill(-1);
  std::vector<std::pair<std::string_view, int32_t>> user_defined;
  for (size_t i = 0; i < model_.pieces.size(); ++i) {
    const std::string_view piece = model_.pieces[i];
    const int32_t id = static_cast<int32_t>(i);
    const int32_t type = model_.types[i];
    if (type == kTokenUserDefined) user_defined.emplace_back(piece, id);
    if (type == kTokenNormal || type == kTokenUserDefined || type == kTokenUnused) {
      mergeable_.emplace(piece, id);
      longest_ = std::max(longest_, piece.size());
    }
    if (type == kTokenByte) byte_ids_[*parse_byte_token(model_.pieces[i])] = id;
  }
  user_defined_ = ByteTrie(user_defined);
  if (model_.kind == SentencePieceModel::kUnigram) {
    UnigramModel unigram;
    unigram.tokens = model_.pieces;
    unigram.scores.assign(model_.scores.begin(), model_.scores.end());
    unigram.types = model_.types;
    unigram.unk = model_.unk;
    unigram.byte_fallback = model_.byte_fallback;
    unigram.sentencepiece = true;
    unigram_ = std::make_unique<Unigram>(unigram, printable_path(model_.source));
  }
}

/// What the beginning of `text` becomes; `length`: how many bytes of it.
std::string_view SentencePieceEncoder::next_normalized(std::string_view text, size_t& length) const {
  if (const ByteTrie::Match user = user_defined_.longest(text); user.length > 0) {
    length = user.length;
    return text.substr(0, length);
  }
  if (const Charsmap::Match rule = charsmap_.longest(text); rule.length > 0) {
    length = rule.length;
    return rule.replacement;
  }
  const Decoded d = decode_utf8(text, 0);
  length = d.length;
  return d.code == kInvalidByte ? std::string_view("\uFFFD") : text.substr(0, length);
}

std::string SentencePieceEncoder::normalize(std::string_view text) const {
  const size_t limit = text.size() * 16 + (size_t{1} << 20);
  const std::string_view space = model_.escape_whitespaces ? kSpaceMark : std::string_view(" ");
  const bool trim = model_.remove_extra_whitespaces;
  size_t length = 0;
  while (trim && !text.empty() && next_normalized(text, length) == " ") text.remove_prefix(length);
  std::string out;
  if (text.empty()) return out;
  if (model_.add_dummy_prefix && !model_.whitespace_as_suffix) out += space;
  bool after_space = trim;
  while (!text.empty()) {
    std::string_view part = next_normalized(text, length);
    text.remove_prefix(length);
    while (after_space && part.starts_with(' ')) part.remove_prefix(1);
    if (part.empty()) continue;
    for (const char c : part) {
      if (c == ' ') {
        out += space;
      } else {
        out += c;
      }
    }
    if (out.size() > limit) invalid("{}: a text grows beyond {} bytes", printable_path(model_.source), limit);
    after_space = trim && part.ends_with(' ');
  }
  std::string_view kept = out;
  while (trim && kept.ends_with(space)) kept.remove_suffix(space.size());
  out.erase(kept.size());
  if (model_.add_dummy_prefix && model_.whitespace_as_suffix) out += space;
  return out;
}

int32_t SentencePieceEncoder::id_of(std::string_view piece) const {
  if (piece.size() > longest_) return model_.unk;
  const auto found = mergeable_.find(piece);
  return found == mergeable_.end() ? model_.unk : found->second;
}

void SentencePieceEncoder::cut_bpe(std::string_view text, std::vector<Piece>& pieces) const {
  std::vector<MergePart> parts;  // id -2: a user-defined piece, which takes part in no merge
  for (size_t at = 0; at < text.size();) {
    const ByteTrie::Match user = user_defined_.longest(text.substr(at));
    const size_t length = user.length > 0 ? user.length : decode_utf8(text, at).length;
    const int32_t index = static_cast<int32_t>(parts.size());
    parts.push_back(
        {user.length > 0 ? -2 : -1, static_cast<uint32_t>(at), static_cast<uint32_t>(length), index - 1, index + 1});
    at += length;
  }
  parts.back().next = -1;

  const auto part_text = [&](const MergePart& part) { return text.substr(part.begin, part.length); };
  const auto token_of_pair = [&](const MergePart& left) -> int32_t {
    const MergePart& right = parts[static_cast<size_t>(left.next)];
    if (left.id == -2 || right.id == -2 || left.length + right.length > longest_) return -1;
    const auto found = mergeable_.find(text.substr(left.begin, left.length + right.length));
    return found == mergeable_.end() ? -1 : found->second;
  };
  // Unused pieces take part in merges and are taken apart again, into the parts they were last proposed of.
  std::unordered_map<std::string_view, uint32_t> unused;  // the length of the left part
  MergeQueue queue;
  const auto propose = [&](int32_t left) {
    if (left < 0 || parts[static_cast<size_t>(left)].next < 0) return;
    const MergePart& part = parts[static_cast<size_t>(left)];
    const int32_t id = token_of_pair(part);
    if (id < 0) return;
    queue.push(merge_entry(ranks_[static_cast<size_t>(id)], left));
    if (model_.types[static_cast<size_t>(id)] == kTokenUnused)
      unused[model_.pieces[static_cast<size_t>(id)]] = part.length;
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
  std::vector<std::string_view> stack;
  for (const MergePart& part : parts) {
    if (part.length == 0) continue;
    stack.push_back(part_text(part));
    while (!stack.empty()) {
      const std::string_view piece = stack.back();
      stack.pop_back();
      const int32_t id = id_of(piece);
      if (model_.types[static_cast<size_t>(id)] != kTokenUnused) {
        pieces.push_back({piece.size(), id});
        continue;
      }
      const auto apart = unused.find(piece);
      if (apart == unused.end()) {  // a character
        pieces.push_back({piece.size(), model_.unk});
        continue;
      }
      stack.push_back(piece.substr(apart->second));
      stack.push_back(piece.substr(0, apart->second));
    }
  }
}

void SentencePieceEncoder::cut_words(std::string_view text, std::vector<Piece>& pieces) const {
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find(kSpaceMark, begin + 1);
    if (model_.whitespace_as_suffix) end = text.find(kSpaceMark, begin);
    if (end != std::string_view::npos && model_.whitespace_as_suffix) end += kSpaceMark.size();
    end = std::min(end, text.size());
    pieces.push_back({end - begin, id_of(text.substr(begin, end - begin))});
    begin = end;
  }
}

void SentencePieceEncoder::cut_characters(std::string_view text, std::vector<Piece>& pieces) const {
  for (size_t at = 0; at < text.size();) {
    const ByteTrie::Match user = user_defined_.longest(text.substr(at));
    const size_t length = user.length > 0 ? user.length : decode_utf8(text, at).length;
    pieces.push_back({length, id_of(text.substr(at, length))});
    at += length;
  }
}

void SentencePieceEncoder::encode_normalized(std::string_view text, std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  if (unigram_) return unigram_->encode(text, ids);
  std::vector<Piece> pieces;
  if (model_.kind == SentencePieceModel::kBpe) {
    cut_bpe(text, pieces);
  } else if (model_.kind == SentencePieceModel::kWord) {
    cut_words(text, pieces);
  } else {
    cut_characters(text, pieces);
  }
  bool after_unknown = false;
  size_t at = 0;
  for (const Piece& piece : pieces) {
    const bool unknown = piece.id == model_.unk;
    if (unknown && model_.byte_fallback) {
      for (const char c : text.substr(at, piece.length)) ids.push_back(byte_ids_[static_cast<uint8_t>(c)]);
    } else if (!unknown || !after_unknown) {  // a row of unknown pieces is one
      ids.push_back(piece.id);
    }
    after_unknown = unknown;
    at += piece.length;
  }
}

}  // namespace godwit
