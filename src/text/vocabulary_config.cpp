// Vocabulary from and to GGUF metadata.
#include <limits>

#include "base/error.h"
#include "formats/config.h"
#include "text/pretokenize.h"
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
  if (v.tokens.empty() && (llama || v.model == "gpt2")) config.refuse("tokenizer.ggml.tokens", "tokens", "none");
  v.bos = id_of(config, "bos_token_id", llama ? std::optional<int32_t>(1) : std::nullopt);
  v.eos = id_of(config, "eos_token_id", llama ? std::optional<int32_t>(2) : std::nullopt);
  v.unk = id_of(config, "unknown_token_id", llama ? std::optional<int32_t>(0) : std::nullopt);
  v.eot = id_of(config, "eot_token_id", std::nullopt);
  v.eom = id_of(config, "eom_token_id", std::nullopt);
  v.pad = id_of(config, "padding_token_id", std::nullopt);
  const auto choice = find_pretokenizer(v.pre);
  v.add_bos = config.boolean("tokenizer.ggml.add_bos_token", llama || (v.model == "gpt2" && choice && choice->add_bos));
  v.add_eos = config.boolean("tokenizer.ggml.add_eos_token", false);
  v.add_space_prefix = config.boolean("tokenizer.ggml.add_space_prefix", llama);
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
  set_id("eot_token_id", v.eot);
  set_id("eom_token_id", v.eom);
  set_id("unknown_token_id", v.unk);
  set_id("padding_token_id", v.pad);
  set("add_bos_token", v.add_bos);
  set("add_eos_token", v.add_eos);
  set("add_space_prefix", v.add_space_prefix);
}

}  // namespace godwit
