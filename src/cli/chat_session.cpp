#include "cli/chat_session.h"

#include <sys/stat.h>

#include "base/cpu.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/answer.h"
#include "cli/chat_screen.h"
#include "cli/commands.h"
#include "cli/streams.h"

namespace godwit {
namespace {

constexpr uint64_t kMostTemplateBytes = uint64_t{1} << 20;
constexpr int64_t kLeastContext = 2048;  // below, memory that is short is an error, not a reason to take less

Json variables_from(const ChatOptions& o) {
  Json variables = Json::object();
  if (o.no_think) variables["enable_thinking"] = variables["thinking"] = false;
  for (const std::string& item : o.set) {
    const size_t equals = item.find('=');
    const std::string key = item.substr(0, equals);
    if (equals == std::string::npos || key.empty() || key == "messages")
      fail(ErrorKind::kUsage, "--set {}: expected KEY=VALUE, for example enable_thinking=false", quoted(item, 60));
    const std::string value = item.substr(equals + 1);
    try {
      variables[key] = parse_json(value, "--set", 16);
    } catch (const Error&) {
      variables[key] = value;  // a plain word is a text
    }
  }
  return variables;
}

bool fits_memory(const ModelOptions& o, const OpenModel& open, const RunnerOptions& runner) {
  const Fit need = fit_of_process(open, runner);
  const bool in_budget = o.memory.empty() || need.weights - need.mapped + need.state <= clamped(parse_size(o.memory));
  return in_budget && need.total() <= clamped(granted_memory());
}

}  // namespace

ChatTemplate chat_template_for(const std::string& named, const OpenModel& open, const Vocabulary& vocabulary) {
  if (named.empty()) {
    if (vocabulary.chat_template.empty())
      invalid("{}: has no chat template; give one with --template FILE or NAME, or continue a text with run",
              open.config.source);
    return {vocabulary.chat_template, printable_path(open.config.source) + ": chat template"};
  }
  struct stat status {};
  if (::stat(named.c_str(), &status) == 0) return {read_input(named, kMostTemplateBytes), printable_path(named)};
  if (const char* source = builtin_template(named)) return {source, "built-in template " + named};
  invalid("--template {}: expected a file or one of {}", printable_path(named),
          fmt::join(builtin_template_names(), ", "));
}

ChatSession::ChatSession(const ChatOptions& o, const std::vector<ChatMessage>* first)
    : flags_(o.sampling), variables_(variables_from(o)), many_turns_(first == nullptr) {
  const AnswerText check_of_stops(nullptr, o.sampling.stop);
  session_ = start_session(o.model, o.talk, DType::kF16, [&](const OpenModel& open, RunnerOptions& r) {
    const SamplingDefaults own = sampling_defaults_of(open);
    const SamplingDefaults defaults = own.empty() ? chat_sampling_defaults() : own;
    sampling_ = sampling_from(o.sampling, defaults, open.model->vocab_size());
    sampling_text_ = fmt::format("{} ({})", defaults.text(), defaults.source);
    std::string why_not;
    tokenizer_ = open_tokenizer(open, why_not);
    if (tokenizer_ == nullptr) invalid("{}: text cannot be read: {}", open.config.source, why_not);
    const Vocabulary vocabulary = vocabulary_of(open);
    prompter_ =
        std::make_unique<ChatPrompter>(*tokenizer_, vocabulary, chat_template_for(o.chat_template, open, vocabulary));
    if (first != nullptr) first_tokens_ = static_cast<int64_t>(prompt(*first).ids.size());
    choose_context(o, open, r);
  });
  engine_ = std::make_unique<Engine>(*session_.runner);
}

void ChatSession::choose_context(const ChatOptions& o, const OpenModel& open, RunnerOptions& r) const {
  const int64_t asked = first_tokens_ + o.sampling.max_tokens;
  if (!many_turns_ && o.sampling.max_tokens > 0) r.context = std::min(r.context, std::max<int64_t>(asked, 2));
  const int64_t whole = r.context;
  while (o.model.context == 0 && r.context > kLeastContext && !fits_memory(o.model, open, r)) r.context /= 2;
  r.chunk = std::min(r.chunk, r.context);
  if (r.context < whole && fits_memory(o.model, open, r))
    complain(
        fmt::format("a context of {} tokens, as memory is short: {} with more of it, or with -c", r.context, whole));
}

ChatPrompt ChatSession::prompt(const std::vector<ChatMessage>& messages, const ChatPast* past) const {
  return prompter_->prompt(messages_json(messages), variables_, past);
}

ChatAnswer ChatSession::answer(const ChatPrompt& prompt, uint64_t seed,
                               const std::function<void(const std::string&)>& emit) {
  Request request;
  request.prompt.assign(prompt.ids.begin(), prompt.ids.end());
  request.sampling = sampling_;
  request.sampling.seed = seed;
  request.max_tokens = flags_.max_tokens;
  request.stop_ids = stop_ids(flags_, *session_.open, tokenizer_.get());
  request.n_tokens = tokenizer_->size();
  request.remember = many_turns_;
  request.cancel = &interrupted();

  AnswerText text(tokenizer_.get(), flags_.stop);
  Completion completion = engine_->submit(std::move(request));
  while (const auto id = completion.next()) {
    emit(text.push(*id));
    if (!text.stopped()) continue;
    completion.cancel();
    break;
  }
  emit(text.finish());
  ChatAnswer answer{.text = text.text(),
                    .ids = text.ids(),
                    .finish = "",
                    .prompt_tokens = static_cast<int64_t>(prompt.ids.size()),
                    .outcome = completion.outcome(),
                    .past = {}};
  answer.finish = text.finish_name(answer.outcome.finish);
  if (!text.stopped()) {
    answer.past = {.text = prompt.text + answer.text, .ids = prompt.ids};
    answer.past.ids.insert(answer.past.ids.end(), answer.ids.begin(), answer.ids.end());
  }
  return answer;
}

std::string speeds_text(const ChatAnswer& answer) {
  const auto rate = [](int64_t tokens, double seconds) {
    const double per_s = static_cast<double>(tokens) / std::max(1e-9, seconds);
    return per_s < 100 ? fmt::format("{:.1f} tok/s", per_s) : fmt::format("{:.0f} tok/s", per_s);
  };
  const Outcome& o = answer.outcome;
  std::string text = grouped(answer.prompt_tokens) + " tokens in";
  if (o.reused_tokens > 0) text += " (" + grouped(o.reused_tokens) + " reused)";
  if (o.prefill_s == 0) return text + ", none out";
  // The first token came out of the prompt's pass.
  return text + fmt::format(", {}; {} out, {}", rate(answer.prompt_tokens - o.reused_tokens, o.prefill_s),
                            grouped(static_cast<int64_t>(answer.ids.size())),
                            rate(std::max<int64_t>(0, o.completion_tokens - 1), o.decode_s));
}

}  // namespace godwit
