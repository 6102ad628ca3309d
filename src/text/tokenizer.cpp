#include "text/tokenizer.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "text/bpe.h"
#include "text/pipeline_gguf.h"
#include "text/sentencepiece.h"

namespace godwit {
namespace {

/// Tokens that end a generation wherever they occur, and are control tokens whatever the file says.
constexpr std::string_view kStopTexts[] = {"<|eot_id|>",
                                           "<|im_end|>",
                                           "<|end|>",
                                           "<|return|>",
                                           "<|call|>",
                                           "<|flush|>",
                                           "<|calls|>",
                                           "<end_of_turn>",
                                           "<turn|>",
                                           "<|endoftext|>",
                                           "<|eom_id|>",
                                           "<|end_of_text|>",
                                           "<EOT>",
                                           "_<EOT>",
                                           "[EOT]",
                                           "[EOS]",
                                           "<end_of_utterance>",
                                           "<|tool_response>",
                                           "<｜end▁of▁sentence｜>",
                                           "[e~["};
/// The same, but short enough to be ordinary pieces of markup: only if the file has them as control tokens.
constexpr std::string_view kStopTextsIfControl[] = {"</s>", "<eos>"};

template <size_t n>
bool is_one_of(const std::string_view (&texts)[n], std::string_view text) {
  return std::find(std::begin(texts), std::end(texts), text) != std::end(texts);
}

}  // namespace

Tokenizer::Tokenizer(const Vocabulary& v)
    : unk_(v.unk),
      bos_(v.bos),
      eos_(v.eos),
      add_space_prefix_(v.add_space_prefix && v.model == "llama"),
      strip_count_(add_space_prefix_ ? 1 : 0) {
  if (v.add_bos && v.bos) before_.push_back(*v.bos);
  if (v.add_sep && v.sep) after_.push_back(*v.sep);
  if (v.add_eos && v.eos) after_.push_back(*v.eos);
  const size_t n = v.tokens.size();
  types_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    types_[i] = v.type(i);
    const bool known = is_one_of(kStopTexts, v.tokens[i]);
    if (known) types_[i] = kTokenControl;
    if (known || (types_[i] == kTokenControl && is_one_of(kStopTextsIfControl, v.tokens[i]))) {
      stop_ids_.push_back(static_cast<int32_t>(i));
    }
  }
  // gpt-oss and Solar end messages within an answer with <|end|>: it stops nothing where they have tokens to stop with.
  const auto find_stop = [&](std::string_view text) {
    return std::find_if(stop_ids_.begin(), stop_ids_.end(), [&](int32_t id) { return v.tokens[size_t(id)] == text; });
  };
  const auto has_stop = [&](std::string_view text) { return find_stop(text) != stop_ids_.end(); };
  if ((has_stop("<|return|>") && has_stop("<|call|>")) || (has_stop("<|calls|>") && has_stop("<|flush|>"))) {
    while (has_stop("<|end|>")) stop_ids_.erase(find_stop("<|end|>"));
  }
  for (const auto& id : {v.eos, v.eot, v.eom}) {
    if (id) stop_ids_.push_back(*id);
  }
  for (const int32_t id : v.more_stops) {
    if (id >= 0) stop_ids_.push_back(id);
  }
  std::sort(stop_ids_.begin(), stop_ids_.end());
  stop_ids_.erase(std::unique(stop_ids_.begin(), stop_ids_.end()), stop_ids_.end());

  find_markers(v);
  for (size_t i = 0; i < n; ++i) {
    const bool user = types_[i] == kTokenUserDefined;
    if (!user && types_[i] != kTokenControl && types_[i] != kTokenUnknown) continue;
    special_.add(v.tokens[i], static_cast<int32_t>(i), !user, is_marker_[i]);
  }
  special_.build();
}

void Tokenizer::find_markers(const Vocabulary& v) {
  is_marker_.assign(v.tokens.size(), false);
  const auto is_user_defined = [&](size_t id) { return id < types_.size() && types_[id] == kTokenUserDefined; };
  std::vector<SpecialToken> user_defined;
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (!is_user_defined(i)) continue;
    if (reads_as_marker(v.tokens[i])) is_marker_[i] = true;
    // Runs of spaces and newlines are in every template and mark nothing.
    if (v.tokens[i].find_first_not_of(" \t\r\n") != std::string::npos)
      user_defined.push_back({v.tokens[i], static_cast<int32_t>(i), true});
  }
  if (user_defined.empty()) return;
  for (const SpecialMatch& match : SpecialTokens(user_defined).find(v.chat_template, true, {}))
    is_marker_[static_cast<size_t>(match.id)] = true;
  for (const auto& id : {v.bos, v.eos, v.eot, v.eom, v.unk, v.pad, v.sep})
    if (id && is_user_defined(static_cast<size_t>(*id))) is_marker_[static_cast<size_t>(*id)] = true;
  for (const int32_t id : v.more_stops)
    if (id >= 0 && is_user_defined(static_cast<size_t>(id))) is_marker_[static_cast<size_t>(id)] = true;
}

void Tokenizer::set_pieces(const std::vector<std::string>& pieces) {
  offsets_.reserve(pieces.size() + 1);
  for (const std::string& piece : pieces) {
    bytes_ += piece;
    offsets_.push_back(bytes_.size());
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() >= std::numeric_limits<uint32_t>::max() / 4) {  // room for what escaping adds
    fail(ErrorKind::kFailed, "text of {} bytes: expected less than 1 GiB", text.size());
  }
  std::vector<int32_t> ids;
  if (options.bos) ids = before_;
  encode_between(text, options, ids);
  if (options.bos) ids.insert(ids.end(), after_.begin(), after_.end());
  return ids;
}

void Tokenizer::encode_between(std::string_view text, const EncodeOptions& options, std::vector<int32_t>& ids) const {
  size_t at = 0;
  for (const SpecialMatch& match : special_.find(text, options.special, options.plain)) {
    if (at < match.begin) encode_text(text.substr(at, match.begin - at), true, ids);
    ids.push_back(match.id);
    at = match.end;
  }
  if (at < text.size()) encode_text(text.substr(at), true, ids);
}

std::string_view Tokenizer::piece(int32_t id) const {
  if (id < 0 || id >= size()) return {};
  const size_t i = static_cast<size_t>(id);
  return std::string_view(bytes_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
}

bool Tokenizer::is_special(int32_t id) const {
  if (id < 0 || id >= size()) return false;
  const int32_t kind = types_[static_cast<size_t>(id)];
  return kind == kTokenControl || kind == kTokenUnknown;
}

std::string Tokenizer::next_text(int32_t id, TextState& state) const {
  std::string text = state.held_space ? " " : "";
  state.held_space = false;
  text += state.first ? first_piece(id) : std::string(piece(id));
  state.first = false;
  while (state.strip > 0 && !text.empty()) {
    if (text.starts_with(strip_)) {
      text.erase(0, strip_.size());
      --state.strip;
    } else {
      state.strip = 0;
    }
  }
  if (drops_last_space_ && text.ends_with(' ')) {
    text.pop_back();
    state.held_space = true;
  }
  return text;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string text;
  TextState state = text_begins();
  for (const int32_t id : ids) {
    if (!skip_special || !is_special(id)) text += next_text(id, state);
  }
  return text;
}

std::unique_ptr<Tokenizer> make_tokenizer(const Vocabulary& vocabulary, std::string& why_not) {
  check_vocabulary(vocabulary);
  why_not.clear();
  if (vocabulary.pipeline != nullptr) return make_pipeline_tokenizer(vocabulary, vocabulary.pipeline);
  if (vocabulary.model == "gpt2") return make_byte_level_bpe(vocabulary, why_not);
  if (auto pipeline = pipeline_of_gguf(vocabulary)) return make_pipeline_tokenizer(vocabulary, std::move(pipeline));
  if (vocabulary.model == "llama") return make_sentencepiece_bpe(vocabulary);
  why_not = !vocabulary.unsupported.empty() ? vocabulary.unsupported
            : vocabulary.model.empty() || vocabulary.model == "none" || vocabulary.model == "no_vocab"
                ? "the model has no tokenizer"
                : "tokenizer " + quoted(vocabulary.model) + " is of a kind this build does not know";
  return nullptr;
}

}  // namespace godwit
