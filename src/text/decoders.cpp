#include "text/decoders.h"

#include "base/error.h"
#include "base/text.h"
#include "text/bpe.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace godwit {
namespace {

[[noreturn]] void too_long(std::string_view token) {
  invalid("tokenizer.json: decoder: token {} becomes more than {} bytes", quoted(token, 40), kMaxDecodedBytes);
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  if (what.empty()) return;
  std::string out;
  size_t at = 0;
  for (size_t found; (found = text.find(what, at)) != std::string::npos; at = found + what.size()) {
    if (out.size() > kMaxDecodedBytes) break;  // the caller sees that it is too long
    out.append(text, at, found - at).append(by);
  }
  text = out.append(text, at);
}

void strip_ends(std::string& text, const DecoderStep& step) {
  size_t begin = 0, end = text.size();
  for (size_t i = 0; i < step.start && std::string_view(text).substr(begin).starts_with(step.text); ++i) {
    begin += step.text.size();
  }
  for (size_t i = 0; i < step.stop && std::string_view(text).substr(0, end).ends_with(step.text) && end > begin; ++i) {
    end -= step.text.size();
  }
  text = text.substr(begin, end - begin);
}

/// English punctuation and contractions without the space in front of them.
void clean_up(std::string& text) {
  static constexpr std::string_view kPairs[][2] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& pair : kPairs) replace_all(text, pair[0], pair[1]);
}

}  // namespace

std::string DecoderChain::decode(std::string_view token, bool first) const {
  std::string text(token);
  for (const DecoderStep& step : steps) {
    if (text.size() > kMaxDecodedBytes) too_long(token);
    switch (step.kind) {
      case DecoderStep::Kind::kByteLevel:
        if (auto bytes = from_byte_level(text)) text = *std::move(bytes);
        break;
      case DecoderStep::Kind::kReplace:
        replace_all(text, step.text, step.content);
        break;
      case DecoderStep::Kind::kByteFallback:
        if (const auto byte = parse_byte_token(text)) return std::string(1, static_cast<char>(*byte));
        break;
      case DecoderStep::Kind::kStrip:
        strip_ends(text, step);
        break;
      case DecoderStep::Kind::kMetaspace:
        replace_all(text, step.text, first && step.flag ? "" : " ");
        break;
      case DecoderStep::Kind::kWordPiece:
        if (!first && text.starts_with(step.text)) {
          text.erase(0, step.text.size());
        } else if (!first) {
          text.insert(0, " ");
        }
        if (step.flag) clean_up(text);
        break;
      case DecoderStep::Kind::kBpe:
        replace_all(text, step.text, " ");
        break;
      case DecoderStep::Kind::kJoin:
        if (!first) text.insert(0, " ");
        break;
    }
  }
  if (text.size() > kMaxDecodedBytes) too_long(token);
  return text;
}

}  // namespace godwit
