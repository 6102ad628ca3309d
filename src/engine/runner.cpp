#include "engine/runner.h"

#include <algorithm>
#include <exception>
#include <mutex>

#include "base/error.h"

namespace godwit {
namespace {

// Of the largest step: all its logits are wanted, or the last of each sequence.
int64_t work_bytes(const OpenModel& open, const StateLayout& layout, const RunnerOptions& o, bool all_logits) {
  const int64_t rows = std::min(o.sequences, o.chunk);
  const int64_t past = std::max<int64_t>(0, o.context - o.chunk);
  return dry_pass(*open.model, layout, o.chunk, rows, past, all_logits ? o.chunk : rows, o.exact) + 4096;
}

int64_t state_bytes(const StateLayout& layout, const RunnerOptions& o) {
  if (o.state_budget > 0) return o.state_budget;
  return StatePool::bytes_for(layout, o.context, o.chunk) * o.sequences;
}

}  // namespace

Fit fit(const OpenModel& open, const RunnerOptions& options) {
  const StateLayout layout = open.model->state_layout(options.cache);
  return {.weights = open.weights->bytes(),
          .state = state_bytes(layout, options),
          .work = work_bytes(open, layout, options, false),
          .mapped = open.weights->mapped_bytes()};
}

Runner::Runner(const OpenModel& open, const RunnerOptions& options, std::optional<Kernels> kernels)
    : open_(open),
      options_(options),
      layout_(open.model->state_layout(options.cache)),
      threads_(options.threads),
      kernels_(kernels ? *kernels : kernels_at(options.level)),
      arena_(work_bytes(open, layout_, options, true)),
      state_(layout_, state_bytes(layout_, options), options.chunk) {}

Context Runner::context() { return {.arena = arena_, .kernels = kernels_, .pool = threads_, .exact = options_.exact}; }

bool Runner::feed(SequenceState& state, std::span<const TokenId> tokens, Want want, const Sink& sink,
                  const std::atomic<bool>* stop) {
  while (!tokens.empty()) {
    if (stop != nullptr && stop->load()) return false;
    const size_t n = std::min(tokens.size(), static_cast<size_t>(options_.chunk));
    Feed one{&state, tokens.first(n), want};
    tokens = tokens.subspan(n);
    if (want == Want::kLast && !tokens.empty()) one.want = Want::kNone;
    step({&one, 1}, sink);
  }
  return true;
}

void Runner::hand_out(std::span<const Run> runs, Tensor logits, const Sink& sink, Calls calls) {
  const auto give = [&](const Run& r) { sink(r.feed, r.position, logits.slice(r.first, r.n)); };
  if (calls == Calls::kInOrder || runs.size() == 1) {
    for (const Run& r : runs) give(r);
    return;
  }
  std::mutex mutex;
  std::exception_ptr error;  // the pool's tasks must not throw
  threads_.parallel(static_cast<int64_t>(runs.size()), [&](int64_t i) {
    try {
      give(runs[static_cast<size_t>(i)]);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

void Runner::step(std::span<const Feed> feeds, const Sink& sink, Calls calls) {
  Batch batch;
  std::vector<std::pair<size_t, int64_t>> origin;  // of each wanted token: feed, position
  for (size_t f = 0; f < feeds.size(); ++f) {
    SequenceState& state = *feeds[f].state;
    const auto count = static_cast<int32_t>(feeds[f].tokens.size());
    if (!state_.reserve(state, count))
      fail(ErrorKind::kMemory, "state: no room for {} tokens after {}; lower -c or raise --memory", count,
           state.absorbed);
    const auto first = static_cast<int32_t>(batch.tokens.size());
    batch.rows.push_back({.first = first, .count = count, .past = state.absorbed, .state = &state});
    batch.tokens.insert(batch.tokens.end(), feeds[f].tokens.begin(), feeds[f].tokens.end());
    const Want want = feeds[f].want;
    for (int32_t i = want == Want::kAll ? 0 : count - 1; want != Want::kNone && i < count; ++i) {
      batch.wanted.push_back(first + i);
      origin.emplace_back(f, state.absorbed + i);
    }
  }
  Context cx = context();
  cx.expert_use = &expert_use_;
  std::vector<Run> runs;
  runs.reserve(origin.size());
  open_.model->forward(cx, batch, layout_, [&](int64_t first, Tensor logits) {
    // A slice may span several sequences: hand it out by runs of one.
    runs.clear();
    for (int64_t i = 0; i < logits.shape[0]; ++i) {
      const auto& [f, position] = origin[static_cast<size_t>(first + i)];
      if (runs.empty() || runs.back().feed != f) runs.push_back({f, position, i, 0});
      ++runs.back().n;
    }
    if (sink) hand_out(runs, logits, sink, calls);
  });
  for (const Feed& f : feeds) f.state->advance(static_cast<int64_t>(f.tokens.size()));
}

}  // namespace godwit
