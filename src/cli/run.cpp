// godwit run: plain continuation of a text.
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/prompts.h"
#include "cli/session.h"
#include "cli/streams.h"
#include "engine/engine.h"

namespace godwit {
namespace {

struct RunOptions {
  ModelOptions model;
  TalkOptions talk;
  SamplingFlags sampling;
  std::string prompt, file, ids;
  PromptsOptions batch;
};

std::string prompt_text(const RunOptions& o) {
  if (o.file.empty()) return o.prompt;
  return read_input(o.file, uint64_t{1} << 30);
}

std::vector<TokenId> prompt_ids(const RunOptions& o, const OpenModel& open, const Tokenizer* tokenizer) {
  if (!o.ids.empty()) {
    const auto ids = parse_integers(o.ids, "--ids", 0, open.model->vocab_size() - 1);
    return {ids.begin(), ids.end()};
  }
  return tokenizer->encode(prompt_text(o));
}

void report(const RunOptions& o, const Session& session, const AnswerText& answer, size_t prompt_tokens,
            const Outcome& outcome) {
  const char* finish = answer.finish_name(outcome.finish);
  if (o.talk.json) {
    std::cout << answer_json("godwit.run/1", {answer.text(), answer.ids(), prompt_tokens, finish, session.load_s},
                             outcome)
              << '\n';
    return;
  }
  std::cout << '\n';
  flush_output();
  if (o.talk.quiet) return;
  if (outcome.prefill_s == 0) {
    say("load {:.2f} s, finish: {} before the first token\n", session.load_s, finish);
    return;
  }
  // The first token came out of the prompt's pass.
  const auto decoded = static_cast<double>(std::max<int64_t>(0, outcome.completion_tokens - 1));
  say("load {:.2f} s, prompt {} tokens at {:.1f} tok/s, {} tokens at {:.1f} tok/s, finish: {}\n", session.load_s,
      prompt_tokens, static_cast<double>(prompt_tokens) / std::max(1e-9, outcome.prefill_s), answer.ids().size(),
      decoded / std::max(1e-9, outcome.decode_s), finish);
}

void run_one(const RunOptions& o) {
  if (o.ids.empty() && o.prompt.empty() && o.file.empty())
    fail(ErrorKind::kUsage,
         "run: nothing to continue; give -p TEXT, -f FILE (- is stdin), --ids 1,2,3 or --prompts FILE.jsonl");
  if ((o.ids.empty() ? 0 : 1) + (o.prompt.empty() ? 0 : 1) + (o.file.empty() ? 0 : 1) > 1)
    fail(ErrorKind::kUsage, "run: -p, -f and --ids all say what to continue; give one");
  if (!o.batch.output.empty() || o.batch.resume) fail(ErrorKind::kUsage, "run: -o and --resume go with --prompts");
  std::unique_ptr<Tokenizer> tokenizer;
  Request request;
  Session session = start_session(o.model, o.talk, DType::kF16, [&](const OpenModel& open, RunnerOptions& r) {
    request.sampling = sampling_from(o.sampling, sampling_defaults_of(open), open.model->vocab_size());
    std::string why_not;
    tokenizer = o.ids.empty() ? need_tokenizer(open) : open_tokenizer(open, why_not);
    request.prompt = prompt_ids(o, open, tokenizer.get());
    // State for what can be used, not for all that the model could.
    const auto asked = static_cast<int64_t>(request.prompt.size()) + o.sampling.max_tokens;
    if (o.sampling.max_tokens > 0) r.context = std::min(r.context, std::max<int64_t>(asked, 2));
    r.chunk = std::min(r.chunk, r.context);
  });
  request.max_tokens = o.sampling.max_tokens;
  request.stop_ids = stop_ids(o.sampling, *session.open, tokenizer.get());
  request.n_tokens = tokenizer != nullptr ? tokenizer->size() : 0;
  request.remember = false;  // nobody comes after
  request.cancel = &interrupted();
  const size_t prompt_tokens = request.prompt.size();

  AnswerText answer(tokenizer.get(), o.sampling.stop);
  Engine engine(*session.runner);
  Completion completion = engine.submit(std::move(request));
  const auto emit = [&](const std::string& piece) {
    if (o.talk.json || piece.empty()) return;
    std::cout << piece;
    flush_output();
  };
  while (const auto id = completion.next()) {
    emit(answer.push(*id));
    if (!answer.stopped()) continue;
    completion.cancel();
    break;
  }
  emit(answer.finish());
  const Outcome& outcome = completion.outcome();
  report(o, session, answer, prompt_tokens, outcome);
  if (outcome.finish == Finish::kCancelled && interrupted()) throw Interrupted("run: interrupted");
}

void run_command(const RunOptions& o) {
  if (o.batch.file.empty()) return run_one(o);
  if (!o.ids.empty() || !o.prompt.empty() || !o.file.empty())
    fail(ErrorKind::kUsage, "run: --prompts already says what to continue; leave out -p, -f and --ids");
  run_prompts(o.model, o.talk, o.sampling, o.batch);
  if (interrupted()) throw Interrupted("run: interrupted");
}

}  // namespace

void add_run(CLI::App& app) {
  auto o = std::make_shared<RunOptions>();
  Command command =
      add_command(app, "run",
                  "continue a text: the continuation on stdout, speeds on stderr\n\n"
                  "  godwit run model.gguf -p 'The capital of France is' -n 32 --greedy\n"
                  "  godwit run org/name:Q4_K_M -f story.txt --temp 0.8 --seed 7\n"
                  "  godwit run config.json --random 1 --ids 1,2,3 -n 16 --json\n"
                  "  godwit run model.gguf --prompts in.jsonl -o out.jsonl --parallel 16 -n 64\n\n"
                  "--prompts: each line {\"prompt\": TEXT} or {\"ids\": [...]}, and as wanted id, max_tokens,\n"
                  "temperature, top_k, top_p, min_p, seed, stop; a line of output for each, in order.");
  add_model_options(command, o->model);
  command.flag("-p,--prompt", o->prompt, "the text to continue");
  command.flag("-f,--file", o->file, "a file with the text; - is stdin");
  command.flag("--ids", o->ids, "token ids instead of text: 1,2,3");
  command.flag("--prompts", o->batch.file, "a file with a request a line (JSONL); - is stdin");
  command.flag("--parallel", o->batch.parallel, "with --prompts: sequences at once (default 32)").range(1, 4096);
  command.flag("-o,--output", o->batch.output, "with --prompts: where answers go (default stdout)");
  command.flag("--resume", o->batch.resume, "with --prompts: go on after the last line of OUTPUT");
  add_sampling_options(command, o->sampling);
  add_talk_options(command, o->talk);
  command.runs([o] { run_command(*o); });
}

}  // namespace godwit
