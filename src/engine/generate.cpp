#include "engine/generate.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace godwit {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool cancelled(const GenerateOptions& o) { return o.cancel != nullptr && o.cancel->load(); }

}  // namespace

Generation generate(Runner& runner, std::span<const TokenId> prompt, const GenerateOptions& o,
                    const std::function<bool(TokenId)>& on_token) {
  const int64_t context = runner.options().context, vocab = runner.model().vocab_size();
  if (prompt.empty()) fail(ErrorKind::kUsage, "the prompt has no tokens; give -p TEXT or --ids 1,2,3");
  if (static_cast<int64_t>(prompt.size()) >= context)
    fail(ErrorKind::kUsage,
         "the prompt has {} tokens, the context {}: at least one must be free; raise -c or shorten it", prompt.size(),
         context);
  for (TokenId id : prompt)
    if (id < 0 || id >= vocab) fail(ErrorKind::kUsage, "token id {}: expected 0 to {}", id, vocab - 1);

  Generation result;
  std::vector<TokenId> history(prompt.begin(), prompt.end());
  SequenceState state;
  state.rope_length = static_cast<int64_t>(prompt.size());
  TokenId next = 0;
  const Runner::Sink choose = [&](size_t, int64_t position, Tensor logits) {
    const int64_t n = o.n_tokens > 0 ? std::min(o.n_tokens, vocab) : vocab;
    next = sample({logits.f32(), static_cast<size_t>(n)}, o.sampling, history, position);
  };
  const auto start = std::chrono::steady_clock::now();
  if (!runner.feed(state, prompt, Want::kLast, choose, o.cancel)) {
    result.finish = Finish::kCancelled;
  } else {
    result.prefill_s = result.ttft_s = seconds_since(start);
    const auto decode_start = std::chrono::steady_clock::now();
    while (true) {
      if (std::binary_search(o.stop_ids.begin(), o.stop_ids.end(), next)) {
        result.finish = Finish::kStop;
        break;
      }
      result.ids.push_back(next);
      history.push_back(next);
      if (!on_token(next)) {
        result.finish = Finish::kStop;
        break;
      }
      if (static_cast<int64_t>(result.ids.size()) == o.max_tokens || static_cast<int64_t>(history.size()) >= context)
        break;
      if (!runner.feed(state, {&history.back(), 1}, Want::kLast, choose, o.cancel) || cancelled(o)) {
        result.finish = Finish::kCancelled;
        break;
      }
    }
    result.decode_s = seconds_since(decode_start);
  }
  runner.pool().release(state);
  return result;
}

}  // namespace godwit
