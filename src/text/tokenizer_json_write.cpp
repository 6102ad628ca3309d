#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "text/bpe.h"
#include "text/hf_expressions.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace godwit {
namespace {

/// One name a token: its text, or a made-up one where the text is empty or a later token has the same.
std::vector<std::string> unique_names(const Vocabulary& v) {
  std::unordered_set<std::string> taken;
  std::vector<std::string> names(v.tokens.size());
  for (size_t i = v.tokens.size(); i > 0; --i) {
    const std::string& token = v.tokens[i - 1];
    if (!token.empty() && taken.insert(token).second) names[i - 1] = token;
  }
  for (size_t i = 0; i < names.size(); ++i) {
    for (std::string name = fmt::format("[UNUSED_{}]", i); names[i].empty(); name += '_') {
      if (taken.insert(name).second) names[i] = name;
    }
  }
  return names;
}

bool is_added(int32_t type) { return type == kTokenControl || type == kTokenUserDefined || type == kTokenUnknown; }

Json added_tokens(const Vocabulary& v, const std::vector<std::string>& names) {
  Json added = Json::array();
  for (size_t i = 0; i < names.size(); ++i) {
    if (!is_added(v.type(i))) continue;
    added.push_back({{"id", i},
                     {"content", names[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", v.type(i) != kTokenUserDefined}});
  }
  return added;
}

Json split(const std::string& expression) {
  return {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json byte_level_step(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json byte_level_pre_tokenizer(const Vocabulary& v) {
  const auto choice = find_pretokenizer(v.pre);
  if (!choice) invalid("{}: pre-tokenizer {} is not known to this build", printable_path(v.source), quoted(v.pre));
  for (const HfExpressions& known : hf_expressions()) {
    const auto other = find_pretokenizer(known.pre);
    if (other->kind != choice->kind || other->ignore_merges != choice->ignore_merges) continue;
    Json steps = Json::array();
    for (const std::string& expression : known.expressions) steps.push_back(split(expression));
    steps.push_back(byte_level_step(false));
    return {{"type", "Sequence"}, {"pretokenizers", steps}};
  }
  invalid("{}: pre-tokenizer {} has no form in tokenizer.json", printable_path(v.source), quoted(v.pre));
}

Json byte_level_merges(const Vocabulary& v) {
  std::unordered_map<std::string_view, int32_t> types;
  for (size_t i = 0; i < v.tokens.size(); ++i) types[v.tokens[i]] = v.type(i);
  Json merges = Json::array();
  for (const std::string& merge : v.merges) {
    const size_t space = merge.find(' ');
    const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
    const int32_t type = types[left + right];
    if (type != kTokenControl && type != kTokenUnknown && type != kTokenUnused) merges.push_back({left, right});
  }
  return merges;
}

/// Every way to put a token together from two, best score first.
Json scored_merges(const Vocabulary& v) {
  struct Merge {
    int32_t id;
    uint32_t cut;
  };
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.type(i) == kTokenNormal || v.type(i) == kTokenUndefined) ids[v.tokens[i]] = static_cast<int32_t>(i);
  }
  std::vector<Merge> merges;
  for (const auto& [token, id] : ids) {
    for (size_t at = 0; !token.empty() && (at += decode_utf8(token, at).length) < token.size();) {
      if (!ids.count(token.substr(0, at)) || !ids.count(token.substr(at))) continue;
      merges.push_back({id, static_cast<uint32_t>(at)});
      if (merges.size() > kMaxMerges) invalid("{}: more than {} merges", printable_path(v.source), kMaxMerges);
    }
  }
  std::sort(merges.begin(), merges.end(), [&](const Merge& a, const Merge& b) {
    const float x = v.scores[static_cast<size_t>(a.id)], y = v.scores[static_cast<size_t>(b.id)];
    return x != y ? x > y : a.id != b.id ? a.id < b.id : a.cut < b.cut;
  });
  Json out = Json::array();
  for (const Merge& merge : merges) {
    const std::string& token = v.tokens[static_cast<size_t>(merge.id)];
    out.push_back({token.substr(0, merge.cut), token.substr(merge.cut)});
  }
  return out;
}

Json model(const Vocabulary& v, const std::vector<std::string>& names) {
  const bool scored = v.model == "llama";
  Json vocabulary = Json::object();
  // Appended, not looked up: names are unique, and looking takes quadratic time.
  auto& members = static_cast<Json::object_t::Container&>(vocabulary.get_ref<Json::object_t&>());
  for (size_t i = 0; i < names.size(); ++i) members.emplace_back(names[i], Json(i));
  const auto choice = find_pretokenizer(v.pre);
  Json out = {{"type", "BPE"},
              {"dropout", nullptr},
              {"unk_token", nullptr},
              {"continuing_subword_prefix", nullptr},
              {"end_of_word_suffix", nullptr},
              {"fuse_unk", scored},
              {"byte_fallback", scored},
              {"ignore_merges", !scored && choice && choice->ignore_merges}};
  if (scored && v.unk) out["unk_token"] = names[static_cast<size_t>(*v.unk)];
  out["vocab"] = std::move(vocabulary);
  out["merges"] = scored ? scored_merges(v) : byte_level_merges(v);
  return out;
}

Json text_pattern(std::string_view text) { return {{"String", text}}; }

Json replace(std::string_view what, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", text_pattern(what)}, {"content", content}};
}

Json scored_normalizer(const Vocabulary& v) {
  if (!v.add_space_prefix) return replace(" ", kSpaceMark);
  const Json steps = Json::array({{{"type", "Prepend"}, {"prepend", kSpaceMark}}, replace(" ", kSpaceMark)});
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

Json scored_decoder(const Vocabulary& v) {
  Json steps = Json::array({replace(kSpaceMark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (v.add_space_prefix) steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", steps}};
}

/// Begin and end tokens around one text or a pair; null without.
Json post_processor(const Vocabulary& v, const std::vector<std::string>& names) {
  const bool begin = v.add_bos && v.bos;
  std::vector<int32_t> ends;
  if (v.add_sep && v.sep) ends.push_back(*v.sep);
  if (v.add_eos && v.eos) ends.push_back(*v.eos);
  if (!begin && ends.empty()) return nullptr;
  Json single = Json::array(), pair = Json::array(), special = Json::object();
  const auto token = [&](int32_t id, int type_id) {
    const std::string& name = names[static_cast<size_t>(id)];
    special[name] = {{"id", name}, {"ids", Json::array({id})}, {"tokens", Json::array({name})}};
    return Json{{"SpecialToken", {{"id", name}, {"type_id", type_id}}}};
  };
  const auto part = [&](Json& out, const char* sequence, int type_id) {
    if (begin) out.push_back(token(*v.bos, type_id));
    out.push_back({{"Sequence", {{"id", sequence}, {"type_id", type_id}}}});
    for (const int32_t id : ends) out.push_back(token(id, type_id));
  };
  part(single, "A", 0);
  part(pair, "A", 0);
  part(pair, "B", 1);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

std::string tokenizer_config(const Vocabulary& v, const std::vector<std::string>& names) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"add_bos_token", v.add_bos},
                 {"add_eos_token", v.add_eos},
                 {"clean_up_tokenization_spaces", false}};
  const auto set = [&](const char* key, const std::optional<int32_t>& id) {
    if (id) config[key] = names[static_cast<size_t>(*id)];
  };
  set("bos_token", v.bos);
  set("eos_token", v.eos);
  set("unk_token", v.unk);
  set("pad_token", v.pad);
  if (!v.chat_template.empty()) config["chat_template"] = v.chat_template;
  return dump_json(config) + "\n";
}

std::string generation_config(const Vocabulary& v) {
  Json config = Json::object();
  std::vector<int32_t> stops;
  for (const auto& id : {v.eos, v.eot, v.eom}) {
    if (id) stops.push_back(*id);
  }
  stops.insert(stops.end(), v.more_stops.begin(), v.more_stops.end());
  std::unordered_set<int32_t> seen;
  stops.erase(std::remove_if(stops.begin(), stops.end(), [&](int32_t id) { return !seen.insert(id).second; }),
              stops.end());
  if (v.bos) config["bos_token_id"] = *v.bos;
  if (!stops.empty()) config["eos_token_id"] = stops;
  if (v.pad) config["pad_token_id"] = *v.pad;
  return dump_json(config) + "\n";
}

Json sequence(const char* list, Json steps) { return {{"type", "Sequence"}, {list, std::move(steps)}}; }

Json replace_regex(const char* what, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", {{"Regex", what}}}, {"content", content}};
}

/// The stages that depend on the kind.
struct Stages {
  Json normalizer, pre_tokenizer, decoder, model;
};

Stages byte_level_stages(const Vocabulary& v, const std::vector<std::string>& names) {
  return {nullptr, byte_level_pre_tokenizer(v), byte_level_step(true), model(v, names)};
}

Stages scored_stages(const Vocabulary& v, const std::vector<std::string>& names) {
  if (v.scores.size() != v.tokens.size()) invalid("{}: a tokenizer without scores", printable_path(v.source));
  return {scored_normalizer(v), nullptr, scored_decoder(v), model(v, names)};
}

/// Source: RFC 4648, section 4.
std::string to_base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i)
      group = group << 8 | (at + i < bytes.size() ? static_cast<uint8_t>(bytes[at + i]) : 0);
    for (size_t i = 0; i < 4; ++i) out += at + i <= bytes.size() ? kDigits[group >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

/// SentencePiece's normalizer as steps: its rules, spaces at the ends and in a row, the mark in front, marks for
/// spaces.
Stages unigram_stages(const Vocabulary& v, const std::vector<std::string>& names) {
  if (v.scores.size() != v.tokens.size() || !v.unk) {
    invalid("{}: a unigram tokenizer without scores or an unknown token", printable_path(v.source));
  }
  Json steps = Json::array();
  if (!v.charsmap.empty()) steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", to_base64(v.charsmap)}});
  if (v.remove_extra_whitespaces) {
    steps.push_back(replace_regex(R"(\A +| +\z)", ""));
    steps.push_back(replace_regex(" {2,}", " "));
  }
  if (v.add_space_prefix) steps.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
  steps.push_back(replace(" ", kSpaceMark));
  Json pieces = Json::array();
  size_t n_bytes = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    n_bytes += v.type(i) == kTokenByte;
    // What is never found in a text gets a name that none has.
    pieces.push_back({v.type(i) == kTokenUnused ? fmt::format("[UNUSED_{}]", i) : names[i], v.scores[i]});
  }
  const Json unigram = {
      {"type", "Unigram"}, {"unk_id", *v.unk}, {"vocab", std::move(pieces)}, {"byte_fallback", n_bytes == 256}};
  return {sequence("normalizers", std::move(steps)), nullptr, scored_decoder(v), unigram};
}

/// GGUF marks the beginnings of words, BERT what goes on within a word.
Stages word_piece_stages(const Vocabulary& v, const std::vector<std::string>& names) {
  Json vocabulary = Json::object();
  auto& members = static_cast<Json::object_t::Container&>(vocabulary.get_ref<Json::object_t&>());
  std::unordered_set<std::string> taken(names.begin(), names.end());
  for (size_t i = 0; i < names.size(); ++i) {
    const bool word = v.type(i) == kTokenNormal || v.type(i) == kTokenUndefined;
    std::string name = !word                              ? names[i]
                       : names[i].starts_with(kSpaceMark) ? names[i].substr(kSpaceMark.size())
                                                          : "##" + names[i];
    if (name != names[i] && !taken.insert(name).second) name = fmt::format("[UNUSED_{}]", i);
    members.emplace_back(std::move(name), Json(i));
  }
  const Json normalizer = {{"type", "BertNormalizer"},
                           {"clean_text", true},
                           {"handle_chinese_chars", true},
                           {"strip_accents", v.strip_accents},
                           {"lowercase", v.lowercase}};
  const std::string unknown = v.unk ? names[static_cast<size_t>(*v.unk)] : "[UNK]";
  const Json words = {{"type", "WordPiece"},
                      {"unk_token", unknown},
                      {"continuing_subword_prefix", "##"},
                      {"max_input_chars_per_word", 100},
                      {"vocab", std::move(vocabulary)}};
  return {
      normalizer, {{"type", "BertPreTokenizer"}}, {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", false}}, words};
}

using MakeStages = Stages (*)(const Vocabulary&, const std::vector<std::string>&);

/// Null for a kind that tokenizer.json has no stages for.
MakeStages stages_for(std::string_view model) {
  static constexpr std::pair<std::string_view, MakeStages> kKinds[] = {
      {"gpt2", byte_level_stages}, {"llama", scored_stages}, {"t5", unigram_stages}, {"bert", word_piece_stages}};
  const auto* kind =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& k) { return k.first == model; });
  return kind == std::end(kKinds) ? nullptr : kind->second;
}

}  // namespace

bool has_hf_form(const Vocabulary& v) { return !v.hf_json.empty() || stages_for(v.model) != nullptr; }

HfTokenizerFiles hf_from_vocabulary(const Vocabulary& v) {
  check_vocabulary(v);
  HfTokenizerFiles files;
  files.source = v.source;
  files.generation = generation_config(v);
  if (!has_hf_form(v) || !v.hf_json.empty()) {
    files.tokenizer = v.hf_json;
    files.config = tokenizer_config(v, v.tokens);
    return files;
  }
  const std::vector<std::string> names = unique_names(v);
  Stages stages = stages_for(v.model)(v, names);
  const Json root = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added_tokens(v, names)},
      {"normalizer", std::move(stages.normalizer)},
      {"pre_tokenizer", std::move(stages.pre_tokenizer)},
      {"post_processor", post_processor(v, names)},
      {"decoder", std::move(stages.decoder)},
      {"model", std::move(stages.model)},
  };
  files.tokenizer = dump_json(root) + "\n";
  files.config = tokenizer_config(v, names);
  return files;
}

}  // namespace godwit
