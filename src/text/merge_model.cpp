#include "text/merge_model.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "text/bpe.h"
#include "text/unicode.h"

namespace godwit {
namespace {

constexpr size_t kWorthCutting = 48;  // symbols

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

void encode_pieces(const PieceModel& model, std::string_view text, const std::vector<PieceRange>& pieces,
                   std::vector<int32_t>& ids) {
  struct Seen {
    PieceRange piece = {0, 0};
    uint32_t begin = 0, count = 0;  // in ids
  };
  constexpr size_t kSlots = 8192, kEnough = 64;
  constexpr uint32_t kLongest = 24;
  std::vector<Seen> seen(pieces.size() < kEnough ? 0 : kSlots);
  for (const PieceRange& range : pieces) {
    const std::string_view piece = text.substr(range.begin, range.end - range.begin);
    if (seen.empty() || piece.size() > kLongest) {
      model.encode(piece, ids);
      continue;
    }
    Seen& slot = seen[std::hash<std::string_view>()(piece) % kSlots];
    if (text.substr(slot.piece.begin, slot.piece.end - slot.piece.begin) == piece) {
      for (uint32_t i = 0; i < slot.count; ++i) ids.push_back(ids[slot.begin + i]);
      continue;
    }
    slot.piece = range;
    slot.begin = static_cast<uint32_t>(ids.size());
    model.encode(piece, ids);
    slot.count = static_cast<uint32_t>(ids.size()) - slot.begin;
  }
}

WordLevelModel::WordLevelModel(const std::vector<std::string>& tokens, const std::function<bool(int32_t)>& is_made,
                               std::optional<int32_t> unk)
    : unk_(unk) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int32_t id = static_cast<int32_t>(i);
    if (!tokens[i].empty() && (!is_made || is_made(id))) ids_[tokens[i]] = id;
  }
}

void WordLevelModel::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  const auto found = ids_.find(std::string(piece));
  if (found != ids_.end()) {
    ids.push_back(found->second);
  } else if (unk_) {
    ids.push_back(*unk_);
  }
}

MergeModel::MergeModel(const MergeModelParts& parts, const std::string& place)
    : ranks_(parts.merges.size()),
      unk_(parts.unk),
      prefix_(parts.continuing_subword_prefix),
      suffix_(parts.end_of_word_suffix),
      fuse_unk_(parts.fuse_unk),
      byte_fallback_(parts.byte_fallback),
      ignore_merges_(parts.ignore_merges),
      bytes_(parts.bytes) {
  CHECK(!bytes_ || (prefix_.empty() && suffix_.empty() && !byte_fallback_), "a merge model of bytes with affixes");
  byte_ids_.fill(-1);
  ids_.reserve(parts.tokens.size());
  for (size_t i = 0; i < parts.tokens.size(); ++i) {
    const int32_t id = static_cast<int32_t>(i);
    const std::string& token = parts.tokens[i];
    if (byte_fallback_) {
      if (const auto byte = parse_byte_token(token)) byte_ids_[*byte] = id;
    }
    if (token.empty() || (parts.is_made && !parts.is_made(id))) continue;
    if (!bytes_) {
      ids_[token] = id;
      const Decoded d = decode_utf8(token, 0);
      if (d.length == token.size() && d.code != kInvalidByte) characters_[d.code] = id;
      continue;
    }
    std::optional<std::string> bytes = from_byte_level(token);
    if (!bytes) continue;
    if (bytes->size() == 1) byte_ids_[static_cast<uint8_t>((*bytes)[0])] = id;
    if (ignore_merges_) ids_[*std::move(bytes)] = id;
  }
  read_merges(parts, place);
  may_cut_ = prefix_.empty() && suffix_.empty();
  if (may_cut_) find_joined(parts.tokens);
}

void MergeModel::read_merges(const MergeModelParts& parts, const std::string& place) {
  std::unordered_map<std::string_view, int32_t> ids;
  ids.reserve(parts.tokens.size());
  for (size_t i = 0; i < parts.tokens.size(); ++i) ids[parts.tokens[i]] = static_cast<int32_t>(i);
  std::string joined;
  merges_.reserve(parts.merges.size());
  for (size_t i = 0; i < parts.merges.size(); ++i) {
    const auto& merge = parts.merges[i];
    const auto id_of = [&](std::string_view text) {
      const auto found = ids.find(text);
      if (found == ids.end()) {
        invalid("{}: {} ({} with {}): {} is no token", place, i, quoted(merge.first, 40), quoted(merge.second, 40),
                quoted(text, 40));
      }
      return found->second;
    };
    if (merge.second.size() <= prefix_.size() && !prefix_.empty()) {
      invalid("{}: {}: expected more than the prefix {}, got {}", place, i, quoted(prefix_, 40),
              quoted(merge.second, 40));
    }
    joined.assign(merge.first).append(merge.second, prefix_.size());
    const int32_t left = id_of(merge.first), right = id_of(merge.second), result = id_of(joined);
    merges_.push_back({left, right, result});
    if (parts.is_made && !parts.is_made(result)) continue;
    ranks_.insert(uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right), static_cast<uint32_t>(i));
  }
}

void MergeModel::add_symbols(std::string_view piece, std::vector<MergePart>& symbols) const {
  uint32_t begin = 0, unknown = 0;  // bytes that an unknown token still to be added stands for
  const auto add = [&](int32_t id, uint32_t length) {
    const int32_t at = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, begin, length, at - 1, at + 1});
    begin += length;
  };
  const auto add_unknown = [&] {
    if (unknown > 0) add(*unk_, unknown);
    unknown = 0;
  };
  std::string text;
  for (size_t at = 0; at < piece.size();) {
    const Decoded d = bytes_ ? Decoded{0, 1} : decode_utf8(piece, at);
    const uint32_t length = d.length;
    int32_t id = -1;
    const bool affixes = (at == 0 ? false : !prefix_.empty()) || (at + length == piece.size() && !suffix_.empty());
    if (bytes_) {
      id = byte_ids_[static_cast<uint8_t>(piece[at])];
    } else if (!affixes && d.code != kInvalidByte && (id = character(d.code)) >= 0) {
      // the usual case
    } else {
      text.clear();
      if (at > 0) text += prefix_;
      text += piece.substr(at, length);
      if (at + length == piece.size()) text += suffix_;
      id = find(text);
    }
    at += length;
    if (id >= 0) {
      add_unknown();
      add(id, length);
      continue;
    }
    const auto byte_id = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
    if (byte_fallback_ && std::all_of(text.begin(), text.end(), [&](char c) { return byte_id(c) >= 0; })) {
      for (const char c : text) add(byte_id(c), 1);  // before an unknown token that still waits, as the library has it
    } else if (unk_) {
      if (!fuse_unk_) add_unknown();
      unknown += length;
    }
  }
  add_unknown();
  if (!symbols.empty()) symbols.back().next = -1;
}

void MergeModel::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    const int32_t whole = find(std::string(piece));
    if (whole >= 0) return ids.push_back(whole);
  }
  const auto rank_of = [&](const MergePart& left, const MergePart& right) {
    return ranks_.find(pair_key(left.id, right.id));
  };
  const auto result_of = [&](const MergePart&, const MergePart&, uint32_t rank) { return merges_[rank].result; };
  const auto finish = [&](std::vector<MergePart>& parts) {
    merge_by_rank(parts, merges_.size(), rank_of, result_of);
    for (const MergePart& part : parts) {
      if (part.length > 0) ids.push_back(part.id);
    }
  };
  std::vector<MergePart> parts;
  if (!may_cut_ || piece.size() < kWorthCutting) {
    parts.reserve(piece.size());
    add_symbols(piece, parts);
    return finish(parts);
  }
  // Long pieces are cut where no token reaches across; of bytes, not all need be there at once.
  const size_t stretch = bytes_ ? 4096 : piece.size();
  std::vector<MergePart> symbols;
  int32_t last = -1;
  for (size_t at = 0; at < piece.size();) {
    const size_t end = std::min(piece.size(), at + stretch);
    symbols.clear();
    add_symbols(piece.substr(at, end - at), symbols);
    for (MergePart symbol : symbols) {
      if (!parts.empty() && joined_.find(pair_key(last, symbol.id)) == IdMap::kNone) {
        parts.back().next = -1;
        finish(parts);
        parts.clear();
      }
      last = symbol.id;
      symbol.begin += static_cast<uint32_t>(at);
      symbol.previous = static_cast<int32_t>(parts.size()) - 1;
      symbol.next = static_cast<int32_t>(parts.size()) + 1;
      if (parts.size() == size_t{1} << 16) parts.reserve(piece.size());  // rather than to grow by copies
      parts.push_back(symbol);
    }
    at = end;
  }
  if (parts.empty()) return;
  parts.back().next = -1;
  finish(parts);
}

void MergeModel::find_joined(const std::vector<std::string>& tokens) {
  for (const Merge& merge : merges_) {
    joined_.insert(pair_key(merge.left, merge.right), 0);  // symbols that are no characters too
    int32_t last = -1;
    const std::string_view token = tokens[static_cast<size_t>(merge.result)];
    for (size_t at = 0; at < token.size();) {
      const Decoded d = decode_utf8(token, at);
      const int32_t id = bytes_ ? byte_symbol(d.code) : character(d.code);
      if (last >= 0 && id >= 0) joined_.insert(pair_key(last, id), 0);
      last = id;
      at += d.length;
    }
  }
}

/// The symbol of a character of the byte-level alphabet.
int32_t MergeModel::byte_symbol(uint32_t code) const {
  const std::optional<uint8_t> byte = byte_of_level_code(code);
  return byte ? byte_ids_[*byte] : -1;
}

}  // namespace godwit
