// godwit run: plain continuation of a text.
#include <unistd.h>

#include <fstream>
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "engine/generate.h"
#include "text/detokenizer.h"
#include "text/stop.h"

namespace godwit {
namespace {

struct RunOptions {
  ModelOptions model;
  TalkOptions talk;
  SamplingFlags sampling;
  std::string prompt, file, ids;
};

std::string prompt_text(const RunOptions& o) {
  if (o.file.empty()) return o.prompt;
  if (o.file == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  return read_text(o.file, uint64_t{1} << 30);
}

std::vector<TokenId> prompt_ids(const RunOptions& o, const OpenModel& open, const Tokenizer* tokenizer) {
  if (!o.ids.empty()) {
    const auto ids = parse_integers(o.ids, "--ids", 0, open.model->vocab_size() - 1);
    return {ids.begin(), ids.end()};
  }
  return tokenizer->encode(prompt_text(o));
}

std::vector<TokenId> stop_ids(const RunOptions& o, const OpenModel& open, const Tokenizer* tokenizer) {
  if (o.sampling.ignore_eos) return {};
  if (tokenizer != nullptr) return tokenizer->stop_ids();
  std::vector<TokenId> ids;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (open.config.has(key)) ids.push_back(static_cast<TokenId>(open.config.integer(key)));
  std::sort(ids.begin(), ids.end());
  return ids;
}

const char* finish_name(Finish finish) {
  return finish == Finish::kStop ? "stop" : finish == Finish::kLength ? "length" : "cancelled";
}

void report(const RunOptions& o, const Session& session, const std::string& text, size_t prompt_tokens,
            const Generation& g) {
  if (o.talk.json) {
    std::cout << dump_json({{"schema", "godwit.run/1"},
                            {"text", text},
                            {"ids", g.ids},
                            {"prompt_tokens", prompt_tokens},
                            {"completion_tokens", g.ids.size()},
                            {"finish_reason", finish_name(g.finish)},
                            {"timing",
                             {{"load_s", session.load_s},
                              {"prefill_s", g.prefill_s},
                              {"decode_s", g.decode_s},
                              {"ttft_s", g.ttft_s}}}})
              << '\n';
    return;
  }
  std::cout << std::endl;
  if (o.talk.quiet) return;
  // The first token came out of the prompt's pass.
  const auto decoded = static_cast<double>(g.ids.empty() ? 0 : g.ids.size() - 1);
  fmt::print(stderr, "load {:.2f} s, prompt {} tokens at {:.1f} tok/s, {} tokens at {:.1f} tok/s, finish: {}\n",
             session.load_s, prompt_tokens, static_cast<double>(prompt_tokens) / std::max(1e-9, g.prefill_s),
             g.ids.size(), decoded / std::max(1e-9, g.decode_s), finish_name(g.finish));
}

void run_command(const RunOptions& o) {
  if (o.ids.empty() && o.prompt.empty() && o.file.empty())
    fail(ErrorKind::kUsage, "run: nothing to continue; give -p TEXT, -f FILE (- is stdin) or --ids 1,2,3");
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<TokenId> prompt;
  Session session = start_session(o.model, o.talk, DType::kF16, [&](const OpenModel& open, RunnerOptions& r) {
    std::string why_not;
    tokenizer = o.ids.empty() ? need_tokenizer(open) : open_tokenizer(open, why_not);
    prompt = prompt_ids(o, open, tokenizer.get());
    // State for what can be used, not for all that the model could.
    const auto asked = static_cast<int64_t>(prompt.size()) + o.sampling.max_tokens;
    if (o.sampling.max_tokens > 0) r.context = std::min(r.context, std::max<int64_t>(asked, 2));
    r.chunk = std::min(r.chunk, r.context);
  });
  GenerateOptions options;
  options.sampling = sampling_from(o.sampling, session.open->model->vocab_size());
  options.max_tokens = o.sampling.max_tokens;
  options.stop_ids = stop_ids(o, *session.open, tokenizer.get());
  options.n_tokens = tokenizer != nullptr ? tokenizer->size() : 0;
  options.cancel = &interrupted();

  std::string text;
  StopMatcher stops(o.sampling.stop);
  std::optional<Detokenizer> detokenizer;
  if (tokenizer != nullptr) detokenizer.emplace(*tokenizer);
  const auto emit = [&](const std::string& piece) {
    text += piece;
    if (!o.talk.json) std::cout << piece << std::flush;
  };
  const Generation g = generate(*session.runner, prompt, options, [&](TokenId id) {
    if (!detokenizer) return true;
    emit(stops.push(detokenizer->push(id)));
    return !stops.stopped();
  });
  if (detokenizer && !stops.stopped()) emit(stops.push(detokenizer->flush()) + stops.flush());
  report(o, session, text, prompt.size(), g);
}

}  // namespace

void add_run(CLI::App& app) {
  auto o = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run",
                                         "continue a text: the continuation on stdout, speeds on stderr\n\n"
                                         "  godwit run model.gguf -p 'The capital of France is' -n 32 --greedy\n"
                                         "  godwit run org/name:Q4_K_M -f story.txt --temp 0.8 --seed 7\n"
                                         "  godwit run config.json --random 1 --ids 1,2,3 -n 16 --json");
  add_model_options(*command, o->model);
  command->add_option("-p,--prompt", o->prompt, "the text to continue");
  command->add_option("-f,--file", o->file, "a file with the text; - is stdin");
  command->add_option("--ids", o->ids, "token ids instead of text: 1,2,3");
  add_sampling_options(*command, o->sampling);
  add_talk_options(*command, o->talk);
  command->callback([o] { run_command(*o); });
}

}  // namespace godwit
