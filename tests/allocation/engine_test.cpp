// Steps in which allocations fail: each request gives exactly what it gives alone, or fails for want of memory; nobody
// waits for ever, no page is lost, and who comes later is answered.
#include "engine/engine.h"

#include <thread>

#include "allocation/failing_new.h"
#include "engine/harness.h"
#include "engine/toy_mixers.h"

namespace godwit {
namespace {

constexpr int64_t kAnswer = 8, kContext = 160, kForGood = INT32_MAX;

/// A request whose tokens and logits are noted by position, in room that is there before.
struct Asked {
  Request request;
  std::vector<TokenId> known;  // the prompt, and what was chosen
  std::vector<float> logits;   // [context, vocab]
  std::vector<TokenId> ids;    // what came
  std::string end;             // "done", "memory", or another error

  TokenId choose(std::span<const float> from, int64_t position) {
    const auto next = static_cast<size_t>(position + 1);
    std::copy(from.begin(), from.end(), logits.begin() + static_cast<std::ptrdiff_t>(next * from.size()));
    known[next] = sample(from, request.sampling, std::span(known).first(next), position);
    return known[next];
  }
};

class Scene {
 public:
  explicit Scene(std::unique_ptr<OpenModel> open) : open_(std::move(open)) {
    for (uint64_t i = 0; i < 4; ++i) expected_.push_back(alone(i));
  }

  Request request(uint64_t i) const {
    constexpr int64_t kPrompts[] = {3, 60, 90, 75};
    Request r;
    r.prompt = random_ids(1, kPrompts[i], open_->model->vocab_size());  // one begins as the other
    if (i == 3) r.prompt[40] = (r.prompt[40] + 1) % 50;
    r.max_tokens = kAnswer;
    r.sampling.seed = i;
    if (i == 1) r.sampling.top_k = 10;
    if (i == 2) r.sampling.repeat_penalty = 1.2;
    return r;
  }

  /// Four requests at once; the n-th allocation from there on and `how_many` in all fail. Then one that is answered.
  /// `drop_engine`: the engine ends while allocations fail.
  Allocations run(int64_t n, int64_t how_many, bool drop_engine = false) {
    RunnerOptions o = options();
    // Not quite room for all, so that some are preempted.
    o.state_budget = StatePool::bytes_for(open_->model->state_layout(o.cache), 300, o.chunk);
    Runner runner(*open_, o);
    auto engine = std::make_unique<Engine>(runner, EngineOptions{.rows = 3, .on_step = {}});
    std::atomic<bool> go{false};
    Asked gate{plain(5), {}, {}, {}, {}};
    gate.request.choose = [&](std::span<const float>, int64_t) -> TokenId {
      while (!go) std::this_thread::yield();
      fail_allocations(n, how_many);
      return 1;
    };
    Completion gate_done = engine->submit(gate.request);
    std::vector<Asked> asked;
    for (uint64_t i = 0; i < 4; ++i) asked.push_back(prepared(i));
    std::vector<Completion> completions;
    for (Asked& a : asked) {
      a.request.choose = [&a](std::span<const float> logits, int64_t position) { return a.choose(logits, position); };
      completions.push_back(engine->submit(a.request));
    }
    Allocations seen;
    {
      const Spared spared;
      go = true;
      take(gate_done, gate);
      if (drop_engine) engine.reset();
      for (size_t i = 0; i < 4; ++i) take(completions[i], asked[i]);
      seen = stop_failing();
    }
    EXPECT_TRUE(gate.end == "done" || gate.end == "memory") << n << ": " << gate.end;
    for (size_t i = 0; i < 4; ++i)
      check(asked[i], expected_[i], fmt::format("allocation {}, request {}", n, i), drop_engine);
    if (!drop_engine) {
      Asked later = prepared(2);
      later.request.choose = [&](std::span<const float> l, int64_t position) { return later.choose(l, position); };
      Completion done = engine->submit(later.request);
      take(done, later);
      EXPECT_EQ(later.end, "done") << n;
      check(later, expected_[2], fmt::format("after allocation {}", n), false);
      engine.reset();
    }
    EXPECT_EQ(runner.pool().used_bytes(), 0) << n;
    runner.pool().check({});
    return seen;
  }

  int64_t done() const { return done_; }
  int64_t failed() const { return failed_; }

 private:
  RunnerOptions options() const {
    RunnerOptions o = best_level();
    o.chunk = 48;
    o.context = kContext;
    return o;
  }
  static Request plain(TokenId id) {
    Request r;
    r.prompt = {id};
    r.max_tokens = 1;
    return r;
  }
  Asked prepared(uint64_t i) const {
    Asked a{request(i), {}, {}, {}, {}};
    a.known = a.request.prompt;
    a.known.resize(static_cast<size_t>(kContext + 1));
    a.logits.resize(static_cast<size_t>((kContext + 1) * open_->model->vocab_size()));
    a.ids.reserve(kAnswer);
    return a;
  }
  Asked alone(uint64_t i) const {
    Asked a = prepared(i);
    Runner runner(*open_, options());
    SequenceState state;
    state.rope_length = static_cast<int64_t>(a.request.prompt.size());
    std::vector<TokenId> pending = a.request.prompt;
    while (static_cast<int64_t>(a.ids.size()) < kAnswer) {
      runner.feed(state, pending, Want::kLast, [&](size_t, int64_t position, Tensor l) {
        a.ids.push_back(a.choose({l.f32(), static_cast<size_t>(l.size())}, position));
      });
      pending = {a.ids.back()};
    }
    runner.pool().release(state);
    return a;
  }
  static void take(Completion& completion, Asked& a) {
    try {
      while (const auto id = completion.next()) a.ids.push_back(*id);
      a.end = completion.outcome().finish == Finish::kCancelled ? "cancelled" : "done";
    } catch (const Error& error) {
      a.end = error.kind() == ErrorKind::kMemory ? "memory" : error.what();
    }
  }
  void check(const Asked& got, const Asked& expected, const std::string& where, bool may_be_cancelled) {
    EXPECT_TRUE(got.end == "done" || got.end == "memory" || (may_be_cancelled && got.end == "cancelled"))
        << where << ": " << got.end;
    (got.end == "done" ? done_ : failed_) += 1;
    if (got.end == "done") {
      EXPECT_EQ(got.ids.size(), expected.ids.size()) << where;
      EXPECT_TRUE(same_bits(got.logits, expected.logits))
          << where << ": " << first_difference(got.logits, expected.logits);
    }
    // Also what came before it failed.
    ASSERT_LE(got.ids.size(), expected.ids.size()) << where;
    EXPECT_TRUE(std::equal(got.ids.begin(), got.ids.end(), expected.ids.begin())) << where;
  }

  std::unique_ptr<OpenModel> open_;
  std::vector<Asked> expected_;
  int64_t done_ = 0, failed_ = 0;
};

class FailingStep : public testing::TestWithParam<const char*> {
 protected:
  Scene scene_{std::string(GetParam()) == "toy" ? toy_stack(DType::kQ8_0)
                                                : opened(oracle(std::string("tiny/") + GetParam()))};

  /// For n = first, first + stride, ... until that is more than there are in a run.
  void fail_each(int64_t stride, int64_t how_many, bool drop_engine = false) {
    stride *= kSparse;
    int64_t n = 1;
    while (scene_.run(n, how_many, drop_engine).counted >= n && !HasFailure()) n += stride;
    EXPECT_GT(n, drop_engine ? 1 : 100);
    if (how_many == kForGood) {
      EXPECT_GT(scene_.failed(), 4);
    }
    RecordProperty("allocations", static_cast<int>(n));
    RecordProperty("done", static_cast<int>(scene_.done()));
    RecordProperty("failed", static_cast<int>(scene_.failed()));
    std::printf("%ld allocations, %ld done, %ld failed\n", n, scene_.done(), scene_.failed());
  }
};

TEST_P(FailingStep, Once) { fail_each(std::string(GetParam()) == "toy" ? 11 : 1, 1); }
TEST_P(FailingStep, AFewTimes) {
  for (int64_t how_many : {2, 9, 60}) fail_each(37, how_many);
}
TEST_P(FailingStep, ForGood) { fail_each(11, kForGood); }
TEST_P(FailingStep, WhileTheEngineEnds) {
  fail_each(3, kForGood, true);
  fail_each(3, 5, true);
}

INSTANTIATE_TEST_SUITE_P(Models, FailingStep, testing::Values("llama-plain-gqa", "gemma3-window", "toy"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(FailingSubmit, LeavesTheEngineAsItWas) {
  const auto open = opened(oracle("tiny/llama-plain-gqa"));
  RunnerOptions o = best_level();
  o.chunk = 16;
  o.context = 32;
  Runner runner(*open, o);
  Engine engine(runner);
  Request request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 2;
  request.tenant = "a name that is too long for the string itself";
  int failures = 0;
  for (bool failed = true; failed; failures += failed ? 1 : 0) {
    Request copy = request;
    failed = false;
    std::optional<Completion> completion;
    fail_allocations(failures + 1);
    try {
      completion = engine.submit(std::move(copy));
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    stop_failing();
    if (completion) {
      while (completion->next()) continue;
    }
  }
  EXPECT_GT(failures, 3);
}

}  // namespace
}  // namespace godwit
