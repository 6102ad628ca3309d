#include "text/pipeline_json.h"

#include <algorithm>
#include <unordered_set>

#include "text/bpe.h"
#include "text/hf_expressions.h"
#include "text/normalizer.h"
#include "text/regex.h"
#include "text/unicode.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

namespace godwit {
namespace {

constexpr size_t kMostSteps = 32;  // of one stage, done one after the other on all text

class PipelineReader {
 public:
  explicit PipelineReader(const PipelineSource& source) : source_(source), fields_(source.fields) {}

  std::shared_ptr<const Pipeline> read();

 private:
  using Steps = std::vector<const Json*>;

  Steps steps(const char* stage, const char* list) const;
  std::string character(const Json& step, const char* key) const;
  SplitBehavior behavior(const Json& step, SplitBehavior otherwise) const;

  void read_added();
  NormalizerStep normalizer_step(const Json& step) const;
  Regex compile(const std::string& expression) const;
  PartFinder expression_finder(const std::string& expression) const;
  void read_normalizer();
  void read_splits();
  void read_split(const Json& step);
  void read_metaspace(const Json& step);
  void add_expressions();
  void add_part_step(PartFinder finder, SplitBehavior behavior, bool invert = false) {
    add_expressions();
    out_->splits.push_back(std::make_unique<PartStep>(std::move(finder), behavior, invert));
  }
  void read_model();
  void read_merge_model(const Json& model);
  void read_unigram(const Json& model);
  template <class Model>
  void set_model(std::shared_ptr<const Model> model) {
    out_->model = std::make_unique<FunctionModel>(
        [model](std::string_view text, std::vector<int32_t>& ids) { model->encode(text, ids); });
  }
  std::optional<int32_t> unknown(const Json& model) const;
  std::vector<std::string> model_tokens() const;
  std::vector<std::string> made_tokens() const;
  bool is_made(size_t id) const;
  void read_decoder();

  const PipelineSource& source_;
  const JsonFields& fields_;
  std::shared_ptr<Pipeline> out_ = std::make_shared<Pipeline>();
  std::unordered_set<int32_t> within_words_;  // added tokens that only match whole words
  std::vector<std::string> expressions_;      // isolated, not yet in out_->splits
  bool bytes_ = false;                        // the last step was to the byte-level alphabet, and the model does it
};

PipelineReader::Steps PipelineReader::steps(const char* stage, const char* list) const {
  Steps all = json_steps(json_member(source_.root, stage), list);
  if (all.size() > kMostSteps) fields_.refuse(stage, fmt::format("expected at most {} steps", kMostSteps));
  for (const Json* step : all) {
    if (!step->is_object()) fields_.refuse(stage, "expected an object");
  }
  return all;
}

std::string PipelineReader::character(const Json& step, const char* key) const {
  std::string text = fields_.text(step, key);
  if (text.empty() || decode_utf8(text, 0).length != text.size()) fields_.refuse(key, "expected one character");
  return text;
}

SplitBehavior PipelineReader::behavior(const Json& step, SplitBehavior otherwise) const {
  const Json& value = json_member(step, "behavior");
  if (value.is_null()) return otherwise;
  if (json_is(value, "Removed")) return SplitBehavior::kRemoved;
  if (json_is(value, "Isolated")) return SplitBehavior::kIsolated;
  if (json_is(value, "MergedWithPrevious")) return SplitBehavior::kMergedWithPrevious;
  if (json_is(value, "MergedWithNext")) return SplitBehavior::kMergedWithNext;
  if (json_is(value, "Contiguous")) return SplitBehavior::kContiguous;
  fields_.refuse("behavior", "expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, got " +
                                 quoted(dump_json(value), 40));
}

void PipelineReader::read_added() {
  for (const Json& token : json_member(source_.root, "added_tokens")) {
    AddedToken added;
    added.content = fields_.text(token, "content");
    added.id = fields_.id(json_member(token, "id"), "added_tokens");
    added.single_word = fields_.flag(token, "single_word", false);
    added.lstrip = fields_.flag(token, "lstrip", false);
    added.rstrip = fields_.flag(token, "rstrip", false);
    added.normalized = fields_.flag(token, "normalized", !fields_.flag(token, "special", false));
    if (added.single_word) within_words_.insert(added.id);
    out_->added.push_back(std::move(added));
  }
}

/// Bytes of base64 (RFC 4648); padding may be missing.
std::string decode_base64(const std::string& text, const JsonFields& fields, const char* place) {
  std::string bytes;
  uint32_t held = 0;
  int bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '=' && i + 2 >= text.size()) break;
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (value < 0) fields.refuse(place, fmt::format("byte {}: expected base64", i));
    held = held << 6 | static_cast<uint32_t>(value);
    if ((bits += 6) < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(held >> bits & 0xFF);
  }
  return bytes;
}

NormalizerStep PipelineReader::normalizer_step(const Json& step) const {
  static constexpr std::pair<const char*, NormalizerStep::Kind> kPlain[] = {
      {"NFC", NormalizerStep::kNfc},
      {"NFD", NormalizerStep::kNfd},
      {"NFKC", NormalizerStep::kNfkc},
      {"NFKD", NormalizerStep::kNfkd},
      {"Lowercase", NormalizerStep::kLowercase},
      {"Strip", NormalizerStep::kStrip},
      {"StripNormalizer", NormalizerStep::kStrip},
      {"StripAccents", NormalizerStep::kStripAccents},
      {"Nmt", NormalizerStep::kNmt},
      {"BertNormalizer", NormalizerStep::kBert},
      {"Precompiled", NormalizerStep::kPrecompiled},
      {"Replace", NormalizerStep::kReplaceString},
      {"Prepend", NormalizerStep::kPrepend},
      {"ByteLevel", NormalizerStep::kByteLevel},
  };
  const std::string type = fields_.text(step, "type");
  const auto* known =
      std::find_if(std::begin(kPlain), std::end(kPlain), [&](const auto& k) { return type == k.first; });
  if (known == std::end(kPlain)) unsupported_step("normalizer", step);
  NormalizerStep out;
  out.kind = known->second;
  if (out.kind == NormalizerStep::kStrip) {
    out.left = fields_.flag(step, "strip_left", true);
    out.right = fields_.flag(step, "strip_right", true);
  } else if (out.kind == NormalizerStep::kBert) {
    out.clean_text = fields_.flag(step, "clean_text", true);
    out.chinese = fields_.flag(step, "handle_chinese_chars", true);
    out.lowercase = fields_.flag(step, "lowercase", true);
    out.strip_accents = fields_.flag(step, "strip_accents", out.lowercase);
  } else if (out.kind == NormalizerStep::kPrecompiled) {
    out.text = decode_base64(fields_.text(step, "precompiled_charsmap"), fields_, "precompiled_charsmap");
  } else if (out.kind == NormalizerStep::kPrepend) {
    out.content = fields_.text(step, "prepend");
  } else if (out.kind == NormalizerStep::kReplaceString) {
    const Json& pattern = json_member(step, "pattern");
    out.content = fields_.text(step, "content");
    if (json_member(pattern, "Regex").is_string()) {
      out.kind = NormalizerStep::kReplaceRegex;
      out.text = fields_.text(pattern, "Regex");
      compile(out.text);  // to refuse by name what is not done here
    } else {
      out.text = fields_.text(pattern, "String");
    }
    if (out.text.empty()) fields_.refuse("normalizer", "Replace with an empty pattern");
  }
  return out;
}

Regex PipelineReader::compile(const std::string& expression) const {
  try {
    return Regex::compile(expression, "expression");
  } catch (const Error& error) {
    throw Unsupported{error.what()};
  }
}

void PipelineReader::read_normalizer() {
  const Steps all = steps("normalizer", "normalizers");
  if (all.empty()) return;
  if (all.size() > kMaxNormalizerSteps) {
    fields_.refuse("normalizer", fmt::format("expected at most {} steps, got {}", kMaxNormalizerSteps, all.size()));
  }
  std::vector<NormalizerStep> read;
  for (const Json* step : all) read.push_back(normalizer_step(*step));
  // Shared, as a std::function wants to be copied.
  const auto normalizer =
      std::make_shared<const Normalizer>(std::move(read), fields_.where + ": tokenizer.json: normalizer");
  out_->normalize = [normalizer](std::string_view text) { return normalizer->apply(text); };
}

PartFinder PipelineReader::expression_finder(const std::string& expression) const {
  const auto regex = std::make_shared<const Regex>(compile(expression));
  return [regex](std::string_view piece) {
    std::vector<SplitPart> parts;
    uint32_t at = 0;
    for (const Regex::Range& match : regex->find_all(piece)) {
      if (at < match.begin) parts.push_back({at, match.begin, false});
      parts.push_back({match.begin, match.end, true});
      at = match.end;
    }
    if (at < piece.size()) parts.push_back({at, static_cast<uint32_t>(piece.size()), false});
    return parts;
  };
}

void PipelineReader::add_expressions() {
  if (expressions_.empty()) return;
  const auto known = [](const std::vector<std::string>& expressions) -> const HfExpressions* {
    for (const HfExpressions& entry : hf_expressions()) {
      if (entry.expressions == expressions) return &entry;
    }
    return nullptr;
  };
  if (const HfExpressions* entry = known(expressions_)) {
    out_->splits.push_back(std::make_unique<KnownStep>(find_pretokenizer(entry->pre)->kind));
  } else {
    for (const std::string& expression : expressions_) {
      if (const HfExpressions* one = known({expression})) {
        out_->splits.push_back(std::make_unique<KnownStep>(find_pretokenizer(one->pre)->kind));
      } else if (expression == R"(\p{N})") {
        out_->splits.push_back(std::make_unique<PartStep>(
            [](std::string_view text) { return parts_by_character(text, is_numeric); }, SplitBehavior::kIsolated));
      } else {
        out_->splits.push_back(std::make_unique<PartStep>(expression_finder(expression), SplitBehavior::kIsolated));
      }
    }
  }
  expressions_.clear();
}

void PipelineReader::read_split(const Json& step) {
  const Json& pattern = json_member(step, "pattern");
  const Json& text = json_member(pattern, "String");
  const Json& expression = json_member(pattern, "Regex");
  const SplitBehavior how = behavior(step, SplitBehavior::kIsolated);
  const bool invert = fields_.flag(step, "invert", false);
  if (text.is_string()) {
    const std::string wanted = text.get<std::string>();
    if (wanted.empty()) throw Unsupported{"pre_tokenizer Split with an empty pattern"};
    return add_part_step([wanted](std::string_view piece) { return parts_by_text(piece, wanted); }, how, invert);
  }
  if (!expression.is_string()) fields_.refuse("pre_tokenizer", "Split without a pattern");
  const std::string source = expression.get<std::string>();
  if (how == SplitBehavior::kIsolated) return expressions_.push_back(source);  // matches and gaps alike are pieces
  add_part_step(expression_finder(source), how, invert);
}

void PipelineReader::read_metaspace(const Json& step) {
  using Prepend = MetaspaceStep::Prepend;
  const Json& scheme = json_member(step, "prepend_scheme");
  Prepend prepend = Prepend::kAlways;
  if (json_is(scheme, "first")) {
    prepend = Prepend::kFirst;
  } else if (json_is(scheme, "never")) {
    prepend = Prepend::kNever;
  } else if (!scheme.is_null() && !json_is(scheme, "always")) {
    fields_.refuse("prepend_scheme", "expected first, never or always");
  }
  if (!fields_.flag(step, "add_prefix_space", true)) prepend = Prepend::kNever;
  add_expressions();
  out_->splits.push_back(
      std::make_unique<MetaspaceStep>(character(step, "replacement"), prepend, fields_.flag(step, "split", true)));
}

void PipelineReader::read_splits() {
  const Steps all = steps("pre_tokenizer", "pretokenizers");
  const Json& model = json_member(source_.root, "model");
  const bool model_takes_bytes =
      json_is(json_member(model, "type"), "BPE") && !fields_.flag(model, "byte_fallback", false) &&
      fields_.text(model, "continuing_subword_prefix").empty() && fields_.text(model, "end_of_word_suffix").empty();
  const auto by_character = [&](bool (*is_match)(uint32_t), SplitBehavior how) {
    add_part_step([is_match](std::string_view piece) { return parts_by_character(piece, is_match); }, how);
  };
  for (const Json* step : all) {
    const std::string type = fields_.text(*step, "type");
    if (type == "Split") {
      read_split(*step);
    } else if (type == "Metaspace") {
      read_metaspace(*step);
    } else if (type == "ByteLevel") {
      if (fields_.flag(*step, "add_prefix_space", true)) {
        add_expressions();
        out_->splits.push_back(std::make_unique<SpacePrefixStep>());
      }
      if (fields_.flag(*step, "use_regex", true)) expressions_.push_back(kGpt2Expression);
      bytes_ = step == all.back() && model_takes_bytes;
      if (bytes_) continue;
      add_expressions();
      out_->splits.push_back(std::make_unique<ByteLevelStep>());
    } else if (type == "Digits" && fields_.flag(*step, "individual_digits", false)) {
      expressions_.push_back(R"(\p{N})");
    } else if (type == "Digits") {
      by_character(is_numeric, SplitBehavior::kContiguous);
    } else if (type == "Punctuation") {
      by_character(is_any_punctuation, behavior(*step, SplitBehavior::kIsolated));
    } else if (type == "WhitespaceSplit") {
      by_character(is_white_space, SplitBehavior::kRemoved);
    } else if (type == "Whitespace") {
      add_part_step(parts_by_word, SplitBehavior::kRemoved, true);
    } else if (type == "BertPreTokenizer") {
      by_character(is_white_space, SplitBehavior::kRemoved);
      by_character(is_any_punctuation, SplitBehavior::kIsolated);
    } else if (type == "CharDelimiterSplit" || type == "Delimiter") {
      const std::string wanted = character(*step, "delimiter");
      add_part_step([wanted](std::string_view piece) { return parts_by_text(piece, wanted); }, SplitBehavior::kRemoved);
    } else if (type == "FixedLength") {
      const size_t length = fields_.count(*step, "length", 5);
      if (length == 0) fields_.refuse("length", "expected at least 1");
      add_expressions();
      out_->splits.push_back(std::make_unique<FixedLengthStep>(length));
    } else {
      unsupported_step("pre_tokenizer", *step);
    }
  }
  add_expressions();
}

/// Control tokens come from templates, never from encoding text that spells one in parts; no more do added tokens,
/// which are cut out of the text whole, but for those that are text within words.
bool PipelineReader::is_made(size_t id) const {
  const int32_t type = source_.vocabulary.type(id);
  const bool cut_out = type == kTokenUserDefined && !within_words_.contains(static_cast<int32_t>(id));
  return source_.in_model[id] && type != kTokenControl && type != kTokenUnknown && !cut_out;
}

std::vector<std::string> PipelineReader::model_tokens() const {
  std::vector<std::string> tokens(source_.tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (source_.in_model[i]) tokens[i] = source_.tokens[i];
  }
  return tokens;
}

/// Those that encoding may give; the others empty.
std::vector<std::string> PipelineReader::made_tokens() const {
  std::vector<std::string> tokens(source_.tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (is_made(i)) tokens[i] = source_.tokens[i];
  }
  return tokens;
}

std::optional<int32_t> PipelineReader::unknown(const Json& model) const {
  const std::string token = fields_.text(model, "unk_token");
  if (token.empty()) return std::nullopt;
  for (size_t i = 0; i < source_.tokens.size(); ++i) {
    if (source_.in_model[i] && source_.tokens[i] == token) return static_cast<int32_t>(i);
  }
  fields_.refuse("model.unk_token", quoted(token, 60) + " is no token");
}

void PipelineReader::read_merge_model(const Json& model) {
  MergeModelParts parts;
  parts.tokens = model_tokens();
  parts.merges = source_.merges;
  parts.unk = unknown(model);
  parts.continuing_subword_prefix = fields_.text(model, "continuing_subword_prefix");
  parts.end_of_word_suffix = fields_.text(model, "end_of_word_suffix");
  parts.fuse_unk = fields_.flag(model, "fuse_unk", false);
  parts.byte_fallback = fields_.flag(model, "byte_fallback", false);
  parts.ignore_merges = fields_.flag(model, "ignore_merges", false);
  parts.bytes = bytes_;
  parts.is_made = [this](int32_t id) { return is_made(static_cast<size_t>(id)); };
  out_->model = std::make_unique<MergeModel>(parts, fields_.where + ": tokenizer.json: model.merges");
}

void PipelineReader::read_model() {
  const Json& model = json_member(source_.root, "model");
  const std::string place = fields_.where + ": tokenizer.json: model";
  std::string type = fields_.text(model, "type");
  if (type.empty() && model.contains("merges")) type = "BPE";
  if (type == "BPE") {
    read_merge_model(model);
  } else if (type == "WordLevel") {
    out_->model = std::make_unique<WordLevelModel>(
        model_tokens(), [this](int32_t id) { return is_made(static_cast<size_t>(id)); }, unknown(model));
  } else if (type == "Unigram") {
    read_unigram(model);
  } else if (type == "WordPiece") {
    WordPieceModel parts;
    parts.tokens = made_tokens();
    parts.unk = unknown(model);
    parts.prefix = fields_.text(model, "continuing_subword_prefix");
    parts.max_characters = fields_.count(model, "max_input_chars_per_word", 100);
    set_model(std::make_shared<const WordPiece>(parts, place));
  } else {
    throw Unsupported{"model of type " + quoted(type, 40)};
  }
}

void PipelineReader::read_unigram(const Json& model) {
  UnigramModel parts;
  parts.tokens = made_tokens();
  parts.tokens.resize(source_.vocabulary.scores.size());
  // The float of Vocabulary::scores would lose digits.
  for (const Json& piece : json_member(model, "vocab")) parts.scores.push_back(piece[1].get<double>());
  parts.tokens.resize(parts.scores.size());
  parts.byte_fallback = fields_.flag(model, "byte_fallback", false);
  const Json& unk = json_member(model, "unk_id");
  if (!unk.is_null()) parts.unk = fields_.id(unk, "model.unk_id");
  set_model(std::make_shared<const Unigram>(parts, fields_.where + ": tokenizer.json: model"));
}

void PipelineReader::read_decoder() {
  using Kind = DecoderStep::Kind;
  DecoderChain& chain = out_->decoder;
  const Steps all = steps("decoder", "decoders");
  bool fused = false;
  for (const Json* step : all) {
    const std::string type = fields_.text(*step, "type");
    DecoderStep out{.kind = Kind::kByteLevel};
    if (type == "Fuse") {
      fused = true;
      continue;
    }
    if (type == "Strip") {
      out = {.kind = Kind::kStrip, .text = character(*step, "content")};
      out.start = fields_.count(*step, "start", 0);
      out.stop = fields_.count(*step, "stop", 0);
      if (fused && out.stop == 0 && chain.strip_count == 0) {
        chain.strip = out.text;
        chain.strip_count = out.start;
        continue;
      }
    } else if (type == "Replace") {
      const Json& pattern = json_member(*step, "pattern");
      const std::string what = fields_.text(pattern, "String");
      if (what.empty()) unsupported_step("decoder", *step);
      out = {.kind = Kind::kReplace, .text = what, .content = fields_.text(*step, "content")};
      // One character is replaced alike before tokens are joined and after.
      if (fused && decode_utf8(what, 0).length == what.size() && chain.strip_count == 0) {
        chain.steps.push_back(out);
        continue;
      }
    } else if (type == "ByteFallback") {
      out = {.kind = Kind::kByteFallback};
    } else if (type == "Metaspace") {
      const Json& scheme = json_member(*step, "prepend_scheme");
      out = {.kind = Kind::kMetaspace, .text = character(*step, "replacement")};
      out.flag = !json_is(scheme, "never") && fields_.flag(*step, "add_prefix_space", true);
    } else if (type == "WordPiece") {
      out = {.kind = Kind::kWordPiece, .text = fields_.text(*step, "prefix")};
      out.flag = fields_.flag(*step, "cleanup", true);
    } else if (type == "BPEDecoder") {
      out = {.kind = Kind::kBpe, .text = fields_.text(*step, "suffix")};
      chain.drops_last_space = true;
    } else if (type != "ByteLevel") {
      unsupported_step("decoder", *step);
    }
    if (fused) unsupported_step("decoder: after Fuse,", *step);
    chain.steps.push_back(std::move(out));
    fused = type == "ByteLevel";
  }
  if (all.empty()) chain.steps.push_back({.kind = Kind::kJoin});
}

std::shared_ptr<const Pipeline> PipelineReader::read() {
  read_added();
  read_normalizer();
  read_splits();
  read_model();
  TextFrame frame = read_text_frame(json_member(source_.root, "post_processor"), source_.tokens.size(), fields_);
  out_->before = std::move(frame.before);
  out_->after = std::move(frame.after);
  read_decoder();
  out_->tokens = source_.tokens;
  return out_;
}

/// The id of ["[SEP]", 102].
int32_t named_id(const Json& pair, size_t n_tokens, const JsonFields& fields) {
  if (!pair.is_array() || pair.size() != 2) fields.refuse("post_processor", "expected a token and its id");
  const int32_t id = fields.id(pair[1], "post_processor");
  if (static_cast<size_t>(id) >= n_tokens) fields.refuse("post_processor", fmt::format("id {} is no token", id));
  return id;
}

TextFrame frame_of_template(const Json& step, size_t n_tokens, const JsonFields& fields) {
  TextFrame frame;
  const Json& single = json_member(step, "single");
  const Json& special = json_member(step, "special_tokens");
  if (!single.is_array() || single.size() > 64) fields.refuse("post_processor", "expected a list of at most 64 items");
  bool after = false;
  for (const Json& item : single) {
    const Json& sequence = json_member(item, "Sequence");
    const Json& token = json_member(item, "SpecialToken");
    if (sequence.is_object() && json_is(json_member(sequence, "id"), "A") && !after) {
      after = true;
      continue;
    }
    if (!token.is_object()) unsupported_step("post_processor", step);
    const std::string name = fields.text(token, "id");
    const Json& ids = json_member(json_member(special, name.c_str()), "ids");
    if (!ids.is_array() || ids.empty() || ids.size() > 64) {
      fields.refuse("post_processor", "expected ids for " + quoted(name, 60));
    }
    for (const Json& value : ids) {
      const int32_t id = fields.id(value, "post_processor");
      if (static_cast<size_t>(id) >= n_tokens) fields.refuse("post_processor", fmt::format("id {} is no token", id));
      (after ? frame.after : frame.before).push_back(id);
    }
  }
  if (!after) unsupported_step("post_processor", step);
  return frame;
}

}  // namespace

TextFrame read_text_frame(const Json& post_processor, size_t n_tokens, const JsonFields& fields) {
  TextFrame frame;
  const auto steps = json_steps(post_processor, "processors");
  if (steps.size() > kMostSteps) fields.refuse("post_processor", fmt::format("expected at most {} steps", kMostSteps));
  for (const Json* step : steps) {
    const std::string type = fields.text(*step, "type");
    TextFrame more;
    if (type == "ByteLevel") continue;
    if (type == "TemplateProcessing") {
      more = frame_of_template(*step, n_tokens, fields);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      more.before = {named_id(json_member(*step, "cls"), n_tokens, fields)};
      more.after = {named_id(json_member(*step, "sep"), n_tokens, fields)};
    } else {
      unsupported_step("post_processor", *step);
    }
    frame.before.insert(frame.before.begin(), more.before.begin(), more.before.end());
    frame.after.insert(frame.after.end(), more.after.begin(), more.after.end());
  }
  return frame;
}

std::shared_ptr<const Pipeline> read_pipeline(const PipelineSource& source) { return PipelineReader(source).read(); }

}  // namespace godwit
