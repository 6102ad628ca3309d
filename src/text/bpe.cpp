#include "text/bpe.h"

#include <array>

#include "base/text.h"
#include "text/merge_model.h"
#include "text/pipeline_gguf.h"
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
  ByteLevelBpe(const Vocabulary& v, const PretokenizerChoice& choice)
      : Tokenizer(v), pretokenizer_(choice.kind), model_(parts_of(v, choice), where(v)) {
    std::vector<std::string> pieces(v.tokens.size());
    for (size_t i = 0; i < v.tokens.size(); ++i) {
      const int32_t kind = type(i);
      std::optional<std::string> bytes;
      if (kind == kTokenNormal || kind == kTokenUndefined) bytes = from_byte_level(v.tokens[i]);
      pieces[i] = bytes ? *std::move(bytes) : v.tokens[i];
    }
    set_pieces(pieces);
  }

 private:
  static std::string where(const Vocabulary& v) { return printable_path(v.source) + ": tokenizer.ggml.merges"; }

  MergeModelParts parts_of(const Vocabulary& v, const PretokenizerChoice& choice) const {
    MergeModelParts parts;
    parts.tokens = v.tokens;
    parts.merges.reserve(v.merges.size());
    for (size_t i = 0; i < v.merges.size(); ++i) parts.merges.push_back(read_gguf_merge(v, i));
    parts.ignore_merges = choice.ignore_merges;
    parts.bytes = true;
    parts.is_made = [this](int32_t id) {
      const int32_t kind = type(static_cast<size_t>(id));
      return kind == kTokenNormal || kind == kTokenUndefined || kind == kTokenUserDefined;
    };
    return parts;
  }

  void encode_text(std::string_view text, bool, std::vector<int32_t>& ids) const override {
    constexpr size_t kAtOnce = size_t{1} << 16;
    std::vector<PieceRange> pieces;
    uint32_t begin = 0;
    for (const uint32_t end : pretokenize(pretokenizer_, text)) {
      pieces.push_back({begin, end});
      begin = end;
      if (pieces.size() < kAtOnce && end < text.size()) continue;
      encode_pieces(model_, text, pieces, ids);
      pieces.clear();
    }
  }

  Pretokenizer pretokenizer_;
  MergeModel model_;
};

}  // namespace

uint32_t byte_level_code(uint8_t byte) { return alphabet().code[byte]; }

std::optional<uint8_t> byte_of_level_code(uint32_t code) {
  if (code >= alphabet().byte.size() || alphabet().byte[code] < 0) return std::nullopt;
  return static_cast<uint8_t>(alphabet().byte[code]);
}

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) append_utf8(text, byte_level_code(static_cast<uint8_t>(c)));
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const Decoded d = decode_utf8(text, at);
    const std::optional<uint8_t> byte = byte_of_level_code(d.code);
    if (!byte) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
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
