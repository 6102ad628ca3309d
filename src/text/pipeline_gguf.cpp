#include "text/pipeline_gguf.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "text/normalizer.h"
#include "text/rwkv.h"
#include "text/sentencepiece.h"
#include "text/sentencepiece_encoder.h"
#include "text/wordpiece.h"

namespace godwit {
namespace {

bool is_cut_out(int32_t type) { return type == kTokenControl || type == kTokenUserDefined || type == kTokenUnknown; }
bool is_text(int32_t type) { return type == kTokenNormal || type == kTokenUndefined; }

void set_normalizer(Pipeline& out, std::vector<NormalizerStep> steps, const std::string& where) {
  const auto normalizer = std::make_shared<const Normalizer>(std::move(steps), where);
  out.normalize = [normalizer](std::string_view text) { return normalizer->apply(text); };
}

std::string where(const Vocabulary& v, const char* key) { return printable_path(v.source) + ": tokenizer.ggml." + key; }

/// Spaces for U+2581 and bytes for <0xHH>, and no space at the start where encoding puts one there.
DecoderChain scored_decoder(bool strip) {
  DecoderChain chain;
  chain.steps.push_back({.kind = DecoderStep::Kind::kReplace, .text = std::string(kSpaceMark), .content = " "});
  chain.steps.push_back({.kind = DecoderStep::Kind::kByteFallback});
  chain.strip_count = strip ? 1 : 0;
  return chain;
}

void set_sentencepiece(SentencePieceModel model, Pipeline& out) {
  out.decoder = scored_decoder(model.add_dummy_prefix);
  const auto encoder = std::make_shared<const SentencePieceEncoder>(std::move(model));
  out.model = std::make_unique<FunctionModel>(
      [encoder](std::string_view text, std::vector<int32_t>& ids) { encoder->encode(text, ids); });
}

SentencePieceModel sentencepiece_of(const Vocabulary& v, SentencePieceModel::Kind kind) {
  SentencePieceModel model;
  model.source = v.source;
  model.kind = kind;
  model.pieces = v.tokens;
  model.scores = v.scores;
  model.types = v.types;
  if (model.types.empty()) model.types.assign(v.tokens.size(), kTokenNormal);
  if (model.scores.size() != v.tokens.size()) {
    invalid("{}: expected one for each of {} tokens, got {}", where(v, "scores"), v.tokens.size(), v.scores.size());
  }
  if (!v.unk) invalid("{}: expected the unknown token's id, got none", where(v, "unknown_token_id"));
  model.unk = *v.unk;
  model.byte_fallback = std::count(model.types.begin(), model.types.end(), int32_t{kTokenByte}) == 256;
  model.charsmap = v.charsmap;
  model.add_dummy_prefix = v.add_space_prefix;
  model.remove_extra_whitespaces = v.remove_extra_whitespaces;
  return model;
}

/// GGUF marks the beginnings of words with U+2581, BERT what goes on within a word with ##.
void set_word_piece(const Vocabulary& v, Pipeline& out) {
  NormalizerStep bert;
  bert.kind = NormalizerStep::kBert;
  bert.lowercase = v.lowercase;
  bert.strip_accents = v.strip_accents;
  set_normalizer(out, {bert}, where(v, "normalizer"));
  const auto split = [&](bool (*is_match)(uint32_t), SplitBehavior behavior) {
    out.splits.push_back(std::make_unique<PartStep>(
        [is_match](std::string_view piece) { return parts_by_character(piece, is_match); }, behavior));
  };
  split(is_white_space, SplitBehavior::kRemoved);
  split(is_any_punctuation, SplitBehavior::kIsolated);
  WordPieceModel model;
  model.tokens.resize(v.tokens.size());
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (!is_text(v.type(i))) continue;
    const std::string& token = v.tokens[i];
    model.tokens[i] = token.starts_with(kSpaceMark) ? token.substr(kSpaceMark.size()) : "##" + token;
  }
  model.unk = v.unk;
  const auto words = std::make_shared<const WordPiece>(model, where(v, "tokens"));
  out.model = std::make_unique<FunctionModel>(
      [words](std::string_view text, std::vector<int32_t>& ids) { words->encode(text, ids); });
  out.decoder = scored_decoder(true);
}

void set_rwkv(const Vocabulary& v, Pipeline& out) {
  std::vector<std::string> texts(v.tokens.size());
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (is_text(v.type(i))) texts[i] = out.tokens[i] = unescape_rwkv_token(v.tokens[i]);
  }
  const auto trie = std::make_shared<const Rwkv>(texts, v.unk);
  out.model = std::make_unique<FunctionModel>(
      [trie](std::string_view text, std::vector<int32_t>& ids) { trie->encode(text, ids); });
}

/// Lines and runs of newlines are merged apart; a run that is a token is that token.
void set_gemma4(const Vocabulary& v, Pipeline& out) {
  NormalizerStep spaces;
  spaces.kind = NormalizerStep::kReplaceString;
  spaces.text = " ";
  spaces.content = kSpaceMark;
  set_normalizer(out, {spaces}, where(v, "normalizer"));
  out.splits.push_back(std::make_unique<KnownStep>(Pretokenizer::kLines));
  MergeModelParts parts;
  parts.tokens = v.tokens;
  for (size_t i = 0; i < v.merges.size(); ++i) parts.merges.push_back(read_gguf_merge(v, i));
  parts.unk = v.unk;
  parts.byte_fallback = true;
  parts.fuse_unk = true;
  parts.is_made = [&](int32_t id) {
    const int32_t type = v.type(static_cast<size_t>(id));
    return is_text(type) || type == kTokenUserDefined;
  };
  std::unordered_map<std::string, int32_t> runs;
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (!v.tokens[i].empty() && v.tokens[i].find_first_not_of('\n') == std::string::npos) {
      runs[v.tokens[i]] = static_cast<int32_t>(i);
    }
  }
  const auto merges = std::make_shared<const MergeModel>(parts, where(v, "merges"));
  out.model = std::make_unique<FunctionModel>(
      [merges, runs = std::move(runs)](std::string_view text, std::vector<int32_t>& ids) {
        const auto run = text.front() == '\n' ? runs.find(std::string(text)) : runs.end();
        if (run != runs.end()) return ids.push_back(run->second);
        merges->encode(text, ids);
      });
  out.decoder = scored_decoder(false);
}

void set_bytes(const Vocabulary& v, Pipeline& out) {
  std::array<int32_t, 256> ids_of;
  ids_of.fill(-1);
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    const auto byte = v.type(i) == kTokenByte ? parse_byte_token(v.tokens[i]) : std::nullopt;
    if (byte) ids_of[*byte] = static_cast<int32_t>(i);
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    if (ids_of[byte] < 0) invalid("{}: expected a token for each byte, got none for {}", where(v, "tokens"), byte);
  }
  out.model = std::make_unique<FunctionModel>([ids_of](std::string_view text, std::vector<int32_t>& ids) {
    for (const char c : text) ids.push_back(ids_of[static_cast<uint8_t>(c)]);
  });
  out.decoder.steps.push_back({.kind = DecoderStep::Kind::kByteFallback});
}

/// What does not depend on the kind.
std::shared_ptr<Pipeline> stages_around(const Vocabulary& v) {
  const auto out = std::make_shared<Pipeline>();
  out->tokens = v.tokens;
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (is_cut_out(v.type(i)) && !v.tokens[i].empty()) {
      out->added.push_back({.content = v.tokens[i], .id = static_cast<int32_t>(i)});
    }
  }
  if (v.add_bos && v.bos) out->before.push_back(*v.bos);
  if (v.add_sep && v.sep) out->after.push_back(*v.sep);
  if (v.add_eos && v.eos) out->after.push_back(*v.eos);
  return out;
}

}  // namespace

std::shared_ptr<const Pipeline> pipeline_of_sentencepiece(const Vocabulary& v, const SentencePieceModel& model) {
  const auto out = stages_around(v);
  // User-defined pieces are the encoder's: it finds them in the normal form, where spaces are marks.
  std::erase_if(out->added,
                [&](const AddedToken& token) { return v.type(static_cast<size_t>(token.id)) == kTokenUserDefined; });
  set_sentencepiece(model, *out);
  return out;
}

std::pair<std::string, std::string> read_gguf_merge(const Vocabulary& v, size_t line) {
  const std::string& merge = v.merges[line];
  const size_t space = merge.find(' ');
  if (space == std::string::npos || space == 0 || space + 1 == merge.size() ||
      merge.find(' ', space + 1) != std::string::npos) {
    invalid("{}: {}: expected two pieces with one space between, got {}", where(v, "merges"), line, quoted(merge));
  }
  return {merge.substr(0, space), merge.substr(space + 1)};
}

std::shared_ptr<const Pipeline> pipeline_of_gguf(const Vocabulary& v) {
  using Set = void (*)(const Vocabulary&, Pipeline&);
  static constexpr std::pair<std::string_view, Set> kKinds[] = {
      {"bert", set_word_piece}, {"rwkv", set_rwkv}, {"gemma4", set_gemma4}, {"bytes", set_bytes}};
  if (v.model == "t5") return pipeline_of_sentencepiece(v, sentencepiece_of(v, SentencePieceModel::kUnigram));
  // A file of llama's that says how SentencePiece normalizes (which llama.cpp does not do) is SentencePiece's own.
  if (v.model == "llama" && (v.remove_extra_whitespaces || !v.charsmap.empty()))
    return pipeline_of_sentencepiece(v, sentencepiece_of(v, SentencePieceModel::kBpe));
  const auto* kind =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& k) { return k.first == v.model; });
  if (kind == std::end(kKinds)) return nullptr;
  const auto out = stages_around(v);
  kind->second(v, *out);
  return out;
}

}  // namespace godwit
