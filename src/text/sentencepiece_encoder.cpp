#include "text/sentencepiece_encoder.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "text/sentencepiece.h"
#include "text/unicode.h"

namespace godwit {
SentencePieceEncoder::SentencePieceEncoder(SentencePieceModel model)
    : model_(std::move(model)),
      charsmap_(model_.charsmap, printable_path(model_.source) + ": precompiled_charsmap"),
      ranks_(score_ranks(model_.scores)) {
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
  if (model_.kind == SentencePieceModel::kBpe) make_pairs();
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

void SentencePieceEncoder::make_pairs() {
  uint32_t next = static_cast<uint32_t>(model_.pieces.size());
  const auto character = [&](uint32_t code) {  // the symbol of a character, made if there is none
    if (characters_.insert(code, next)) ++next;
  };
  for (const auto& [piece, id] : mergeable_) {
    const Decoded d = decode_utf8(piece, 0);
    if (d.code != kInvalidByte && d.length == piece.size()) characters_.insert(d.code, static_cast<uint32_t>(id));
  }
  const auto symbol = [&](std::string_view text) {
    const Decoded d = decode_utf8(text, 0);
    if (d.length == text.size()) return characters_.find(d.code);
    const auto found = mergeable_.find(text);
    return found == mergeable_.end() ? IdMap::kNone : static_cast<uint32_t>(found->second);
  };
  for (size_t i = 0; i < model_.pieces.size(); ++i) {
    const std::string_view piece = model_.pieces[i];
    const int32_t type = model_.types[i];
    if (type != kTokenNormal && type != kTokenUserDefined && type != kTokenUnused) continue;
    if (find_invalid_utf8(piece) != std::string_view::npos) continue;  // no text that is normalised has it
    uint32_t before = kInvalidByte;
    for (size_t at = 0; at < piece.size();) {
      const Decoded d = decode_utf8(piece, at);
      character(d.code);
      if (at > 0) neighbours_.insert(uint64_t{before} << 32 | d.code, 0);
      before = d.code;
      at += d.length;
    }
    for (size_t at = decode_utf8(piece, 0).length; at < piece.size(); at += decode_utf8(piece, at).length) {
      const uint32_t left = symbol(piece.substr(0, at)), right = symbol(piece.substr(at));
      if (left == IdMap::kNone || right == IdMap::kNone) continue;
      pairs_.insert(uint64_t{left} << 32 | right, static_cast<uint32_t>(i));
    }
  }
}

/// Merges never cross a place whose two characters stand side by side in no piece: the text between such places is
/// merged on its own, as a short queue is fast.
void SentencePieceEncoder::cut_bpe(std::string_view text, std::vector<Piece>& pieces) const {
  std::vector<MergePart> parts;  // id: the symbol; -1 where there is none
  uint32_t before = kInvalidByte;
  for (size_t at = 0; at < text.size();) {
    const ByteTrie::Match user = user_defined_.longest(text.substr(at));
    const Decoded d = decode_utf8(text, at);
    if (user.length > 0 || neighbours_.find(uint64_t{before} << 32 | d.code) == IdMap::kNone)
      merge(text, parts, pieces);
    if (user.length > 0) {
      pieces.push_back({user.length, user.value});
      at += user.length;
      before = kInvalidByte;
      continue;
    }
    const int32_t index = static_cast<int32_t>(parts.size());
    const int32_t symbol = static_cast<int32_t>(characters_.find(d.code));
    parts.push_back({symbol, static_cast<uint32_t>(at), d.length, index - 1, index + 1});
    at += d.length;
    before = d.code;
  }
  merge(text, parts, pieces);
}

/// Merges `parts` of `text`, appends the pieces and clears the parts.
void SentencePieceEncoder::merge(std::string_view text, std::vector<MergePart>& parts,
                                 std::vector<Piece>& pieces) const {
  if (parts.empty()) return;
  parts.back().next = -1;
  const auto part_text = [&](const MergePart& part) { return text.substr(part.begin, part.length); };
  const auto piece_of_pair = [&](const MergePart& left) -> int32_t {
    const MergePart& right = parts[static_cast<size_t>(left.next)];
    if (left.id < 0 || right.id < 0) return -1;
    const uint64_t key = uint64_t{static_cast<uint32_t>(left.id)} << 32 | static_cast<uint32_t>(right.id);
    return static_cast<int32_t>(pairs_.find(key));
  };
  // Unused pieces take part in merges and are taken apart again, into the parts they were last proposed of.
  std::unordered_map<int32_t, uint32_t> unused;  // the length of the left part
  std::vector<uint64_t> entries;
  const auto propose = [&](int32_t left, auto put) {
    if (left < 0 || parts[static_cast<size_t>(left)].next < 0) return;
    const MergePart& part = parts[static_cast<size_t>(left)];
    const int32_t id = piece_of_pair(part);
    if (id < 0) return;
    put(merge_entry(ranks_[static_cast<size_t>(id)], left));
    if (model_.types[static_cast<size_t>(id)] == kTokenUnused) unused[id] = part.length;
  };
  entries.reserve(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    propose(static_cast<int32_t>(i), [&](uint64_t entry) { entries.push_back(entry); });
  }
  MergeQueue queue(std::greater<>(), std::move(entries));
  const auto push = [&](uint64_t entry) { queue.push(entry); };
  while (!queue.empty()) {
    const uint32_t rank = static_cast<uint32_t>(queue.top() >> 32);
    const int32_t left = static_cast<int32_t>(queue.top());
    queue.pop();
    const MergePart& part = parts[static_cast<size_t>(left)];
    if (part.length == 0 || part.next < 0) continue;
    const int32_t id = piece_of_pair(part);
    if (id < 0 || ranks_[static_cast<size_t>(id)] != rank) continue;
    join_with_next(parts, left, id);
    propose(part.previous, push);
    propose(left, push);
  }
  std::vector<std::string_view> stack;
  for (const MergePart& part : parts) {
    if (part.length == 0) continue;
    const bool is_piece = part.id >= 0 && static_cast<size_t>(part.id) < model_.pieces.size();
    if (is_piece && model_.types[static_cast<size_t>(part.id)] != kTokenUnused) {
      pieces.push_back({part.length, part.id});
      continue;
    }
    stack.push_back(part_text(part));
    while (!stack.empty()) {
      const std::string_view piece = stack.back();
      stack.pop_back();
      const int32_t id = id_of(piece);
      if (model_.types[static_cast<size_t>(id)] != kTokenUnused) {
        pieces.push_back({piece.size(), id});
        continue;
      }
      const auto apart = unused.find(id);
      if (apart == unused.end()) {  // a character
        pieces.push_back({piece.size(), model_.unk});
        continue;
      }
      stack.push_back(piece.substr(apart->second));
      stack.push_back(piece.substr(0, apart->second));
    }
  }
  parts.clear();
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
