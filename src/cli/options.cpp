#include "cli/options.h"

#include <charconv>

#include "base/error.h"
#include "base/text.h"

namespace godwit {

void add_model_options(Command& command, ModelOptions& o, bool one) {
  if (one)
    command
        .flag("MODEL,-m,--model", o.model,
              "a .gguf file, a Hugging Face folder, org/name[@revision][:QUANT] in the Hugging Face cache, or a "
              "config.json "
              "with --random")
        .required();
  command.flag("--random", o.random_seed, "random weights from this seed; MODEL is then a config.json");
  command.flag("--type", o.type,
               "type of random weights (default q8_0), and of weights that are decoded at load, as FP8 folders' are "
               "(default f32): f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1");
  command.flag("--no-repack", o.no_repack, "keep weights as the file has them and map the file: less start-up, slower");
  command
      .flag("--activations", o.activations, "q8 (default): rounded to 8 bits where weights are quantized; f32: exact")
      .one_of({"q8", "f32"});
  command.flag("--kv-type", o.kv_type, "type of cached keys and values: f32, f16, bf16 or q8_0")
      .one_of({"f32", "f16", "bf16", "q8_0"});
  command.flag("--numerics", o.numerics, "1: the one order of adding (docs/numerics.md)");
  command.flag("--memory", o.memory, "budget for weights and state together, for example 8GiB");
  command.flag("-t,--threads", o.threads, "threads; default: the physical cores that this process may use")
      .range(1, 1024);
  command.flag("-c,--context", o.context, "most tokens of a sequence; 0 (default): the model's maximum")
      .range(0, int64_t{1} << 30);
}

void add_talk_options(Command& command, TalkOptions& o) {
  command.flag("--json", o.json, "one JSON object on stdout instead of text");
  command.flag("-q,--quiet", o.quiet, "only results and errors");
  command.flag("-v,--verbose", o.verbose, "say more on stderr");
  command.flag("--no-color", o.no_color, "plain text even on a terminal");
}

void add_sampling_options(Command& command, SamplingFlags& o) {
  command
      .flag("-n,--max-tokens", o.max_tokens,
            "most tokens to generate; 0 (default): until the model stops or the context is full")
      .range(0, int64_t{1} << 30);
  command.flag("--seed", o.seed, "seed of every random draw; the same seed gives the same text (default 0)");
  command.flag("--temp", o.temp, "temperature; 0 is greedy (default: the model's own, else 1, in chat 0.7)");
  command.flag("--top-k", o.top_k, "keep the k most likely tokens; 0: all");
  command.flag("--top-p", o.top_p,
               "keep the fewest most likely tokens whose probabilities reach p (default: the model's own, else 1, in "
               "chat 0.95)");
  command.flag("--min-p", o.min_p, "keep tokens at least p times as likely as the likeliest");
  command.flag("--repeat-penalty", o.repeat_penalty, "divides the logits of recent tokens; 1: off");
  command.flag("--presence-penalty", o.presence_penalty, "subtracted from the logit of a token that occurred");
  command.flag("--frequency-penalty", o.frequency_penalty, "subtracted for each occurrence");
  command.flag("--logit-bias", o.logit_bias, "ID:VALUE, added to a token's logit; repeat or separate by commas")
      .delimiter(',');
  command.flag("--stop", o.stop, "end when this text appears (repeatable)");
  command.flag("--greedy", o.greedy, "always the likeliest token");
  command.flag("--ignore-eos", o.ignore_eos, "go on past the tokens that end a text");
}

SamplingOptions sampling_from(const SamplingFlags& f, const SamplingDefaults& d, int64_t vocab_size) {
  SamplingOptions o;
  o.seed = f.seed;
  o.greedy = f.greedy;
  o.temp = f.temp.value_or(d.temp.value_or(o.temp));
  o.top_k = f.top_k.value_or(d.top_k.value_or(o.top_k));
  o.top_p = f.top_p.value_or(d.top_p.value_or(o.top_p));
  o.min_p = f.min_p.value_or(d.min_p.value_or(o.min_p));
  o.repeat_penalty = f.repeat_penalty.value_or(d.repeat_penalty.value_or(o.repeat_penalty));
  o.presence_penalty = f.presence_penalty.value_or(o.presence_penalty);
  o.frequency_penalty = f.frequency_penalty.value_or(o.frequency_penalty);
  for (const std::string& item : f.logit_bias) {
    const size_t colon = item.find(':');
    char* end = nullptr;
    const double value = colon == std::string::npos ? 0.0 : std::strtod(item.c_str() + colon + 1, &end);
    if (end == nullptr || *end != '\0' || end == item.c_str() + colon + 1)
      fail(ErrorKind::kUsage, "--logit-bias {}: expected ID:VALUE, for example 42:-100", printable(item, 60));
    const int64_t id = parse_integers(item.substr(0, colon), "--logit-bias", 0, vocab_size - 1).front();
    o.logit_bias.emplace_back(static_cast<TokenId>(id), static_cast<float>(value));
  }
  check(o);
  return o;
}

std::vector<int64_t> parse_integers(const std::string& text, const std::string& flag, int64_t least, int64_t most) {
  std::vector<int64_t> values;
  const char *p = text.data(), *end = p + text.size();
  while (true) {
    while (p < end && *p == ' ') ++p;
    int64_t value = 0;
    const auto [next, error] = std::from_chars(p, end, value);
    if (error != std::errc() || value < least || value > most)
      fail(ErrorKind::kUsage, "{} {}: expected integers from {} to {} separated by commas", flag, printable(text, 60),
           least, most);
    values.push_back(value);
    p = next;
    while (p < end && *p == ' ') ++p;
    if (p == end) return values;
    if (*p++ != ',') fail(ErrorKind::kUsage, "{} {}: expected integers separated by commas", flag, printable(text, 60));
  }
}

std::optional<std::pair<double, std::string>> number_and_unit(const std::string& text) {
  try {
    size_t used = 0;
    const double number = std::stod(text, &used);
    return std::pair(number, text.substr(used));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace godwit
