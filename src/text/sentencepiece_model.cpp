#include "text/sentencepiece_model.h"

#include <array>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

/// The fields of one message. Source: Protocol Buffers, encoding.
class MessageReader {
 public:
  MessageReader(std::string_view bytes, size_t offset, std::string_view where)
      : bytes_(bytes), offset_(offset), where_(where) {}

  enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  uint32_t field = 0;
  uint32_t wire = 0;
  uint64_t number = 0;     // kVarint, kFixed32, kFixed64
  std::string_view bytes;  // kBytes

  /// Reads the next field; false at the end.
  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t tag = varint();
    field = static_cast<uint32_t>(tag >> 3);
    wire = static_cast<uint32_t>(tag & 7);
    if (field == 0 || tag >> 32 != 0) broken("a field number from 1 to 2^29 - 1");
    switch (wire) {
      case kVarint:
        number = varint();
        break;
      case kFixed64:
        number = fixed(8);
        break;
      case kFixed32:
        number = fixed(4);
        break;
      case kBytes: {
        const uint64_t size = varint();
        if (size > bytes_.size() - at_) broken("a length within the message");
        bytes = bytes_.substr(at_, size);
        at_ += size;
        break;
      }
      default:
        broken("a wire type of 0, 1, 2 or 5");
    }
    return true;
  }

  /// Where `bytes` begins in the file.
  size_t bytes_offset() const { return offset_ + at_ - bytes.size(); }

  std::string_view as_bytes() const {
    if (wire != kBytes) broken("bytes");
    return bytes;
  }
  uint64_t as_number() const {
    if (wire != kVarint) broken("a number");
    return number;
  }
  bool as_bool() const { return as_number() != 0; }
  float as_float() const {
    if (wire != kFixed32) broken("a float");
    return std::bit_cast<float>(static_cast<uint32_t>(number));
  }

 private:
  [[noreturn]] void broken(const char* expected) const {
    invalid("{}: byte {}: expected {} (field {})", where_, offset_ + at_, expected, field);
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) break;
      const uint8_t byte = static_cast<uint8_t>(bytes_[at_++]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    broken("a number that ends");
  }
  uint64_t fixed(size_t n) {
    if (bytes_.size() - at_ < n) broken("a number that ends");
    uint64_t value = 0;
    for (size_t i = 0; i < n; ++i) value |= uint64_t{static_cast<uint8_t>(bytes_[at_ + i])} << (8 * i);
    at_ += n;
    return value;
  }

  std::string_view bytes_;
  size_t at_ = 0;
  size_t offset_;
  std::string_view where_;
};

void read_piece(MessageReader message, SentencePieceModel& model, std::string_view where) {
  std::string piece;
  float score = 0;
  uint64_t type = kTokenNormal;
  while (message.next()) {
    if (message.field == 1) piece = message.as_bytes();
    if (message.field == 2) score = message.as_float();
    if (message.field == 3) type = message.as_number();
  }
  const size_t index = model.pieces.size();
  if (index == kMaxVocabulary) invalid("{}: expected at most {} pieces", where, kMaxVocabulary);
  if (piece.empty() || piece.size() > kMaxPieceBytes) {
    invalid("{}: piece {}: expected 1 to {} bytes, got {}", where, index, kMaxPieceBytes, piece.size());
  }
  if (std::isnan(score)) invalid("{}: piece {}: its score is not a number", where, index);
  if (type < kTokenNormal || type > kTokenByte) invalid("{}: piece {}: unknown type {}", where, index, type);
  model.pieces.push_back(std::move(piece));
  model.scores.push_back(score);
  model.types.push_back(static_cast<int32_t>(type));
}

struct SpecialNames {
  std::string unk = "<unk>", bos = "<s>", eos = "</s>", pad = "<pad>";
};

void read_trainer(MessageReader message, SentencePieceModel& model, SpecialNames& names, std::string_view where) {
  while (message.next()) {
    switch (message.field) {
      case 3: {
        const uint64_t kind = message.as_number();
        if (kind < SentencePieceModel::kUnigram || kind > SentencePieceModel::kChar) {
          invalid("{}: model_type: expected 1 to 4, got {}", where, kind);
        }
        model.kind = static_cast<SentencePieceModel::Kind>(kind);
        break;
      }
      case 24:
        model.whitespace_as_suffix = message.as_bool();
        break;
      case 35:
        model.byte_fallback = message.as_bool();
        break;
      case 44:
        model.unk_surface = message.as_bytes();
        break;
      case 45:
        names.unk = message.as_bytes();
        break;
      case 46:
        names.bos = message.as_bytes();
        break;
      case 47:
        names.eos = message.as_bytes();
        break;
      case 48:
        names.pad = message.as_bytes();
        break;
      default:
        break;
    }
  }
}

void read_normalizer(MessageReader message, SentencePieceModel& model) {
  while (message.next()) {
    if (message.field == 2) model.charsmap = message.as_bytes();
    if (message.field == 3) model.add_dummy_prefix = message.as_bool();
    if (message.field == 4) model.remove_extra_whitespaces = message.as_bool();
    if (message.field == 5) model.escape_whitespaces = message.as_bool();
  }
}

void check_pieces(SentencePieceModel& model, const SpecialNames& names, std::string_view where) {
  const std::vector<std::string_view> texts(model.pieces.begin(), model.pieces.end());
  const size_t repeated = find_duplicate(texts);
  if (repeated != std::string_view::npos) {
    invalid("{}: piece {}: {} is there before", where, repeated, quoted(texts[repeated]));
  }
  size_t n_unknown = 0;
  std::array<bool, 256> bytes{};
  size_t n_bytes = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const int32_t id = static_cast<int32_t>(i);
    const int32_t type = model.types[i];
    if (type == kTokenUnknown) {
      ++n_unknown;
      model.unk = id;
    } else if (type == kTokenByte) {
      const std::optional<uint8_t> byte = parse_byte_token(model.pieces[i]);
      if (!model.byte_fallback) invalid("{}: piece {}: a byte, but byte_fallback is off", where, i);
      if (!byte) invalid("{}: piece {}: expected <0x00> to <0xFF>, got {}", where, i, quoted(texts[i]));
      n_bytes += !bytes[*byte];
      bytes[*byte] = true;
    } else if (type == kTokenControl) {
      if (texts[i] == names.bos) model.bos = id;
      if (texts[i] == names.eos) model.eos = id;
      if (texts[i] == names.pad) model.pad = id;
    }
  }
  if (n_unknown != 1) invalid("{}: expected one unknown piece, got {}", where, n_unknown);
  if (model.byte_fallback && n_bytes != 256)
    invalid("{}: expected a piece for each of 256 bytes, got {}", where, n_bytes);
}

}  // namespace

SentencePieceModel parse_sentencepiece_model(std::string_view bytes, std::string_view where) {
  SentencePieceModel model;
  model.source = where;
  SpecialNames names;
  MessageReader message(bytes, 0, where);
  while (message.next()) {
    if (message.field < 1 || message.field > 3) continue;
    const MessageReader inner(message.as_bytes(), message.bytes_offset(), where);
    if (message.field == 1) read_piece(inner, model, where);
    if (message.field == 2) read_trainer(inner, model, names, where);
    if (message.field == 3) read_normalizer(inner, model);
  }
  check_pieces(model, names, where);
  return model;
}

Vocabulary vocabulary_from_sentencepiece(const SentencePieceModel& model) {
  Vocabulary v;
  v.source = model.source;
  const bool bpe = model.kind == SentencePieceModel::kBpe;
  if (bpe || model.kind == SentencePieceModel::kUnigram) {
    v.model = bpe ? "llama" : "t5";
  } else {
    v.model = "none";
    v.unsupported = "SentencePiece models of words or characters";
  }
  v.tokens = model.pieces;
  v.scores = model.scores;
  v.types = model.types;
  v.unk = model.unk;
  v.bos = model.bos;
  v.eos = model.eos;
  v.pad = model.pad;
  v.add_bos = bpe && model.bos.has_value();
  v.add_eos = !bpe && model.eos.has_value();
  v.add_space_prefix = model.add_dummy_prefix;
  return v;
}

}  // namespace godwit
