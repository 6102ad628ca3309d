#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "text/bpe.h"
#include "text/hf_expressions.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace godwit {
namespace {

constexpr uint64_t kMaxTokenizerBytes = uint64_t{256} << 20;
constexpr uint64_t kMaxSideFileBytes = uint64_t{16} << 20;
constexpr uint64_t kMaxTemplateBytes = uint64_t{1} << 20;
constexpr size_t kMaxStopIds = 4096;

/// Thrown within this file for what is well-formed but not done here; becomes Vocabulary::unsupported.
struct Unsupported {
  std::string what;
};

/// A member, or null where it is absent.
const Json& member(const Json& object, const char* key) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  const auto it = object.find(key);
  return it == object.end() ? nothing : *it;
}

/// Whether it is this text. The library's == makes a copy of the text where nothing may be thrown.
bool is(const Json& value, std::string_view text) {
  return value.is_string() && value.get_ref<const std::string&>() == text;
}

class Reader {
 public:
  explicit Reader(const HfTokenizerFiles& files) : files_(files), where_(printable_path(files.source)) {}

  Vocabulary read();

 private:
  [[noreturn]] void refuse(const std::string& place, const std::string& problem) const {
    invalid("{}: tokenizer.json: {}: {}", where_, place, problem);
  }
  bool flag(const Json& object, const char* key, bool otherwise) const {
    const Json& value = member(object, key);
    if (value.is_null()) return otherwise;
    if (!value.is_boolean()) refuse(key, "expected true or false");
    return value.get<bool>();
  }
  std::string text(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    if (value.is_null()) return "";
    if (!value.is_string()) refuse(key, "expected a text");
    return value.get<std::string>();
  }
  std::optional<int32_t> id_of(const std::string& token) const {
    const auto it = ids_.find(token);
    return it == ids_.end() ? std::nullopt : std::optional(it->second);
  }

  int32_t read_id(const Json& value, const std::string& place) const;
  void read_tokens(const Json& model, const Json& added);
  std::vector<std::pair<std::string, std::string>> read_merges(const Json& merges) const;
  void read_byte_level(const Json& root);
  void read_scored(const Json& root);
  void set_scores(const std::vector<std::pair<std::string, std::string>>& merges);
  std::string pre_name(const Json& pre_tokenizer, bool ignore_merges) const;
  void read_spaces(const Json& root);
  void read_post_processor(const Json& processor);
  int32_t template_id(const Json& processor, const Json& item) const;
  void read_side_files();
  void read_chat_template(const Json& config);

  const HfTokenizerFiles& files_;
  std::string where_;
  Vocabulary v_;
  std::unordered_map<std::string, int32_t> ids_;
};

int32_t Reader::read_id(const Json& value, const std::string& place) const {
  if (!value.is_number_unsigned() || value.get<uint64_t>() >= kMaxVocabulary) {
    refuse(place, fmt::format("expected an id below {}, got {}", kMaxVocabulary, quoted(dump_json(value), 40)));
  }
  return value.get<int32_t>();
}

/// Fills tokens, types and ids_: the model's vocabulary, then the added tokens, without gaps.
void Reader::read_tokens(const Json& model, const Json& added) {
  const Json& vocabulary = member(model, "vocab");
  if (!vocabulary.is_object()) refuse("model.vocab", "expected an object");
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
  for (const auto& [token, id] : vocabulary.items()) add(token, read_id(id, "model.vocab"), "model.vocab");
  if (!added.is_null() && !added.is_array()) refuse("added_tokens", "expected an array");
  if (added.size() > kMaxSpecialTokens) refuse("added_tokens", fmt::format("over {} tokens", kMaxSpecialTokens));
  std::unordered_map<int32_t, int32_t> types;
  for (const Json& token : added) {
    const std::string content = text(token, "content");
    if (content.empty()) refuse("added_tokens", "a token without content");
    const int32_t id = read_id(member(token, "id"), "added_tokens");
    add(content, id, "added_tokens");
    for (const char* rule : {"single_word", "lstrip", "rstrip"}) {
      if (flag(token, rule, false)) throw Unsupported{fmt::format("added token {} with {}", quoted(content, 40), rule)};
    }
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
}

std::vector<std::pair<std::string, std::string>> Reader::read_merges(const Json& merges) const {
  if (!merges.is_array()) refuse("model.merges", "expected an array");
  if (merges.size() > kMaxMerges) refuse("model.merges", fmt::format("over {} merges", kMaxMerges));
  std::vector<std::pair<std::string, std::string>> out;
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
    for (const std::string& piece : {left, right, left + right}) {
      if (!id_of(piece)) refuse(place, quoted(piece, 60) + " is no token");
    }
    out.emplace_back(std::move(left), std::move(right));
  }
  return out;
}

/// The steps of a Sequence, or the one step there is; nothing for null.
std::vector<const Json*> steps_of(const Json& stage, const char* list) {
  std::vector<const Json*> steps;
  if (is(member(stage, "type"), "Sequence") && member(stage, list).is_array()) {
    for (const Json& step : member(stage, list)) steps.push_back(&step);
  } else if (!stage.is_null()) {
    steps.push_back(&stage);
  }
  return steps;
}

[[noreturn]] void unsupported_step(const char* stage, const Json& step) {
  throw Unsupported{fmt::format("{} {}", stage, quoted(dump_json(step), 80))};
}

std::string Reader::pre_name(const Json& pre_tokenizer, bool ignore_merges) const {
  std::vector<std::string> expressions;
  bool byte_level = false;
  for (const Json* step : steps_of(pre_tokenizer, "pretokenizers")) {
    const Json& type = member(*step, "type");
    const Json& expression = member(member(*step, "pattern"), "Regex");
    if (byte_level) {
      unsupported_step("pre_tokenizer", *step);
    } else if (is(type, "Digits") && flag(*step, "individual_digits", false)) {
      expressions.push_back(R"(\p{N})");
    } else if (is(type, "Split") && expression.is_string() && is(member(*step, "behavior"), "Isolated") &&
               !flag(*step, "invert", false)) {
      expressions.push_back(expression.get<std::string>());
    } else if (is(type, "ByteLevel") && !flag(*step, "add_prefix_space", true)) {
      if (flag(*step, "use_regex", true)) expressions.push_back(kGpt2Expression);
      byte_level = true;
    } else {
      unsupported_step("pre_tokenizer", *step);
    }
  }
  for (const HfExpressions& known : hf_expressions()) {
    if (byte_level && known.expressions == expressions &&
        find_pretokenizer(known.pre)->ignore_merges == ignore_merges) {
      return known.pre;
    }
  }
  throw Unsupported{fmt::format("pre_tokenizer {}", quoted(dump_json(pre_tokenizer), 120))};
}

void Reader::read_byte_level(const Json& root) {
  const Json& model = member(root, "model");
  v_.model = "gpt2";
  v_.pre = pre_name(member(root, "pre_tokenizer"), flag(model, "ignore_merges", false));
  for (const Json* step : steps_of(member(root, "normalizer"), "normalizers")) {
    if (!is(member(*step, "type"), "NFC")) unsupported_step("normalizer", *step);
  }
  for (const auto& [left, right] : read_merges(member(model, "merges"))) {
    if ((left + right).find(' ') != std::string::npos) refuse("model.merges", quoted(left + right) + " has a space");
    v_.merges.push_back(left + " " + right);
  }
  if (member(model, "unk_token").is_null()) return;
  for (int byte = 0; byte < 256; ++byte) {
    if (!id_of(to_byte_level(std::string(1, static_cast<char>(byte))))) {
      throw Unsupported{fmt::format("an unknown token instead of byte {}", byte)};
    }
  }
}

/// Where spaces become U+2581, and whether one is put in front.
void Reader::read_spaces(const Json& root) {
  bool replaced = false;
  v_.add_space_prefix = false;
  for (const Json* step : steps_of(member(root, "normalizer"), "normalizers")) {
    const Json& type = member(*step, "type");
    if (is(type, "Prepend") && is(member(*step, "prepend"), kSpaceMark) && !replaced) {
      v_.add_space_prefix = true;
    } else if (is(type, "Replace") && is(member(member(*step, "pattern"), "String"), " ") &&
               is(member(*step, "content"), kSpaceMark)) {
      replaced = true;
    } else {
      unsupported_step("normalizer", *step);
    }
  }
  for (const Json* step : steps_of(member(root, "pre_tokenizer"), "pretokenizers")) {
    const Json& type = member(*step, "type");
    if (is(type, "Split") && replaced && is(member(member(*step, "pattern"), "String"), " "))
      continue;  // none are left
    if (!is(type, "Metaspace") || !is(member(*step, "replacement"), kSpaceMark) || flag(*step, "split", true)) {
      unsupported_step("pre_tokenizer", *step);
    }
    const Json& scheme = member(*step, "prepend_scheme");
    v_.add_space_prefix = scheme.is_null() ? flag(*step, "add_prefix_space", true) : !is(scheme, "never");
    replaced = true;
  }
  if (!replaced) throw Unsupported{"a vocabulary with byte fallback and without U+2581 for spaces"};
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
void Reader::set_scores(const std::vector<std::pair<std::string, std::string>>& merges) {
  v_.scores.assign(v_.tokens.size(), 0);
  std::vector<uint32_t> n_merges(v_.tokens.size(), 0);
  int32_t last = -1;
  uint32_t place = 0;
  for (const auto& [left, right] : merges) {
    const int32_t id = *id_of(left + right);
    const size_t i = static_cast<size_t>(id);
    if (v_.types[i] != kTokenNormal) continue;  // cut out of the text before any merge
    if (id != last && n_merges[i] > 0)
      throw Unsupported{fmt::format("merges for {} apart from each other", quoted(v_.tokens[i], 40))};
    if (id != last) v_.scores[i] = -static_cast<float>(++place);
    ++n_merges[i];
    last = id;
  }
  if (place >= 1u << 24) throw Unsupported{"more merges than scores can order"};
  const auto is_part = [&](const std::string& part) {
    const auto id = id_of(part);
    return decode_utf8(part, 0).length == part.size() || (id && v_.types[static_cast<size_t>(*id)] == kTokenNormal);
  };
  uint64_t work = 0;
  for (size_t i = 0; i < v_.tokens.size(); ++i) {
    const std::string& token = v_.tokens[i];
    if (v_.types[i] != kTokenNormal || token.empty()) continue;
    if ((work += token.size() * token.size()) > uint64_t{1} << 31) throw Unsupported{"tokens too long"};
    uint32_t ways = 0;
    for (const size_t at : cuts(token)) ways += is_part(token.substr(0, at)) && is_part(token.substr(at));
    if (ways != n_merges[i]) {
      throw Unsupported{fmt::format("{} of {} ways to merge into {}", n_merges[i], ways, quoted(token, 40))};
    }
    if (n_merges[i] == 0) v_.scores[i] = -static_cast<float>(place + 1);
  }
}

void Reader::read_scored(const Json& root) {
  const Json& model = member(root, "model");
  v_.model = "llama";
  v_.pre = "default";
  if (flag(model, "ignore_merges", false)) throw Unsupported{"ignore_merges with byte fallback"};
  read_spaces(root);
  for (size_t i = 0; i < v_.tokens.size(); ++i) {
    if (v_.types[i] == kTokenNormal && parse_byte_token(v_.tokens[i])) v_.types[i] = kTokenByte;
  }
  const std::string unknown = text(model, "unk_token");
  if (!unknown.empty()) {
    v_.unk = id_of(unknown);
    if (!v_.unk) refuse("model.unk_token", quoted(unknown, 60) + " is no token");
    v_.types[static_cast<size_t>(*v_.unk)] = kTokenUnknown;
  }
  set_scores(read_merges(member(model, "merges")));
  // As GGUF has it: user-defined pieces stand for the text that they are cut out of.
  for (size_t i = 0; i < v_.tokens.size(); ++i) {
    if (v_.types[i] != kTokenUserDefined) continue;
    v_.tokens[i] = without_space_marks(v_.tokens[i]);
  }
}

int32_t Reader::template_id(const Json& processor, const Json& item) const {
  const std::string name = text(member(item, "SpecialToken"), "id");
  const Json& special_tokens = member(processor, "special_tokens");
  const Json& ids = member(member(special_tokens, name.c_str()), "ids");
  if (!ids.is_array() || ids.size() != 1) refuse("post_processor", "expected one id for " + quoted(name, 60));
  const int32_t id = read_id(ids[0], "post_processor");
  if (static_cast<size_t>(id) >= v_.tokens.size()) refuse("post_processor", fmt::format("id {} is no token", id));
  return id;
}

/// Begin and end tokens come from here: TemplateProcessing of one token, the text, one token.
void Reader::read_post_processor(const Json& processor) {
  for (const Json* step : steps_of(processor, "processors")) {
    const Json& type = member(*step, "type");
    if (is(type, "ByteLevel")) continue;
    const Json& single = member(*step, "single");
    if (!is(type, "TemplateProcessing") || !single.is_array() || single.size() > 3)
      unsupported_step("post_processor", *step);
    bool after = false;
    for (const Json& item : single) {
      if (item.contains("Sequence") && !after) {
        after = true;
      } else if (item.contains("SpecialToken") && !(after ? v_.add_eos : v_.add_bos)) {
        (after ? v_.eos : v_.bos) = template_id(*step, item);
        (after ? v_.add_eos : v_.add_bos) = true;
      } else {
        unsupported_step("post_processor", *step);
      }
    }
    if (!after) unsupported_step("post_processor", *step);
  }
}

void Reader::read_chat_template(const Json& config) {
  v_.chat_template = files_.chat_template;
  const Json& stored = member(config, "chat_template");
  if (!v_.chat_template.empty()) return;
  if (stored.is_string()) v_.chat_template = stored.get<std::string>();
  if (!stored.is_array()) return;
  for (const Json& named : stored) {
    if (is(member(named, "name"), "default") && member(named, "template").is_string()) {
      v_.chat_template = member(named, "template").get<std::string>();
    }
  }
}

void Reader::read_side_files() {
  const Json config = files_.config.empty() ? Json() : parse_json(files_.config, where_ + ": tokenizer_config.json");
  read_chat_template(config);
  const auto named = [&](const char* key, std::optional<int32_t>& id) {
    const Json& value = member(config, key);
    const Json& content = value.is_object() ? member(value, "content") : value;
    if (!id && content.is_string()) id = id_of(content.get<std::string>());
  };
  named("bos_token", v_.bos);
  named("eos_token", v_.eos);
  named("pad_token", v_.pad);
  const Json generation =
      files_.generation.empty() ? Json() : parse_json(files_.generation, where_ + ": generation_config.json");
  const Json& stops = member(generation, "eos_token_id");
  if (stops.is_array() && stops.size() > kMaxStopIds) {
    invalid("{}: generation_config.json: eos_token_id: expected at most {} ids, got {}", where_, kMaxStopIds,
            stops.size());
  }
  for (const Json& stop : stops.is_array() ? stops : Json::array({stops})) {
    if (stop.is_null()) continue;
    if (!stop.is_number_unsigned() || stop.get<uint64_t>() >= kMaxVocabulary) {
      invalid("{}: generation_config.json: eos_token_id: expected ids below {}, got {}", where_, kMaxVocabulary,
              quoted(dump_json(stop), 40));
    }
    v_.more_stops.push_back(stop.get<int32_t>());
  }
}

Vocabulary Reader::read() {
  v_.source = files_.source;
  v_.model = "none";
  if (files_.tokenizer.empty()) {
    read_side_files();
    return v_;
  }
  const Json root = parse_json(files_.tokenizer, where_ + ": tokenizer.json");
  try {
    const Json& model = member(root, "model");
    const Json& type = member(model, "type");
    if (!model.is_object()) refuse("model", "expected an object");
    if (type.is_null() ? !model.contains("merges") : !is(type, "BPE")) unsupported_step("model of type", type);
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!text(model, key).empty()) throw Unsupported{key};
    }
    if (!member(model, "dropout").is_null() && member(model, "dropout") != 0) throw Unsupported{"dropout"};
    read_tokens(model, member(root, "added_tokens"));
    if (flag(model, "byte_fallback", false)) {
      read_scored(root);
    } else {
      read_byte_level(root);
    }
    read_post_processor(member(root, "post_processor"));
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
  return files;
}

Vocabulary vocabulary_from_hf(const HfTokenizerFiles& files) { return Reader(files).read(); }

}  // namespace godwit
