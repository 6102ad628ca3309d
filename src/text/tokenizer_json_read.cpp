#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "text/bpe.h"
#include "text/hf_expressions.h"
#include "text/pipeline_gguf.h"
#include "text/pipeline_json.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace godwit {
namespace {

constexpr uint64_t kMaxTokenizerBytes = uint64_t{256} << 20;
constexpr uint64_t kMaxSideFileBytes = uint64_t{16} << 20;
constexpr uint64_t kMaxTemplateBytes = uint64_t{1} << 20;
constexpr size_t kMaxStopIds = 4096;

class Reader {
 public:
  explicit Reader(const HfTokenizerFiles& files) : files_(files), fields_{printable_path(files.source)} {}

  Vocabulary read();

 private:
  using Merges = std::vector<std::pair<std::string, std::string>>;

  [[noreturn]] void refuse(const std::string& place, const std::string& problem) const {
    fields_.refuse(place, problem);
  }
  bool flag(const Json& object, const char* key, bool otherwise) const { return fields_.flag(object, key, otherwise); }
  std::string text(const Json& object, const char* key) const { return fields_.text(object, key); }
  std::optional<int32_t> id_of(const std::string& token) const {
    const auto it = ids_.find(token);
    return it == ids_.end() ? std::nullopt : std::optional(it->second);
  }
  /// GGUF's keys do not say all that the file says; of several reasons the first counts.
  void more_than_gguf(std::string why) {
    if (more_than_gguf_.empty()) more_than_gguf_ = std::move(why);
  }

  void read_tokens(const Json& model, const Json& added);
  void read_scored_tokens(const Json& vocabulary);
  Merges read_merges(const Json& model) const;
  void read_model(const Json& root);
  void read_byte_level(const Json& root, const Merges& merges);
  void read_scored(const Json& root, const Merges& merges);
  void set_scores(const Merges& merges);
  std::string pre_name(const Json& pre_tokenizer, bool ignore_merges);
  void read_spaces(const Json& root);
  void check_added(const Json& added, bool normalizes);
  void check_decoder(const Json& decoder);
  void check_limits(const Json& truncation) const;
  void read_frame(const Json& root);
  void read_sentencepiece();
  void read_side_files();
  void read_chat_template(const Json& config);

  const HfTokenizerFiles& files_;
  JsonFields fields_;
  Vocabulary v_;
  std::vector<std::string> tokens_;  // as they stand in the file
  std::vector<bool> in_model_;
  std::unordered_map<std::string, int32_t> ids_;
  std::string more_than_gguf_;
};

/// Fills tokens, types and ids_: the model's vocabulary, then the added tokens, without gaps.
void Reader::read_tokens(const Json& model, const Json& added) {
  const Json& vocabulary = json_member(model, "vocab");
  const bool listed = json_is(json_member(model, "type"), "Unigram");
  if (listed ? !vocabulary.is_array() : !vocabulary.is_object()) {
    refuse("model.vocab", listed ? "expected an array" : "expected an object");
  }
  std::unordered_map<int32_t, const std::string*> texts;
  const auto add = [&](const std::string& token, int32_t id, const std::string& place) {
    const auto [known, is_new] = ids_.emplace(token, id);
    if (!is_new && known->second != id)
      refuse(place, fmt::format("{} has ids {} and {}", quoted(token, 40), known->second, id));
    const auto [other, free] = texts.emplace(id, &known->first);
    if (!free && *other->second != token) {
      refuse(place, fmt::format("id {} is both {} and {}", id, quoted(*other->second, 40), quoted(token, 40)));
    }
  };
  if (vocabulary.size() > kMaxVocabulary) refuse("model.vocab", fmt::format("over {} tokens", kMaxVocabulary));
  if (listed) {
    for (const Json& piece : vocabulary) {
      if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number()) {
        refuse("model.vocab", "expected pieces with their scores");
      }
      const int32_t id = static_cast<int32_t>(v_.scores.size());
      const std::string& token = piece[0].get_ref<const std::string&>();
      add(ids_.count(token) ? fmt::format("[UNUSED_{}]", id) : token, id, "model.vocab");
      v_.scores.push_back(piece[1].get<float>());
    }
  } else {
    for (const auto& [token, id] : vocabulary.items()) add(token, fields_.id(id, "model.vocab"), "model.vocab");
  }
  for (const auto& [id, token] : texts) {
    const size_t i = static_cast<size_t>(id);
    if (i >= in_model_.size()) in_model_.resize(i + 1, false);
    in_model_[i] = true;
  }
  if (!added.is_null() && !added.is_array()) refuse("added_tokens", "expected an array");
  if (added.size() > kMaxSpecialTokens) refuse("added_tokens", fmt::format("over {} tokens", kMaxSpecialTokens));
  std::unordered_map<int32_t, int32_t> types;
  for (const Json& token : added) {
    const std::string content = text(token, "content");
    if (content.empty()) refuse("added_tokens", "a token without content");
    const int32_t id = fields_.id(json_member(token, "id"), "added_tokens");
    add(content, id, "added_tokens");
    types[id] = flag(token, "special", false) ? kTokenControl : kTokenUserDefined;
  }
  v_.tokens.resize(texts.size());
  v_.types.assign(texts.size(), kTokenNormal);
  for (const auto& [id, token] : texts) {
    if (static_cast<size_t>(id) >= texts.size()) {
      refuse("model.vocab", fmt::format("{} tokens, but id {}: ids must have no gaps", texts.size(), id));
    }
    v_.tokens[static_cast<size_t>(id)] = *token;
  }
  for (const auto& [id, type] : types) v_.types[static_cast<size_t>(id)] = type;
  in_model_.resize(texts.size(), false);
  if (!v_.scores.empty()) v_.scores.resize(texts.size(), 0);
  tokens_ = v_.tokens;
}

Reader::Merges Reader::read_merges(const Json& model) const {
  const Json& merges = json_member(model, "merges");
  const size_t prefix = text(model, "continuing_subword_prefix").size();
  if (!merges.is_array()) refuse("model.merges", "expected an array");
  if (merges.size() > kMaxMerges) refuse("model.merges", fmt::format("over {} merges", kMaxMerges));
  Merges out;
  out.reserve(merges.size());
  for (const Json& merge : merges) {
    std::string left, right;
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else if (merge.is_string()) {
      const std::string& line = merge.get_ref<const std::string&>();
      const size_t space = line.find(' ');
      if (space != std::string::npos && line.find(' ', space + 1) == std::string::npos) {
        left = line.substr(0, space);
        right = line.substr(space + 1);
      }
    }
    const std::string place = fmt::format("model.merges: {}", out.size());
    if (left.empty() || right.empty()) refuse(place, "expected two pieces");
    if (left.size() + right.size() > kMaxTokenBytes) refuse(place, "longer than any token");
    if (prefix > 0 && right.size() <= prefix) refuse(place, quoted(right, 60) + " is no longer than the prefix");
    for (const std::string& piece : {left, right, left + right.substr(prefix)}) {
      if (!id_of(piece)) refuse(place, quoted(piece, 60) + " is no token");
    }
    out.emplace_back(std::move(left), std::move(right));
  }
  return out;
}

/// The name of a pre-tokenizer of GGUF; "unknown" where there is none.
std::string Reader::pre_name(const Json& pre_tokenizer, bool ignore_merges) {
  std::vector<std::string> expressions;
  bool byte_level = false, known_steps = true;
  for (const Json* step : json_steps(pre_tokenizer, "pretokenizers")) {
    const Json& type = json_member(*step, "type");
    const Json& expression = json_member(json_member(*step, "pattern"), "Regex");
    if (byte_level) {
      known_steps = false;
    } else if (json_is(type, "Digits") && flag(*step, "individual_digits", false)) {
      expressions.push_back(R"(\p{N})");
    } else if (json_is(type, "Split") && expression.is_string() &&
               json_is(json_member(*step, "behavior"), "Isolated")) {
      expressions.push_back(expression.get<std::string>());
    } else if (json_is(type, "ByteLevel") && !flag(*step, "add_prefix_space", true)) {
      if (flag(*step, "use_regex", true)) expressions.push_back(kGpt2Expression);
      byte_level = true;
    } else {
      known_steps = false;
    }
  }
  for (const HfExpressions& known : hf_expressions()) {
    if (byte_level && known_steps && known.expressions == expressions &&
        find_pretokenizer(known.pre)->ignore_merges == ignore_merges) {
      return known.pre;
    }
  }
  more_than_gguf(fmt::format("pre_tokenizer {}", quoted(dump_json(pre_tokenizer), 120)));
  return "unknown";
}

void Reader::read_byte_level(const Json& root, const Merges& merges) {
  const Json& model = json_member(root, "model");
  v_.model = "gpt2";
  v_.pre = pre_name(json_member(root, "pre_tokenizer"), flag(model, "ignore_merges", false));
  if (!json_member(root, "normalizer").is_null()) more_than_gguf("normalizer");
  for (const auto& [left, right] : merges) {
    if (left.find(' ') == std::string::npos && right.find(' ') == std::string::npos) {
      v_.merges.push_back(left + " " + right);
    } else {
      more_than_gguf("merges with spaces");
    }
  }
  if (json_member(model, "unk_token").is_null()) return;
  for (int byte = 0; byte < 256; ++byte) {
    if (!id_of(to_byte_level(std::string(1, static_cast<char>(byte))))) more_than_gguf("an unknown token");
  }
}

/// Where spaces become U+2581, and whether one is put in front.
void Reader::read_spaces(const Json& root) {
  bool replaced = false;
  v_.add_space_prefix = false;
  for (const Json* step : json_steps(json_member(root, "normalizer"), "normalizers")) {
    const Json& type = json_member(*step, "type");
    if (json_is(type, "Prepend") && json_is(json_member(*step, "prepend"), kSpaceMark) && !replaced) {
      v_.add_space_prefix = true;
    } else if (json_is(type, "Replace") && json_is(json_member(json_member(*step, "pattern"), "String"), " ") &&
               json_is(json_member(*step, "content"), kSpaceMark)) {
      replaced = true;
    } else {
      more_than_gguf("normalizer " + text(*step, "type"));
    }
  }
  for (const Json* step : json_steps(json_member(root, "pre_tokenizer"), "pretokenizers")) {
    const Json& type = json_member(*step, "type");
    if (json_is(type, "Split") && replaced && json_is(json_member(json_member(*step, "pattern"), "String"), " ")) {
      continue;  // none are left
    }
    const bool never = json_is(json_member(*step, "prepend_scheme"), "never");
    if (!json_is(type, "Metaspace") || !json_is(json_member(*step, "replacement"), kSpaceMark) ||
        flag(*step, "split", true) || !never || replaced) {
      more_than_gguf("pre_tokenizer " + text(*step, "type"));
    }
    if (json_is(type, "Metaspace")) v_.add_space_prefix = v_.add_space_prefix || !never;
    replaced = true;
  }
  if (!replaced) more_than_gguf("no U+2581 for spaces");
}

/// The lengths at which a text may be cut between characters.
std::vector<size_t> cuts(const std::string& token) {
  std::vector<size_t> out;
  for (size_t at = decode_utf8(token, 0).length; at < token.size(); at += decode_utf8(token, at).length)
    out.push_back(at);
  return out;
}

/// Scores that join pairs in the order of the merges: minus the place of the merges that make a token. That says the
/// same only if the merges of a token stand together and every way to put it together is among them.
void Reader::set_scores(const Merges& merges) {
  v_.scores.assign(v_.tokens.size(), -static_cast<float>(merges.size() + 1));
  std::vector<uint32_t> n_merges(v_.tokens.size(), 0);
  int32_t last = -1;
  uint32_t place = 0;
  for (const auto& [left, right] : merges) {
    const auto found = id_of(left + right);
    if (!found) return more_than_gguf("merges with a prefix");
    const int32_t id = *found;
    const size_t i = static_cast<size_t>(id);
    if (v_.types[i] != kTokenNormal) continue;  // cut out of the text before any merge
    if (id != last && n_merges[i] > 0)
      return more_than_gguf(fmt::format("merges for {} apart from each other", quoted(v_.tokens[i], 40)));
    if (id != last) v_.scores[i] = -static_cast<float>(++place);
    ++n_merges[i];
    last = id;
  }
  if (place >= 1u << 24) return more_than_gguf("more merges than scores can order");
  const auto is_part = [&](const std::string& part) {
    const auto id = id_of(part);
    return decode_utf8(part, 0).length == part.size() || (id && v_.types[static_cast<size_t>(*id)] == kTokenNormal);
  };
  uint64_t work = 0;
  for (size_t i = 0; i < v_.tokens.size(); ++i) {
    const std::string& token = v_.tokens[i];
    if (v_.types[i] != kTokenNormal || token.empty()) continue;
    if ((work += token.size() * token.size()) > uint64_t{1} << 31) return more_than_gguf("tokens too long");
    uint32_t ways = 0;
    for (const size_t at : cuts(token)) ways += is_part(token.substr(0, at)) && is_part(token.substr(at));
    if (ways != n_merges[i]) {
      return more_than_gguf(fmt::format("{} of {} ways to merge into {}", n_merges[i], ways, quoted(token, 40)));
    }
  }
}

void Reader::read_scored(const Json& root, const Merges& merges) {
  const Json& model = json_member(root, "model");
  v_.model = "llama";
  v_.pre = "default";
  if (flag(model, "ignore_merges", false)) more_than_gguf("ignore_merges with byte fallback");
  read_spaces(root);
  size_t n_bytes = 0;
  for (size_t i = 0; i < v_.tokens.size(); ++i) {
    if (v_.types[i] != kTokenNormal || !parse_byte_token(v_.tokens[i])) continue;
    v_.types[i] = kTokenByte;
    ++n_bytes;
  }
  if (n_bytes < 256) more_than_gguf("byte fallback without all bytes");
  const std::string unknown = text(model, "unk_token");
  if (!unknown.empty()) {
    v_.unk = id_of(unknown);
    if (!v_.unk) refuse("model.unk_token", quoted(unknown, 60) + " is no token");
    v_.types[static_cast<size_t>(*v_.unk)] = kTokenUnknown;
  }
  set_scores(merges);
  // As GGUF has it: user-defined pieces stand for the text that they are cut out of.
  for (size_t i = 0; i < v_.tokens.size(); ++i) {
    if (v_.types[i] != kTokenUserDefined) continue;
    v_.tokens[i] = without_space_marks(v_.tokens[i]);
  }
}

/// What GGUF's reader takes for granted: added tokens are looked for in the text as it is, all of them together.
void Reader::check_added(const Json& added, bool normalizes) {
  size_t n_normalized = 0;
  for (const Json& token : added) {
    for (const char* rule : {"single_word", "lstrip", "rstrip"}) {
      if (flag(token, rule, false)) more_than_gguf(fmt::format("added tokens with {}", rule));
    }
    n_normalized += flag(token, "normalized", !flag(token, "special", false));
    // GGUF's user-defined tokens stand for text with spaces, here they are looked for as they are.
    if (v_.model == "llama" && text(token, "content").find(kSpaceMark) != std::string::npos) {
      more_than_gguf("added tokens with U+2581");
    }
  }
  if (n_normalized > 0 && (normalizes || n_normalized < added.size())) more_than_gguf("normalized added tokens");
}

void Reader::check_decoder(const Json& decoder) {
  std::vector<std::string> types;
  for (const Json* step : json_steps(decoder, "decoders")) types.push_back(text(*step, "type"));
  if (types.empty()) return;
  std::vector<std::string> expected = {"ByteLevel"};
  if (v_.model == "llama") expected = {"Replace", "ByteFallback", "Fuse"};
  if (v_.model == "llama" && v_.add_space_prefix) expected.push_back("Strip");
  if (types != expected) more_than_gguf("decoder");
}

/// Nothing is cut off or padded here, as in transformers unless it is asked to; but a file must not contradict itself.
void Reader::check_limits(const Json& truncation) const {
  const size_t most = fields_.count(truncation, "max_length", kMaxVocabulary);
  const size_t stride = fields_.count(truncation, "stride", 0);
  if (truncation.is_object() && stride >= most) {
    refuse("truncation", fmt::format("expected a stride below max_length {}, got {}", most, stride));
  }
}

/// Begin and end tokens come from here.
void Reader::read_frame(const Json& root) {
  const TextFrame frame = read_text_frame(json_member(root, "post_processor"), v_.tokens.size(), fields_);
  if (frame.before.size() > 1 || frame.after.size() > 1) more_than_gguf("several tokens around a text");
  if (!frame.before.empty()) v_.bos = frame.before.front();
  if (!frame.after.empty()) v_.eos = frame.after.front();
  v_.add_bos = !frame.before.empty();
  v_.add_eos = !frame.after.empty();
}

/// The model in GGUF's terms, as far as they go.
void Reader::read_model(const Json& root) {
  const Json& model = json_member(root, "model");
  const Json& type = json_member(model, "type");
  const bool merges_only = type.is_null() && model.contains("merges");
  if (json_is(type, "Unigram")) {
    if (!json_member(model, "unk_id").is_null()) {
      const int32_t unk = fields_.id(json_member(model, "unk_id"), "model.unk_id");
      if (static_cast<size_t>(unk) < v_.tokens.size()) v_.unk = unk;
    }
  } else if (const std::string unk = text(model, "unk_token"); !unk.empty()) {
    v_.unk = id_of(unk);
  }
  if (!merges_only && !json_is(type, "BPE")) {
    v_.model = json_is(type, "Unigram") ? "t5" : json_is(type, "WordPiece") ? "bert" : "wordlevel";
    return more_than_gguf("model of type " + quoted(dump_json(type), 40));
  }
  const Json& dropout = json_member(model, "dropout");
  if (!dropout.is_null() && dropout != 0) throw Unsupported{"dropout"};
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!text(model, key).empty()) more_than_gguf(key);
  }
}

void Reader::read_chat_template(const Json& config) {
  v_.chat_template = files_.chat_template;
  const Json& stored = json_member(config, "chat_template");
  if (!v_.chat_template.empty()) return;
  if (stored.is_string()) v_.chat_template = stored.get<std::string>();
  if (!stored.is_array()) return;
  for (const Json& named : stored) {
    if (json_is(json_member(named, "name"), "default") && json_member(named, "template").is_string()) {
      v_.chat_template = json_member(named, "template").get<std::string>();
    }
  }
}

void Reader::read_side_files() {
  const Json config =
      files_.config.empty() ? Json() : parse_json(files_.config, fields_.where + ": tokenizer_config.json");
  read_chat_template(config);
  const auto named = [&](const char* key, std::optional<int32_t>& id) {
    const Json& value = json_member(config, key);
    const Json& content = value.is_object() ? json_member(value, "content") : value;
    if (!id && content.is_string()) id = id_of(content.get<std::string>());
  };
  named("bos_token", v_.bos);
  named("eos_token", v_.eos);
  named("pad_token", v_.pad);
  const Json generation =
      files_.generation.empty() ? Json() : parse_json(files_.generation, fields_.where + ": generation_config.json");
  const Json& stops = json_member(generation, "eos_token_id");
  if (stops.is_array() && stops.size() > kMaxStopIds) {
    invalid("{}: generation_config.json: eos_token_id: expected at most {} ids, got {}", fields_.where, kMaxStopIds,
            stops.size());
  }
  for (const Json& stop : stops.is_array() ? stops : Json::array({stops})) {
    if (stop.is_null()) continue;
    if (!stop.is_number_unsigned() || stop.get<uint64_t>() >= kMaxVocabulary) {
      invalid("{}: generation_config.json: eos_token_id: expected ids below {}, got {}", fields_.where, kMaxVocabulary,
              quoted(dump_json(stop), 40));
    }
    v_.more_stops.push_back(stop.get<int32_t>());
  }
}

/// tokenizer.model: SentencePiece's own rules. Whether a begin token stands in front says tokenizer_config.json.
void Reader::read_sentencepiece() {
  const SentencePieceModel model = parse_sentencepiece_model(files_.sentencepiece, fields_.where + ": tokenizer.model");
  v_ = vocabulary_from_sentencepiece(model);
  v_.source = files_.source;
  v_.charsmap = model.charsmap;
  v_.remove_extra_whitespaces = model.remove_extra_whitespaces;
  const Json config =
      files_.config.empty() ? Json() : parse_json(files_.config, fields_.where + ": tokenizer_config.json");
  v_.add_bos = flag(config, "add_bos_token", v_.add_bos) && v_.bos;
  v_.add_eos = flag(config, "add_eos_token", v_.add_eos) && v_.eos;
  for (size_t i = 0; i < v_.tokens.size(); ++i) ids_.emplace(v_.tokens[i], static_cast<int32_t>(i));
  check_vocabulary(v_);
  if (v_.model != "none") v_.pipeline = pipeline_of_sentencepiece(v_, model);
}

Vocabulary Reader::read() {
  v_.source = files_.source;
  v_.model = "none";
  if (files_.tokenizer.empty()) {
    if (!files_.sentencepiece.empty()) read_sentencepiece();
    read_side_files();
    return v_;
  }
  const Json root = parse_json(files_.tokenizer, fields_.where + ": tokenizer.json");
  const Json& model = json_member(root, "model");
  if (!model.is_object()) refuse("model", "expected an object");
  try {
    read_tokens(model, json_member(root, "added_tokens"));
    check_limits(json_member(root, "truncation"));
    read_model(root);
    Merges merges;
    if (v_.model == "none") {  // BPE
      merges = read_merges(model);
      if (flag(model, "byte_fallback", false)) {
        read_scored(root, merges);
      } else {
        read_byte_level(root, merges);
      }
    }
    check_added(json_member(root, "added_tokens"), !json_member(root, "normalizer").is_null());
    check_decoder(json_member(root, "decoder"));
    read_frame(root);
    if (!more_than_gguf_.empty()) {
      v_.pipeline = read_pipeline({root, fields_, v_, tokens_, in_model_, merges});
      v_.hf_json = files_.tokenizer;
    }
    read_side_files();
    check_vocabulary(v_);
  } catch (const Unsupported& reason) {
    v_ = Vocabulary();
    v_.source = files_.source;
    v_.model = "none";
    v_.unsupported = "tokenizer.json: not known to this build: " + reason.what;
    read_side_files();  // stop ids and template are of use without text
  }
  return v_;
}

std::string text_if_there(const std::string& path, uint64_t most) {
  return std::filesystem::exists(path) ? read_text(path, most) : std::string();
}

}  // namespace

HfTokenizerFiles read_hf_tokenizer(const std::string& folder) {
  HfTokenizerFiles files;
  files.source = folder;
  files.tokenizer = text_if_there(folder + "/tokenizer.json", kMaxTokenizerBytes);
  files.config = text_if_there(folder + "/tokenizer_config.json", kMaxSideFileBytes);
  files.generation = text_if_there(folder + "/generation_config.json", kMaxSideFileBytes);
  files.chat_template = text_if_there(folder + "/chat_template.jinja", kMaxTemplateBytes);
  if (files.tokenizer.empty()) {
    files.sentencepiece = text_if_there(folder + "/tokenizer.model", kMaxTokenizerBytes);
  }
  return files;
}

Vocabulary vocabulary_from_hf(const HfTokenizerFiles& files) { return Reader(files).read(); }

}  // namespace godwit
