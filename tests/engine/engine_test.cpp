// The engine: whatever runs beside a request, however often it is preempted, and wherever its prefix came from, its
// logits are those of the request alone, bit for bit.
#include "engine/engine.h"

#include <thread>

#include "engine/engine_harness.h"

namespace godwit {
namespace {

/// A request whose tokens are drawn by the sampler, and the logits that they were drawn from.
struct Asked {
  Request request;
  std::vector<float> logits;
  std::vector<TokenId> ids;
};

// Records what the sampler sees, and samples.
void record(Asked& asked) {
  const SamplingOptions sampling = asked.request.sampling;
  asked.request.choose = [&asked, sampling](std::span<const float> logits, int64_t position) {
    asked.logits.insert(asked.logits.end(), logits.begin(), logits.end());
    return sample(logits, sampling, {}, position);
  };
}

/// The same, computed by the runner alone.
Asked alone(const OpenModel& open, RunnerOptions options, const Request& request) {
  Asked asked;
  options.context = static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
  options.state_budget = 0;
  options.sequences = 1;
  Runner runner(open, options);
  SequenceState state;
  state.rope_length = static_cast<int64_t>(request.prompt.size());
  std::vector<TokenId> pending = request.prompt;
  while (static_cast<int64_t>(asked.ids.size()) < request.max_tokens) {
    runner.feed(state, pending, Want::kLast, [&](size_t, int64_t position, Tensor l) {
      asked.logits.insert(asked.logits.end(), l.f32(), l.f32() + l.size());
      pending = {sample({l.f32(), static_cast<size_t>(l.size())}, request.sampling, {}, position)};
    });
    asked.ids.push_back(pending[0]);
  }
  runner.pool().release(state);
  return asked;
}

void take_all(Completion& completion, Asked& asked) {
  while (const auto id = completion.next()) asked.ids.push_back(*id);
}

class Engines : public testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<OpenModel> open_ = opened(oracle(std::string("tiny/") + GetParam()));
  RunnerOptions options(int64_t sequences, int64_t context) const {
    RunnerOptions o = best_level();
    o.threads = 2;
    o.chunk = 64;
    o.context = context;
    o.sequences = sequences;
    return o;
  }
};

TEST_P(Engines, ManySequencesWithTooLittleMemoryGiveWhatEachGivesAlone) {
  RunnerOptions o = options(1, 500);
  // Room for some two of the longest.
  o.state_budget = 2 * StatePool::bytes_for(open_->model->state_layout(o.cache), 500, o.chunk);
  std::vector<Asked> asked(64);
  int64_t preemptions = 0;
  {
    Runner runner(*open_, o);
    Engine engine(runner, {.rows = 16, .on_step = [&](const StepRecord&) {
                             EXPECT_LE(runner.pool().used_bytes() + runner.pool().cached_bytes(), o.state_budget);
                           }});
    std::vector<Completion> completions;
    for (size_t i = 0; i < asked.size(); ++i) {
      asked[i].request = random_request(i, *open_->model, 250, 100);
      // A third begin like another of their tenant, so that prefixes are found while others run.
      if (i >= 6 && i % 2 == 0) {
        const auto& other = asked[i - 6].request.prompt;
        asked[i].request.prompt.insert(asked[i].request.prompt.begin(), other.begin(),
                                       other.begin() + static_cast<int64_t>(other.size() / 2));
      }
      record(asked[i]);
      completions.push_back(engine.submit(asked[i].request));
    }
    int64_t reused = 0;
    for (size_t i = 0; i < asked.size(); ++i) {
      take_all(completions[i], asked[i]);
      EXPECT_EQ(completions[i].outcome().finish, Finish::kLength) << i;
      preemptions += completions[i].outcome().preemptions;
      reused += completions[i].outcome().reused_tokens;
    }
    // Where angles depend on the prompt's length, prefixes of other lengths are of no use.
    EXPECT_TRUE(reused > 0 || std::string(GetParam()) == "llama-dynamic");
    EXPECT_EQ(runner.pool().used_bytes(), 0);
    runner.pool().check({});
  }
  EXPECT_GT(preemptions, 0);
  for (size_t i = 0; i < asked.size(); ++i) {
    const Asked expected = alone(*open_, o, asked[i].request);
    EXPECT_EQ(asked[i].ids, expected.ids) << i;
    EXPECT_TRUE(same_bits(asked[i].logits, expected.logits))
        << i << ": " << first_difference(asked[i].logits, expected.logits);
  }
}

TEST_P(Engines, PrefixHitOfEveryLength) {
  Runner runner(*open_, options(4, 300));
  Engine engine(runner);
  const std::vector<TokenId> base = random_ids(1, 150, open_->model->vocab_size());
  Request first;
  first.prompt = base;
  first.max_tokens = 1;
  Completion done = engine.submit(first);
  EXPECT_TRUE(done.next());
  done.outcome();
  int64_t hits = 0;
  for (size_t length = 0; length < base.size(); ++length) {
    Asked asked;
    asked.request.prompt.assign(base.begin(), base.begin() + static_cast<int64_t>(length));
    const auto rest = random_ids(1000 + length, 9, open_->model->vocab_size());
    asked.request.prompt.insert(asked.request.prompt.end(), rest.begin(), rest.end());
    asked.request.max_tokens = 2;
    record(asked);
    Completion completion = engine.submit(asked.request);
    take_all(completion, asked);
    hits += completion.outcome().reused_tokens > 0 ? 1 : 0;
    const Asked expected = alone(*open_, options(1, 300), asked.request);
    EXPECT_TRUE(same_bits(asked.logits, expected.logits)) << "prefix of " << length;
  }
  EXPECT_GT(hits, 100);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Engines,
                         testing::Values("llama-plain-gqa", "gemma3-window", "qwen3-plain", "llama-dynamic",
                                         "qwen3moe-norm", "deepseek3-groups"));

class EngineRules : public testing::Test {
 protected:
  std::unique_ptr<OpenModel> open_ = opened(oracle("tiny/llama-plain-gqa"));
  std::unique_ptr<Runner> runner_ = make_runner(4, 128);
  std::unique_ptr<Runner> make_runner(int64_t sequences, int64_t context) {
    RunnerOptions o = best_level();
    o.chunk = 32;
    o.context = context;
    o.sequences = sequences;
    return std::make_unique<Runner>(*open_, o);
  }
};

Request plain(std::vector<TokenId> prompt, int64_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.greedy = true;
  return request;
}

TEST_F(EngineRules, EndsAtAStopIdWithoutIt) {
  Engine engine(*runner_);
  Completion free = engine.submit(plain({1, 2, 3}, 20));
  std::vector<TokenId> ids;
  while (const auto id = free.next()) ids.push_back(*id);
  ASSERT_EQ(ids.size(), 20u);
  const auto at = std::find_if(ids.begin() + 1, ids.end(), [&](TokenId id) { return id != ids[0]; });
  ASSERT_NE(at, ids.end());
  Request request = plain({1, 2, 3}, 20);
  request.stop_ids = {*at};
  Completion stopped = engine.submit(request);
  std::vector<TokenId> before;
  while (const auto id = stopped.next()) before.push_back(*id);
  EXPECT_EQ(before, std::vector<TokenId>(ids.begin(), at));
  EXPECT_EQ(stopped.outcome().finish, Finish::kStop);
}

TEST_F(EngineRules, EndsWhenTheContextIsFull) {
  Engine engine(*runner_);
  Completion completion = engine.submit(plain(random_ids(1, 100, open_->model->vocab_size()), 0));
  int64_t n = 0;
  while (completion.next()) ++n;
  EXPECT_EQ(n, 28);
  EXPECT_EQ(completion.outcome().finish, Finish::kLength);
}

TEST_F(EngineRules, RefusesWhatCannotBeAnswered) {
  Engine engine(*runner_);
  const auto refused = [&](Request request, const char* word) {
    try {
      engine.submit(std::move(request));
      ADD_FAILURE() << "taken, expected: " << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  };
  refused(plain({}, 1), "no tokens");
  refused(plain({1, 100000}, 1), "100000");
  refused(plain({-1}, 1), "-1");
  refused(plain(random_ids(1, 128, 10), 1), "context");
  Request hot = plain({1}, 1);
  hot.sampling.greedy = false;
  hot.sampling.temp = -1;
  refused(hot, "temp");
}

TEST_F(EngineRules, MoreThanTheBudgetFailsAndTheOthersGoOn) {
  RunnerOptions o = runner_->options();
  o.context = 1000;
  o.state_budget = StatePool::bytes_for(runner_->layout(), 128, o.chunk);
  Runner runner(*open_, o);
  Engine engine(runner);
  Completion large = engine.submit(plain({1, 2}, 900)), small = engine.submit(plain({1, 2}, 10));
  try {
    large.next();
    ADD_FAILURE() << "a token from what does not fit";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMemory);
  }
  int64_t n = 0;
  while (small.next()) ++n;
  EXPECT_EQ(n, 10);
}

TEST_F(EngineRules, AFailureOfOneSequenceIsItsOwn) {
  Engine engine(*runner_);
  Request bad = plain({1, 2}, 50);
  bad.choose = [n = 0](std::span<const float>, int64_t) mutable -> TokenId {
    if (++n == 5) fail(ErrorKind::kFailed, "not this one");
    return 3;
  };
  Completion failing = engine.submit(bad), good = engine.submit(plain({1, 2}, 50));
  int64_t n = 0;
  try {
    while (failing.next()) ++n;
    ADD_FAILURE() << "ended without the error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "not this one");
  }
  EXPECT_EQ(n, 4);
  EXPECT_EQ(failing.outcome().finish, Finish::kFailed);
  for (n = 0; good.next();) ++n;
  EXPECT_EQ(n, 50);
}

/// Gives a token at once, and more only when `go` is set, so that a cancel always comes in time.
Request waiting(const std::atomic<bool>& go) {
  Request request = plain({1, 2}, 100);
  request.choose = [&go, n = 0](std::span<const float>, int64_t) mutable -> TokenId {
    while (n > 0 && !go) std::this_thread::yield();
    return static_cast<TokenId>(++n);
  };
  return request;
}

TEST_F(EngineRules, CancelledByHandleByFlagAndByTheEnginesEnd) {
  std::atomic<bool> flag{false}, go{false};
  auto engine = std::make_unique<Engine>(*runner_);
  Completion by_handle = engine->submit(waiting(go));
  EXPECT_TRUE(by_handle.next());
  by_handle.cancel();
  go = true;
  while (by_handle.next()) continue;
  EXPECT_EQ(by_handle.outcome().finish, Finish::kCancelled);
  EXPECT_LE(by_handle.outcome().completion_tokens, 2);

  go = false;
  Request request = waiting(go);
  request.cancel = &flag;
  Completion by_flag = engine->submit(request);
  EXPECT_TRUE(by_flag.next());
  flag = true;
  go = true;
  while (by_flag.next()) continue;
  EXPECT_EQ(by_flag.outcome().finish, Finish::kCancelled);

  go = false;
  Completion by_end = engine->submit(waiting(go));
  EXPECT_TRUE(by_end.next());
  std::thread end([&] { engine.reset(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // it waits for the step that waits for go
  go = true;
  end.join();
  while (by_end.next()) continue;
  EXPECT_EQ(by_end.outcome().finish, Finish::kCancelled);
  EXPECT_EQ(runner_->pool().used_bytes(), 0);
}

}  // namespace
}  // namespace godwit
