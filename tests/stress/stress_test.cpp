// Many threads at one engine, for the thread sanitizer above all: a program of its own, as that build is slow.
#include <thread>

#include "engine/engine_harness.h"

namespace godwit {
namespace {

// GODWIT_STRESS_SECONDS: how long.
TEST(Stress, ManyProducersSubmitAndCancelAtRandom) {
  const auto open = opened(oracle("tiny/llama-plain-gqa"));
  RunnerOptions options = best_level();
  options.threads = 2;
  options.chunk = 32;
  options.context = 128;
  options.sequences = 4;
  Runner runner(*open, options);
  const char* asked = std::getenv("GODWIT_STRESS_SECONDS");
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(asked != nullptr ? std::atoi(asked) : 1);
  const Model& model = *open->model;
  std::atomic<int64_t> finished{0}, cancelled{0};
  {
    Engine engine(runner, {.rows = 8, .on_step = {}});
    std::vector<std::thread> producers;
    for (uint64_t p = 0; p < 16; ++p) {
      producers.emplace_back([&, p] {
        for (uint64_t i = 0; i == 0 || std::chrono::steady_clock::now() < until; ++i) {
          Completion completion = engine.submit(random_request(p * 1000003 + i, model, 60, 30));
          const uint64_t takes = random_bits(p, 7, i) % 60;
          for (uint64_t n = 0; n < takes && completion.next(); ++n) continue;
          completion.cancel();
          ++(completion.outcome().finish == Finish::kCancelled ? cancelled : finished);
        }
      });
    }
    for (std::thread& producer : producers) producer.join();
  }
  EXPECT_GT(finished + cancelled, 15);
  EXPECT_EQ(runner.pool().used_bytes(), 0);
  runner.pool().check({});
}

}  // namespace
}  // namespace godwit
