#include "text/pipeline.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace godwit {
namespace {

/// A stretch of text, or the token that was cut out there.
struct Stretch {
  size_t begin, end;
  int32_t id = -1;  // -1: text
};

/// Added tokens that are looked for together, with their rules.
class AddedTokens {
 public:
  AddedTokens() = default;
  using Is = std::function<bool(int32_t)>;
  AddedTokens(const std::vector<AddedToken>& tokens, const Is& is_control, const Is& is_marker);

  /// `text` from begin to end; rules as added_vocabulary.rs: a match that is part of a word is text, though nothing
  /// else is looked for there; white space goes to the token before it rather than to the one behind.
  std::vector<Stretch> cut(std::string_view text, bool control, std::span<const TextRange> plain) const;

  bool empty() const { return search_.empty(); }

 private:
  AddedTokenSearch search_;
  std::unordered_map<int32_t, AddedToken> rules_;  // of those that have any
};

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, const Is& is_control, const Is& is_marker) {
  for (const AddedToken& token : tokens) {
    search_.add(token.content, token.id, is_control(token.id), is_marker(token.id));
    if (token.single_word || token.lstrip || token.rstrip) rules_.emplace(token.id, token);
  }
  search_.build();
}

/// The character that ends before `end`.
uint32_t code_before(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  const Decoded d = decode_utf8(text, begin);
  return begin + d.length == end ? d.code : kInvalidByte;
}

size_t spaces_before(std::string_view text, size_t end, size_t least) {
  while (end > least && is_white_space(code_before(text, end))) {
    do --end;
    while (end > least && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80);
  }
  return end;
}

size_t spaces_behind(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const Decoded d = decode_utf8(text, begin);
    if (!is_white_space(d.code)) break;
    begin += d.length;
  }
  return begin;
}

std::vector<Stretch> AddedTokens::cut(std::string_view text, bool control, std::span<const TextRange> plain) const {
  std::vector<Stretch> out;
  size_t at = 0;
  for (const SpecialMatch& match : search_.find(text, control, plain)) {
    size_t begin = match.begin, end = match.end;
    const auto found = rules_.find(match.id);
    if (found != rules_.end()) {
      const AddedToken& rules = found->second;
      const auto is_word = [](uint32_t code) { return code != kInvalidByte && is_word_character(code); };
      if (rules.single_word && ((begin > 0 && is_word(code_before(text, begin))) ||
                                (end < text.size() && is_word(decode_utf8(text, end).code)))) {
        continue;
      }
      if (rules.lstrip) begin = std::max(at, spaces_before(text, begin, at));
      if (rules.rstrip) end = spaces_behind(text, end);
    }
    if (at < begin) out.push_back({at, begin});
    out.push_back({begin, end, match.id});
    at = end;
  }
  if (at < text.size()) out.push_back({at, text.size()});
  return out;
}

/// The ranges of `plain` within [begin, end), counted from begin.
std::vector<TextRange> within(std::span<const TextRange> plain, size_t begin, size_t end) {
  std::vector<TextRange> out;
  const auto* first = std::lower_bound(plain.data(), plain.data() + plain.size(), begin,
                                       [](const TextRange& r, size_t at) { return r.end <= at; });
  for (const auto* r = first; r != plain.data() + plain.size() && r->begin < end; ++r) {
    out.push_back({std::max(r->begin, begin) - begin, std::min(r->end, end) - begin});
  }
  return out;
}

class PipelineTokenizer final : public Tokenizer {
 public:
  PipelineTokenizer(const Vocabulary& v, std::shared_ptr<const Pipeline> pipeline);

 private:
  void encode_between(std::string_view text, const EncodeOptions& options, std::vector<int32_t>& ids) const override;
  void encode_text(std::string_view, bool, std::vector<int32_t>&) const override {}
  void encode_stretch(std::string_view text, bool opens, bool control, std::span<const TextRange> plain,
                      std::vector<int32_t>& ids) const;
  std::vector<TextRange> in_normal_form(std::string_view text, const std::string& normal,
                                        std::span<const TextRange> plain) const;
  std::string first_piece(int32_t id) const override {
    return id >= 0 && id < size() ? pipeline_->decoder.decode(tokens_[static_cast<size_t>(id)], true) : std::string();
  }

  std::shared_ptr<const Pipeline> pipeline_;
  std::vector<std::string> tokens_;  // as they go into the decoder
  AddedTokens raw_, normalized_;
};

PipelineTokenizer::PipelineTokenizer(const Vocabulary& v, std::shared_ptr<const Pipeline> pipeline)
    : Tokenizer(v), pipeline_(std::move(pipeline)), tokens_(pipeline_->tokens) {
  // Rows that pad an embedding have tokens of their own.
  for (size_t i = tokens_.size(); i < v.tokens.size(); ++i) tokens_.push_back(v.tokens[i]);
  before_ = pipeline_->before;
  after_ = pipeline_->after;
  std::vector<AddedToken> raw, normalized;
  for (const AddedToken& token : pipeline_->added) {
    if (!token.normalized) {
      raw.push_back(token);
      continue;
    }
    normalized.push_back(token);
    if (!pipeline_->normalize) continue;
    std::string& content = normalized.back().content;
    content = pipeline_->normalize(content);
    tokens_[static_cast<size_t>(token.id)] = content;
  }
  const auto is_control = [this](int32_t id) { return is_special(id); };
  const auto is_marker = [this](int32_t id) { return Tokenizer::is_marker(id); };
  std::vector<std::string> pieces(tokens_.size());
  size_t bytes = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    pieces[i] = pipeline_->decoder.decode(tokens_[i], false);
    bytes += pieces[i].size();
    if (bytes > kMaxAllDecodedBytes) {
      invalid("tokenizer.json: decoder: the tokens become more than {} bytes", kMaxAllDecodedBytes);
    }
  }
  set_pieces(pieces);
  set_opening(pipeline_->decoder.strip, pipeline_->decoder.strip_count, pipeline_->decoder.drops_last_space);
  raw_ = AddedTokens(raw, is_control, is_marker);
  normalized_ = AddedTokens(normalized, is_control, is_marker);
}

void PipelineTokenizer::encode_between(std::string_view text, const EncodeOptions& options,
                                       std::vector<int32_t>& ids) const {
  for (const Stretch& stretch : raw_.cut(text, options.special, options.plain)) {
    if (stretch.id >= 0) {
      ids.push_back(stretch.id);
      continue;
    }
    const std::vector<TextRange> plain = within(options.plain, stretch.begin, stretch.end);
    encode_stretch(text.substr(stretch.begin, stretch.end - stretch.begin), stretch.begin == 0, options.special, plain,
                   ids);
  }
}

/// Where plain ranges come to lie in the normal form: what is before an edge, in its own normal form, must begin the
/// whole. Where it does not, or there are too many to look, no control token is made of this text at all.
std::vector<TextRange> PipelineTokenizer::in_normal_form(std::string_view text, const std::string& normal,
                                                         std::span<const TextRange> plain) const {
  if (plain.empty() || normal == text) return {plain.begin(), plain.end()};
  constexpr size_t kMostBytes = size_t{1} << 28;
  const std::vector<TextRange> all = {{0, normal.size()}};
  if (plain.size() * 2 > kMostBytes / text.size()) return all;
  std::vector<TextRange> out;
  const auto place = [&](size_t edge) -> size_t {
    const std::string before = pipeline_->normalize(text.substr(0, edge));
    return normal.starts_with(before) ? before.size() : std::string::npos;
  };
  for (const TextRange& range : plain) {
    const TextRange moved = {range.begin == 0 ? 0 : place(range.begin),
                             range.end == text.size() ? normal.size() : place(range.end)};
    if (moved.begin == std::string::npos || moved.end == std::string::npos || moved.begin > moved.end) return all;
    if (!out.empty() && moved.begin < out.back().end) return all;
    out.push_back(moved);
  }
  return out;
}

void PipelineTokenizer::encode_stretch(std::string_view text, bool opens, bool control,
                                       std::span<const TextRange> plain, std::vector<int32_t>& ids) const {
  std::string normal = pipeline_->normalize ? pipeline_->normalize(text) : std::string(text);
  const auto encode = [&](std::string piece, bool first) {
    const size_t most = piece.size() * 16 + (size_t{1} << 20);
    Pieces pieces{.text = std::move(piece), .ranges = {}, .opens = first, .most_bytes = most};
    pieces.ranges.push_back({0, static_cast<uint32_t>(pieces.text.size())});
    for (const auto& step : pipeline_->splits) step->apply(pieces);
    encode_pieces(*pipeline_->model, pieces.text, pieces.ranges, ids);
  };
  if (normalized_.empty()) {
    if (!normal.empty()) encode(std::move(normal), opens);
    return;
  }
  const std::vector<TextRange> moved = in_normal_form(text, normal, plain);
  for (const Stretch& stretch : normalized_.cut(normal, control, moved)) {
    if (stretch.id >= 0) {
      ids.push_back(stretch.id);
    } else {
      encode(normal.substr(stretch.begin, stretch.end - stretch.begin), opens && stretch.begin == 0);
    }
  }
}

}  // namespace

std::unique_ptr<Tokenizer> make_pipeline_tokenizer(const Vocabulary& vocabulary,
                                                   std::shared_ptr<const Pipeline> pipeline) {
  return std::make_unique<PipelineTokenizer>(vocabulary, std::move(pipeline));
}

}  // namespace godwit
