#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <new>

#include "base/error.h"

namespace godwit {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// So many iterations in a row may fail for want of memory before the engine gives up on what it has.
constexpr int kMostFailures = 16;

}  // namespace

struct Engine::Sequence {
  Request request;
  std::shared_ptr<AnswerChannel> channel;
  std::vector<TokenId> known;  // the prompt and what was chosen; room for all of it is taken at submission
  int64_t most = 0;            // tokens at which it ends
  int64_t order = 0;           // of arrival
  CacheKey key;
  SequenceState state;
  bool running = false, ended = false;
  bool suspect = false;        // was in a step that failed: computed alone until a step of it succeeds
  TokenId next = 0;            // chosen in this step
  std::optional<Error> error;  // or why none could be
  Outcome outcome;
  Clock::time_point submitted = Clock::now(), first_fed, first_chosen;

  int64_t n_known() const { return static_cast<int64_t>(known.size()); }
  int64_t n_prompt() const { return static_cast<int64_t>(request.prompt.size()); }
  int64_t pending() const { return n_known() - state.absorbed; }
  bool cancelled() const {
    return channel->cancelled() || (request.cancel != nullptr && request.cancel->load(std::memory_order_relaxed));
  }
};

Engine::Engine(Runner& runner, EngineOptions options)
    : runner_(runner),
      options_(std::move(options)),
      out_of_memory_(ErrorKind::kMemory,
                     "the system refused memory during a step; lower -c or the number of sequences"),
      thread_(start_thread([this] { loop(); })) {}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Completion Engine::submit(Request request) {
  const int64_t context = runner_.options().context, vocab = runner_.model().vocab_size();
  const auto n = static_cast<int64_t>(request.prompt.size());
  if (n == 0) fail(ErrorKind::kUsage, "the prompt has no tokens");
  if (n >= context)
    fail(ErrorKind::kUsage,
         "the prompt has {} tokens, the context {}: at least one must be free; raise -c or shorten it", n, context);
  for (TokenId id : request.prompt)
    if (id < 0 || id >= vocab) fail(ErrorKind::kUsage, "token id {}: expected 0 to {}", id, vocab - 1);
  check(request.sampling);
  auto sequence = std::make_unique<Sequence>();
  sequence->most = request.max_tokens > 0 ? std::min(context - n, request.max_tokens) + n : context;
  sequence->channel = std::make_shared<AnswerChannel>(sequence->most - n, request.on_news);
  sequence->known.reserve(static_cast<size_t>(sequence->most));
  sequence->known.assign(request.prompt.begin(), request.prompt.end());
  sequence->key = {.tenant = request.tenant, .adapter = 0, .rope = runner_.model().rope_choice(n)};
  sequence->request = std::move(request);
  Completion completion(sequence->channel);
  {
    const std::lock_guard lock(mutex_);
    sequence->order = arrivals_++;
    inbox_.push_back(std::move(sequence));
  }
  wake_.notify_one();
  return completion;
}

void Engine::loop() {
  set_float_mode();
  int failures = 0;
  for (bool on = true; on;) {
    try {
      on = take_in();
      if (on) step();
      failures = 0;
    } catch (const std::bad_alloc&) {
      if (++failures < kMostFailures) continue;
      failures = 0;
      end_all(Finish::kFailed, out_of_memory_);
    }
  }
  end_all(Finish::kCancelled, {});
}

/// Waits until there is something to do and takes in what was submitted. False: the engine is to end.
bool Engine::take_in() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return stop_ || !inbox_.empty() || !sequences_.empty(); });
  if (stop_) return false;
  sequences_.reserve(sequences_.size() + inbox_.size());
  std::move(inbox_.begin(), inbox_.end(), std::back_inserter(sequences_));
  inbox_.clear();
  return true;
}

void Engine::step() {
  const auto start = Clock::now();
  for (auto& sequence : sequences_) {
    if (sequence->cancelled()) end(*sequence, Finish::kCancelled);
  }
  forget_ended();
  const Plan next = plan();
  for (size_t i : next.refuse) {
    Sequence& s = *sequences_[i];
    end(s, Finish::kFailed,
        Error(ErrorKind::kMemory,
              fmt::format("state: {} tokens take {} bytes, the budget is {}; lower -n or -c, or raise --memory", s.most,
                          state_bytes(s.most), runner_.pool().total_bytes())));
  }
  for (size_t i : next.preempt) preempt(*sequences_[i]);
  for (size_t i : next.admit) admit(*sequences_[i]);
  forget_ended();
  // Prefixes that were resumed leave less to feed, and the refused are gone from the list.
  const bool as_planned = next.admit.empty() && next.refuse.empty();
  const std::vector<Piece> todo = pieces(as_planned ? next : plan());
  StepRecord record;
  for (const Piece& p : todo) {
    const bool decode = p.tokens == 1 && p.sequence->pending() == 1 && p.sequence->n_known() > p.sequence->n_prompt();
    (decode ? record.decode_rows : record.prompt_tokens) += p.tokens;
  }
  if (!todo.empty() && forward(todo) && options_.on_step) {
    record.seconds = seconds_between(start, Clock::now());
    options_.on_step(record);
  }
  forget_ended();
}

Plan Engine::plan() const {
  std::vector<SequenceLoad> loads;
  loads.reserve(sequences_.size());
  for (const auto& s : sequences_)
    loads.push_back(
        {.order = s->order, .fed = s->state.absorbed, .known = s->n_known(), .most = s->most, .running = s->running});
  return plan_step(loads, {.chunk = runner_.options().chunk,
                           .rows = options_.rows,
                           .snapshot_every = runner_.pool().snapshot_every(),
                           .budget_bytes = runner_.pool().total_bytes(),
                           .bytes_for = [&](int64_t tokens) { return state_bytes(tokens); }});
}

int64_t Engine::state_bytes(int64_t tokens) const {
  return StatePool::bytes_for(runner_.layout(), tokens, runner_.options().chunk);
}

void Engine::admit(Sequence& s) {
  if (s.request.remember) {
    try {
      s.state = runner_.pool().resume(s.known, s.key);
    } catch (const std::bad_alloc&) {
      // It is fed from its beginning.
    }
  }
  s.state.rope_length = s.n_prompt();
  s.running = true;
  if (s.outcome.preemptions == 0) {
    s.outcome.reused_tokens = s.state.absorbed;
    s.first_fed = Clock::now();
  }
}

/// Keeps what the sequence has absorbed for requests that begin alike, where there is room and the system gives memory.
void Engine::remember(const Sequence& s) {
  if (!s.request.remember || s.state.absorbed == 0) return;
  try {
    runner_.pool().remember(s.state, std::span(s.known).first(static_cast<size_t>(s.state.absorbed)), s.key);
  } catch (const std::bad_alloc&) {
    // Whoever comes computes it again.
  }
}

void Engine::preempt(Sequence& s) {
  // What it has absorbed waits for it among the remembered prefixes.
  remember(s);
  runner_.pool().release(s.state);
  s.running = false;
  ++s.outcome.preemptions;
}

/// What an exception of another kind is to those who asked.
Error Engine::failure(const std::exception& error) const {
  try {
    return {ErrorKind::kFailed, error.what()};
  } catch (const std::bad_alloc&) {
    return out_of_memory_;
  }
}

/// The plan's rows; but who was in a step that failed goes alone.
std::vector<Engine::Piece> Engine::pieces(const Plan& plan) const {
  std::vector<Piece> all;
  for (const Plan::Row& row : plan.rows) {
    all.push_back({sequences_[row.sequence].get(), row.tokens});
    if (all.back().sequence->suspect) return {all.back()};
  }
  return all;
}

/// Computes the pieces and chooses where all that is known has been fed. False: it failed, which was seen to.
bool Engine::forward(std::span<const Piece> pieces) {
  std::vector<Runner::Feed> feeds;  // the only thing outside that may fail: nothing has happened then
  for (const Piece& p : pieces) {
    Sequence& s = *p.sequence;
    feeds.push_back(
        {.state = &s.state,
         .tokens = std::span(s.known).subspan(static_cast<size_t>(s.state.absorbed), static_cast<size_t>(p.tokens)),
         .want = p.tokens == s.pending() ? Want::kLast : Want::kNone});
  }
  try {
    const auto chosen = [&](size_t feed, int64_t position, Tensor logits) {
      choose(*pieces[feed].sequence, {logits.f32(), static_cast<size_t>(logits.size())}, position);
    };
    runner_.step(feeds, chosen, Runner::Calls::kAtOnce);
  } catch (const std::bad_alloc&) {
    after_failure(pieces, out_of_memory_);
    return false;
  } catch (const Error& error) {
    after_failure(pieces, error);
    return false;
  } catch (const std::exception& error) {
    after_failure(pieces, failure(error));
    return false;
  }
  for (const Piece& p : pieces) after_forward(*p.sequence);
  return true;
}

/// The token that follows the last one fed; on any thread, for several sequences at once. What the sampler refuses is
/// the fault of this sequence's logits alone.
void Engine::choose(Sequence& s, std::span<const float> logits, int64_t position) {
  const Request& r = s.request;
  if (r.n_tokens > 0) logits = logits.first(std::min(logits.size(), static_cast<size_t>(r.n_tokens)));
  try {
    s.next = r.choose ? r.choose(logits, position) : sample(logits, r.sampling, s.known, position);
  } catch (const Error& error) {
    s.error = error;
  }
}

void Engine::after_forward(Sequence& s) {
  s.suspect = false;
  if (s.error) return end(s, Finish::kFailed, s.error);
  const int64_t every = runner_.pool().snapshot_every();
  const bool prompt_done = s.pending() == 0 && s.n_known() == s.n_prompt();
  if (prompt_done || (every > 0 && s.state.absorbed % every == 0)) remember(s);
  if (s.pending() > 0) return;
  if (prompt_done) s.first_chosen = Clock::now();
  if (std::binary_search(s.request.stop_ids.begin(), s.request.stop_ids.end(), s.next)) return end(s, Finish::kStop);
  s.known.push_back(s.next);
  s.channel->push(s.next);
  if (s.n_known() == s.most) end(s, Finish::kLength);
}

/// A step that failed may have left states half advanced: all are dropped and fed again, each alone for a step, so that
/// the one that cannot go on fails and the others do not.
void Engine::after_failure(std::span<const Piece> pieces, const Error& error) {
  if (pieces.size() == 1) return end(*pieces[0].sequence, Finish::kFailed, error);
  for (const Piece& p : pieces) {
    runner_.pool().release(p.sequence->state);
    p.sequence->running = false;
    p.sequence->suspect = true;
    p.sequence->error.reset();
  }
}

void Engine::end(Sequence& s, Finish finish, const std::optional<Error>& error) {
  // What was absorbed may be of use to a request that goes on from here.
  if (finish != Finish::kFailed) remember(s);
  runner_.pool().release(s.state);
  s.ended = true;
  Outcome& o = s.outcome;
  o.finish = finish;
  o.error = error;
  if (s.n_known() > s.n_prompt() || finish == Finish::kStop) {
    o.prefill_s = seconds_between(s.first_fed, s.first_chosen);
    o.ttft_s = seconds_between(s.submitted, s.first_chosen);
    o.decode_s = seconds_between(s.first_chosen, Clock::now());
  }
  s.channel->end(o);
}

void Engine::end_all(Finish finish, const std::optional<Error>& error) {
  std::vector<std::unique_ptr<Sequence>> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(inbox_);
  }
  for (auto* list : {&sequences_, &waiting}) {
    for (auto& sequence : *list)
      if (!sequence->ended) end(*sequence, finish, error);
  }
  forget_ended();
}

void Engine::forget_ended() {
  std::erase_if(sequences_, [](const auto& sequence) { return sequence->ended; });
}

}  // namespace godwit
