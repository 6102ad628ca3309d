#include "text/splits.h"

#include <algorithm>

#include "base/error.h"
#include "text/bpe.h"
#include "text/unicode.h"

namespace godwit {
namespace {

/// Replaces each piece by the ranges, relative to it, that f gives.
template <class F>
void cut_pieces(Pieces& pieces, F f) {
  std::vector<PieceRange> finer;
  const uint32_t opening = pieces.ranges.empty() ? 0 : pieces.ranges.front().begin;
  for (const PieceRange& piece : pieces.ranges) {
    const std::string_view text = std::string_view(pieces.text).substr(piece.begin, piece.end - piece.begin);
    for (const PieceRange& part : f(text)) {
      if (part.begin < part.end) finer.push_back({piece.begin + part.begin, piece.begin + part.end});
    }
  }
  pieces.opens = pieces.opens && !finer.empty() && finer.front().begin == opening;
  pieces.ranges = std::move(finer);
}

/// Writes every piece anew: f(piece, whether it opens the input, out) appends to out.
template <class F>
void rewrite_pieces(Pieces& pieces, F f) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 2);
  for (size_t i = 0; i < pieces.ranges.size(); ++i) {
    PieceRange& piece = pieces.ranges[i];
    const uint32_t begin = static_cast<uint32_t>(text.size());
    f(std::string_view(pieces.text).substr(piece.begin, piece.end - piece.begin), pieces.opens && i == 0, text);
    if (text.size() > pieces.most_bytes) {
      invalid("tokenizer.json: pre_tokenizer: the steps make a text larger than {} bytes", pieces.most_bytes);
    }
    piece = {begin, static_cast<uint32_t>(text.size())};
  }
  pieces.text = std::move(text);
}

}  // namespace

bool is_white_space(uint32_t code) { return (char_class(code) & kSpace) != 0; }
bool is_numeric(uint32_t code) { return (char_class(code) & kNumber) != 0; }

bool is_any_punctuation(uint32_t code) { return (char_flags(code) & kHfPunctuation) != 0; }

bool is_word_character(uint32_t code) {
  return (char_flags(code) & kAlphabetic) != 0 || (char_bits(code) & (kAnyM | kNd | kPc)) != 0 || code == 0x200C ||
         code == 0x200D;
}

std::vector<SplitPart> parts_by_character(std::string_view piece, bool (*is_match)(uint32_t)) {
  std::vector<SplitPart> parts;
  uint32_t gap = 0;
  for (uint32_t at = 0; at < piece.size();) {
    const Decoded d = decode_utf8(piece, at);
    if (d.code != kInvalidByte && is_match(d.code)) {
      if (gap < at) parts.push_back({gap, at, false});
      parts.push_back({at, at + d.length, true});
      gap = at + d.length;
    }
    at += d.length;
  }
  if (gap < piece.size()) parts.push_back({gap, static_cast<uint32_t>(piece.size()), false});
  return parts;
}

std::vector<SplitPart> parts_by_word(std::string_view piece) {
  std::vector<SplitPart> parts;
  int last = -1;
  for (uint32_t at = 0; at < piece.size();) {
    const Decoded d = decode_utf8(piece, at);
    const int kind = d.code != kInvalidByte && is_white_space(d.code)      ? 0
                     : d.code != kInvalidByte && is_word_character(d.code) ? 1
                                                                           : 2;
    if (kind == last) {
      parts.back().end += d.length;
    } else {
      parts.push_back({at, at + d.length, kind != 0});
    }
    last = kind;
    at += d.length;
  }
  return parts;
}

std::vector<SplitPart> parts_by_text(std::string_view piece, std::string_view wanted) {
  std::vector<SplitPart> parts;
  size_t at = 0;
  while (!wanted.empty()) {
    const size_t found = piece.find(wanted, at);
    if (found == std::string_view::npos) break;
    const uint32_t begin = static_cast<uint32_t>(found), end = static_cast<uint32_t>(found + wanted.size());
    if (at < found) parts.push_back({static_cast<uint32_t>(at), begin, false});
    parts.push_back({begin, end, true});
    at = end;
  }
  if (at < piece.size()) parts.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(piece.size()), false});
  return parts;
}

std::vector<PieceRange> apply_behavior(const std::vector<SplitPart>& parts, SplitBehavior behavior) {
  std::vector<PieceRange> out;
  bool previous = false;
  if (behavior == SplitBehavior::kMergedWithNext) {
    for (size_t i = parts.size(); i > 0; --i) {
      const SplitPart& part = parts[i - 1];
      if (part.matched && !previous && !out.empty()) {
        out.back().begin = part.begin;
      } else {
        out.push_back({part.begin, part.end});
      }
      previous = part.matched;
    }
    std::reverse(out.begin(), out.end());
    return out;
  }
  for (const SplitPart& part : parts) {
    const bool joins = behavior == SplitBehavior::kContiguous           ? part.matched == previous
                       : behavior == SplitBehavior::kMergedWithPrevious ? part.matched && !previous
                                                                        : false;
    if (joins && !out.empty()) {
      out.back().end = part.end;
    } else if (behavior != SplitBehavior::kRemoved || !part.matched) {
      out.push_back({part.begin, part.end});
    }
    previous = part.matched;
  }
  return out;
}

void PartStep::apply(Pieces& pieces) const {
  cut_pieces(pieces, [&](std::string_view text) {
    std::vector<SplitPart> parts = finder_(text);
    if (invert_) {
      for (SplitPart& part : parts) part.matched = !part.matched;
    }
    return apply_behavior(parts, behavior_);
  });
}

void KnownStep::apply(Pieces& pieces) const {
  cut_pieces(pieces, [&](std::string_view text) {
    std::vector<PieceRange> parts;
    uint32_t begin = 0;
    for (const uint32_t end : pretokenize(kind_, text)) {
      parts.push_back({begin, end});
      begin = end;
    }
    return parts;
  });
}

void FixedLengthStep::apply(Pieces& pieces) const {
  cut_pieces(pieces, [&](std::string_view text) {
    std::vector<PieceRange> parts;
    size_t n = 0;
    for (uint32_t at = 0; at < text.size(); ++n) {
      const uint32_t length = decode_utf8(text, at).length;
      if (n % length_ == 0) parts.push_back({at, at});
      at += length;
      parts.back().end = at;
    }
    return parts;
  });
}

void SpacePrefixStep::apply(Pieces& pieces) const {
  rewrite_pieces(pieces, [](std::string_view piece, bool, std::string& out) {
    if (!piece.starts_with(' ')) out += ' ';
    out += piece;
  });
}

void ByteLevelStep::apply(Pieces& pieces) const {
  rewrite_pieces(pieces, [](std::string_view piece, bool, std::string& out) { out += to_byte_level(piece); });
}

void MetaspaceStep::apply(Pieces& pieces) const {
  rewrite_pieces(pieces, [&](std::string_view piece, bool opens, std::string& out) {
    const bool prefix = prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && opens);
    if (prefix && !piece.starts_with(' ') && !piece.starts_with(mark_)) out += mark_;
    for (const char c : piece) {
      if (c == ' ') {
        out += mark_;
      } else {
        out += c;
      }
    }
  });
  if (!split_) return;
  cut_pieces(pieces, [&](std::string_view text) {
    return apply_behavior(parts_by_text(text, mark_), SplitBehavior::kMergedWithNext);
  });
}

}  // namespace godwit
