// Vocabulary from and to GGUF metadata.
#include <algorithm>
#include <iterator>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "formats/config.h"
#include "text/pretokenize.h"
#include "text/tokenizer_json.h"
#include "text/vocabulary.h"

namespace godwit {
namespace {

constexpr const char* kPrefix = "tokenizer.ggml.";

std::optional<int32_t> id_of(const Config& config, const std::string& key, std::optional<int32_t> otherwise) {
  if (!config.has(kPrefix + key)) return otherwise;
  return static_cast<int32_t>(config.integer_in(kPrefix + key, 0, std::numeric_limits<int32_t>::max()));
}

std::vector<float> scores_of(const Config& config) {
  const std::vector<double> reals = config.reals("tokenizer.ggml.scores").value_or(std::vector<double>());
  return {reals.begin(), reals.end()};
}

std::vector<int32_t> types_of(const Config& config) {
  const auto integers = config.integers("tokenizer.ggml.token_type");
  std::vector<int32_t> types;
  if (!integers) return types;
  types.reserve(integers->size());
  // A value that int32 cannot hold becomes one that check_vocabulary refuses.
  for (const int64_t type : *integers)
    types.push_back(type >= 0 && type <= kTokenByte ? static_cast<int32_t>(type) : -1);
  return types;
}

/// The bytes are an array of 8-bit integers, signed or not.
std::string charsmap_of(const Config& config) {
  std::string bytes;
  for (const int64_t value : config.integers("tokenizer.ggml.precompiled_charsmap").value_or(std::vector<int64_t>())) {
    if (value < -128 || value > 255)
      config.refuse("tokenizer.ggml.precompiled_charsmap", "bytes", fmt::format("{}", value));
    bytes += static_cast<char>(value & 0xFF);
  }
  return bytes;
}

/// What llama.cpp takes for granted where keys are missing.
struct Defaults {
  std::optional<int32_t> bos, eos, unk, sep;
  bool add_bos = false, add_eos = false, add_sep = false;
};

Defaults defaults_of(const std::string& model) {
  Defaults d;
  if (model == "llama") {
    d.bos = 1, d.eos = 2, d.unk = 0;
    d.add_bos = true;
  } else if (model == "t5") {
    d.eos = 1, d.unk = 2;
    d.add_eos = true;
  } else if (model == "bert") {
    d.bos = 101, d.unk = 100, d.sep = 102;
    d.add_bos = d.add_sep = true;
  }
  return d;
}

/// A tokenizer.json in the file says more than the other keys, and is believed; where this build does not do all that
/// it says, the other keys count.
void read_hf_json(const Config& config, Vocabulary& v) {
  if (!config.has("tokenizer.huggingface.json")) return;
  HfTokenizerFiles files;
  files.source = config.source;
  files.tokenizer = config.text("tokenizer.huggingface.json");
  Vocabulary read = vocabulary_from_hf(files);
  if (read.tokens.size() > v.tokens.size()) {
    config.refuse("tokenizer.huggingface.json", fmt::format("at most {} tokens", v.tokens.size()),
                  fmt::format("{}", read.tokens.size()));
  }
  v.hf_json = std::move(read.hf_json);
  v.pipeline = std::move(read.pipeline);
}

// Of other kinds a file may say what it likes: the model is used without text.
bool is_known_kind(std::string_view model) {
  constexpr std::string_view kKinds[] = {"llama", "gpt2", "t5", "bert", "rwkv", "gemma4", "bytes"};
  return std::find(std::begin(kKinds), std::end(kKinds), model) != std::end(kKinds);
}

}  // namespace

Vocabulary vocabulary_from(const Config& config) {
  Vocabulary v;
  v.source = config.source;
  v.model = config.text("tokenizer.ggml.model", "none");
  v.chat_template = config.text("tokenizer.chat_template", "");
  if (v.model == "none" || v.model == "no_vocab") return v;
  const bool llama = v.model == "llama";
  v.pre = config.text("tokenizer.ggml.pre", "default");
  if (const auto* tokens = config.texts("tokenizer.ggml.tokens")) v.tokens = *tokens;
  if (const auto* merges = config.texts("tokenizer.ggml.merges")) v.merges = *merges;
  v.scores = scores_of(config);
  v.types = types_of(config);
  if (v.tokens.empty() && is_known_kind(v.model)) config.refuse("tokenizer.ggml.tokens", "tokens", "none");
  const auto choice = find_pretokenizer(v.pre);
  // Beside a tokenizer.json the keys say all that it says.
  const Defaults defaults = config.has("tokenizer.huggingface.json") ? Defaults() : defaults_of(v.model);
  v.bos = id_of(config, "bos_token_id", defaults.bos);
  v.eos = id_of(config, "eos_token_id", defaults.eos);
  v.unk = id_of(config, "unknown_token_id", defaults.unk);
  v.sep = id_of(config, "seperator_token_id", defaults.sep);
  v.eot = id_of(config, "eot_token_id", std::nullopt);
  v.eom = id_of(config, "eom_token_id", std::nullopt);
  v.pad = id_of(config, "padding_token_id", std::nullopt);
  const bool byte_level = v.model == "gpt2";
  v.add_bos =
      config.boolean("tokenizer.ggml.add_bos_token", defaults.add_bos || (byte_level && choice && choice->add_bos));
  v.add_eos = config.boolean("tokenizer.ggml.add_eos_token", defaults.add_eos);
  v.add_sep =
      config.boolean("tokenizer.ggml.add_sep_token", defaults.add_sep || (byte_level && choice && choice->add_sep));
  v.add_space_prefix = config.boolean("tokenizer.ggml.add_space_prefix", llama);
  v.remove_extra_whitespaces = config.boolean("tokenizer.ggml.remove_extra_whitespaces", false);
  v.lowercase = config.boolean("tokenizer.ggml.normalizer.lowercase", true);
  v.strip_accents = config.boolean("tokenizer.ggml.normalizer.strip_accents", v.lowercase);
  if (v.model == "gemma4") v.add_bos = v.bos.has_value();
  v.charsmap = charsmap_of(config);
  read_hf_json(config, v);
  check_vocabulary(v);
  return v;
}

void vocabulary_to(const Vocabulary& v, Config& config) {
  const auto set = [&](const std::string& key, ConfigValue value) { config.set(kPrefix + key, std::move(value)); };
  if (!v.chat_template.empty()) config.set("tokenizer.chat_template", v.chat_template);
  set("model", v.model.empty() ? std::string("none") : v.model);
  if (v.tokens.empty()) return;
  if (!v.pre.empty()) set("pre", v.pre);
  set("tokens", v.tokens);
  if (!v.scores.empty()) set("scores", std::vector<double>(v.scores.begin(), v.scores.end()));
  if (!v.types.empty()) set("token_type", std::vector<int64_t>(v.types.begin(), v.types.end()));
  if (!v.merges.empty()) set("merges", v.merges);
  const auto set_id = [&](const char* key, const std::optional<int32_t>& id) {
    if (id) set(key, int64_t{*id});
  };
  set_id("bos_token_id", v.bos);
  set_id("eos_token_id", v.eos);
  // GGUF has two more keys for ids that end a generation; those beyond are found by their text, or not at all.
  std::optional<int32_t> eot = v.eot, eom = v.eom;
  for (const int32_t id : v.more_stops) {
    if (v.eos == id || eot == id || eom == id || id < 0 || static_cast<size_t>(id) >= v.tokens.size()) continue;
    if (!eot) {
      eot = id;
    } else if (!eom) {
      eom = id;
    }
  }
  set_id("eot_token_id", eot);
  set_id("eom_token_id", eom);
  set_id("unknown_token_id", v.unk);
  set_id("padding_token_id", v.pad);
  set_id("seperator_token_id", v.sep);
  set("add_bos_token", v.add_bos);
  set("add_eos_token", v.add_eos);
  set("add_space_prefix", v.add_space_prefix);
  if (v.add_sep) set("add_sep_token", true);
  if (v.model == "t5" || v.remove_extra_whitespaces) set("remove_extra_whitespaces", v.remove_extra_whitespaces);
  if (v.model == "bert") {
    set("normalizer.lowercase", v.lowercase);
    set("normalizer.strip_accents", v.strip_accents);
  }
  if (!v.charsmap.empty()) {
    set("precompiled_charsmap", std::vector<int64_t>(v.charsmap.begin(), v.charsmap.end()));
  }
  if (!v.hf_json.empty() && v.hf_json.size() <= kMaxGgufJsonBytes) {
    config.set("tokenizer.huggingface.json", v.hf_json);
  }
}

}  // namespace godwit
