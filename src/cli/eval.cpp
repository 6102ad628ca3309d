// godwit eval: perplexity of a text.
#include <chrono>
#include <cmath>
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/streams.h"

namespace godwit {
namespace {

struct EvalOptions {
  ModelOptions model;
  TalkOptions talk;
  std::string text;
};

constexpr int64_t kUsualContext = 2048;

// Tokens to feed, of which the first is not scored.
std::vector<std::vector<TokenId>> windows_of(const std::vector<TokenId>& ids, int64_t context,
                                             std::optional<TokenId> bos) {
  std::vector<std::vector<TokenId>> result;
  const auto step = static_cast<size_t>(context - (bos ? 1 : 0));
  for (size_t first = 0; first < ids.size(); first += step) {
    auto& window = result.emplace_back();
    if (bos) window.push_back(*bos);
    window.insert(window.end(), ids.begin() + static_cast<std::ptrdiff_t>(first),
                  ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), first + step)));
    if (window.size() < 2) result.pop_back();
  }
  return result;
}

void eval_command(const EvalOptions& o) {
  std::unique_ptr<Tokenizer> tokenizer;
  Session session = start_session(o.model, o.talk, DType::kF32, [&](const OpenModel& open, RunnerOptions& r) {
    tokenizer = need_tokenizer(open);
    if (o.model.context == 0) r.context = std::min(r.context, kUsualContext);
    if (r.context < 2) fail(ErrorKind::kUsage, "eval: -c {}: expected at least 2", r.context);
  });
  const std::string text = read_input(o.text, uint64_t{4} << 30);
  const auto ids = tokenizer->encode(text, {.special = false, .bos = false});
  const auto bos = tokenizer->adds_bos() ? tokenizer->bos() : std::nullopt;
  Runner& runner = *session.runner;
  const auto windows = windows_of(ids, runner.options().context, bos);
  if (windows.empty())
    fail(ErrorKind::kFailed, "{}: has {} tokens, nothing to score", printable_path(o.text), ids.size());

  double nll = 0.0;
  int64_t tokens = 0, bytes = 0;
  Progress progress("eval", o.talk.quiet, false);
  for (size_t w = 0; w < windows.size(); ++w) {
    const std::vector<TokenId>& window = windows[w];
    SequenceState state;
    state.rope_length = static_cast<int64_t>(window.size());
    // The last token's logits predict nothing that is there.
    const std::span<const TokenId> fed(window.data(), window.size() - 1);
    const bool whole = runner.feed(
        state, fed, Want::kAll,
        [&](size_t, int64_t position, Tensor logits) {
          const std::span<const TokenId> next(window.data() + position + 1, static_cast<size_t>(logits.shape[0]));
          Context cx = runner.context();
          for (double p : log_probabilities(cx, logits, next)) nll -= p;
          for (TokenId id : next) bytes += static_cast<int64_t>(tokenizer->piece(id).size());
          tokens += logits.shape[0];
        },
        &interrupted());
    runner.pool().release(state);
    progress.update(static_cast<int64_t>(w + 1), static_cast<int64_t>(windows.size()));
    if (!whole) throw Interrupted("eval: interrupted");
  }
  const double perplexity = std::exp(nll / static_cast<double>(tokens));
  const double bits_per_byte = nll / std::log(2.0) / static_cast<double>(std::max<int64_t>(1, bytes));
  if (o.talk.json) {
    std::cout << dump_json({{"schema", "godwit.eval/1"},
                            {"tokens", tokens},
                            {"bytes", bytes},
                            {"nll", nll},
                            {"perplexity", perplexity},
                            {"bits_per_byte", bits_per_byte},
                            {"context", runner.options().context}})
              << '\n';
  } else {
    std::cout << fmt::format("perplexity {:.4f}, {:.4f} bits per byte ({} tokens, {} bytes, windows of {})\n",
                             perplexity, bits_per_byte, tokens, bytes, runner.options().context);
  }
}

}  // namespace

void add_eval(CLI::App& app) {
  auto o = std::make_shared<EvalOptions>();
  Command command = add_command(app, "eval",
                                "perplexity of a text, in windows of the context (default 2048)\n\n"
                                "  godwit eval model.gguf --text book.txt --context 1024");
  add_model_options(command, o->model);
  command.flag("--text", o->text, "a text file; - is stdin").required();
  add_talk_options(command, o->talk);
  command.runs([o] { eval_command(*o); });
}

}  // namespace godwit
