#include "text/bpe.h"

#include <array>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "text/merge_queue.h"
#include "text/pretokenize.h"
#include "text/unicode.h"

namespace godwit {
namespace {

bool stands_for_itself(uint32_t byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Alphabet {
  std::array<uint32_t, 256> code;
  std::array<int16_t, 256 + 68> byte;  // by code point; -1: not of the alphabet

  Alphabet() {
    byte.fill(-1);
    uint32_t next = 0x100;
    for (uint32_t b = 0; b < 256; ++b) {
      code[b] = stands_for_itself(b) ? b : next++;
      byte[code[b]] = static_cast<int16_t>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

class ByteLevelBpe final : public Tokenizer {
 public:
  ByteLevelBpe(const Vocabulary& vocabulary, const PretokenizerChoice& choice);

 private:
  struct Merge {
    int32_t left, right, result;
  };

  void read_merges(const Vocabulary& vocabulary);
  void encode_text(std::string_view text, bool opens, std::vector<int32_t>& ids) const override;
  void encode_piece(std::string_view piece, std::vector<MergePart>& parts, std::vector<int32_t>& ids) const;
  uint32_t rank(int32_t left, int32_t right) const {
    if (left < 0 || right < 0) return IdMap::kNone;
    return ranks_.find(uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right));
  }

  Pretokenizer pretokenizer_;
  std::array<int32_t, 256> byte_ids_;
  std::vector<Merge> merges_;                       // by rank
  IdMap ranks_;                                     // (left, right) -> rank
  std::unordered_map<std::string, int32_t> whole_;  // bytes of normal tokens, for ignore_merges only
};

ByteLevelBpe::ByteLevelBpe(const Vocabulary& v, const PretokenizerChoice& choice)
    : Tokenizer(v), pretokenizer_(choice.kind), ranks_(v.merges.size()) {
  byte_ids_.fill(-1);
  std::vector<std::string> pieces(v.tokens.size());
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    const int32_t kind = type(i);
    std::optional<std::string> bytes;
    if (kind == kTokenNormal || kind == kTokenUndefined) bytes = from_byte_level(v.tokens[i]);
    if (bytes && bytes->size() == 1) byte_ids_[static_cast<uint8_t>((*bytes)[0])] = static_cast<int32_t>(i);
    if (bytes && choice.ignore_merges) whole_[*bytes] = static_cast<int32_t>(i);
    pieces[i] = bytes ? *std::move(bytes) : v.tokens[i];
  }
  set_pieces(pieces);
  read_merges(v);
}

void ByteLevelBpe::read_merges(const Vocabulary& v) {
  std::unordered_map<std::string_view, int32_t> ids;
  ids.reserve(v.tokens.size());
  for (size_t i = 0; i < v.tokens.size(); ++i) ids[v.tokens[i]] = static_cast<int32_t>(i);
  const auto id_of = [&](size_t line, std::string_view text) {
    const auto found = ids.find(text);
    if (found == ids.end()) {
      invalid("{}: tokenizer.ggml.merges: {} ({}): {} is no token", printable_path(v.source), line,
              quoted(v.merges[line]), quoted(text));
    }
    return found->second;
  };
  merges_.reserve(v.merges.size());
  for (size_t i = 0; i < v.merges.size(); ++i) {
    const std::string_view merge = v.merges[i];
    const size_t space = merge.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == merge.size() ||
        merge.find(' ', space + 1) != std::string_view::npos) {
      invalid("{}: tokenizer.ggml.merges: {}: expected two pieces with one space between, got {}",
              printable_path(v.source), i, quoted(merge));
    }
    const std::string_view left = merge.substr(0, space);
    const std::string_view right = merge.substr(space + 1);
    const Merge m{id_of(i, left), id_of(i, right), id_of(i, std::string(left).append(right))};
    merges_.push_back(m);
    const int32_t kind = type(static_cast<size_t>(m.result));
    if (kind == kTokenControl || kind == kTokenUnknown || kind == kTokenUnused || kind == kTokenByte) continue;
    ranks_.insert(uint64_t{static_cast<uint32_t>(m.left)} << 32 | static_cast<uint32_t>(m.right),
                  static_cast<uint32_t>(i));
  }
}

void ByteLevelBpe::encode_text(std::string_view text, bool, std::vector<int32_t>& ids) const {
  std::vector<MergePart> parts;
  size_t begin = 0;
  for (const uint32_t end : pretokenize(pretokenizer_, text)) {
    encode_piece(text.substr(begin, end - begin), parts, ids);
    begin = end;
  }
}

void ByteLevelBpe::encode_piece(std::string_view piece, std::vector<MergePart>& parts,
                                std::vector<int32_t>& ids) const {
  if (!whole_.empty()) {
    const auto found = whole_.find(std::string(piece));
    if (found != whole_.end()) return ids.push_back(found->second);
  }
  parts.clear();
  for (const char c : piece) {
    const int32_t at = static_cast<int32_t>(parts.size());
    parts.push_back({byte_ids_[static_cast<uint8_t>(c)], static_cast<uint32_t>(at), 1, at - 1, at + 1});
  }
  parts.back().next = -1;
  MergeQueue queue;
  const auto propose = [&](int32_t left) {
    if (left < 0 || parts[static_cast<size_t>(left)].next < 0) return;
    const MergePart& part = parts[static_cast<size_t>(left)];
    const uint32_t r = rank(part.id, parts[static_cast<size_t>(part.next)].id);
    if (r != IdMap::kNone) queue.push(merge_entry(r, left));
  };
  for (size_t i = 0; i < parts.size(); ++i) propose(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const Merge& merge = merges_[queue.top() >> 32];
    const int32_t left = static_cast<int32_t>(queue.top());
    queue.pop();
    const MergePart& part = parts[static_cast<size_t>(left)];
    if (part.length == 0 || part.id != merge.left || part.next < 0 ||
        parts[static_cast<size_t>(part.next)].id != merge.right) {
      continue;
    }
    join_with_next(parts, left, merge.result);
    propose(part.previous);
    propose(left);
  }
  // A byte without a token is left out, as in llama.cpp and Hugging Face's tokenizers.
  for (const MergePart& part : parts) {
    if (part.length > 0 && part.id >= 0) ids.push_back(part.id);
  }
}

}  // namespace

uint32_t byte_level_code(uint8_t byte) { return alphabet().code[byte]; }

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) append_utf8(text, byte_level_code(static_cast<uint8_t>(c)));
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const Decoded d = decode_utf8(text, at);
    if (d.code >= alphabet().byte.size() || alphabet().byte[d.code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(alphabet().byte[d.code]));
    at += d.length;
  }
  return bytes;
}

std::unique_ptr<Tokenizer> make_byte_level_bpe(const Vocabulary& vocabulary, std::string& why_not) {
  const auto choice = find_pretokenizer(vocabulary.pre.empty() ? "default" : vocabulary.pre);
  if (!choice) {
    why_not = "pre-tokenizer " + quoted(vocabulary.pre) + " is not known to this build";
    return nullptr;
  }
  return std::make_unique<ByteLevelBpe>(vocabulary, *choice);
}

}  // namespace godwit
