// Engine: runs many sequences on one thread of its own. Its loop: take in what was submitted, plan, forward, choose,
// send. It knows tokens and states; text, JSON and sockets are its callers' business.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "engine/completion.h"
#include "engine/runner.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"

namespace godwit {

struct Request {
  std::vector<TokenId> prompt;
  SamplingOptions sampling;
  int64_t max_tokens = 0;                     // 0: until the context is full
  std::vector<TokenId> stop_ids = {};         // ascending; the one that ends the answer is not part of it
  int64_t n_tokens = 0;                       // ids the tokenizer knows; those beyond are never chosen; 0: all
  std::string tenant = {};                    // prefixes are shared within a tenant only
  bool remember = true;                       // whether prefixes are taken from, and kept for, other requests
  const std::atomic<bool>* cancel = nullptr;  // also cancels, when it becomes true
  /// Called on the engine's thread after each token and at the end: for those who wait for several answers at once.
  /// Must not throw.
  std::function<void()> on_news = {};
  /// Chooses instead of the sampler when not empty: gets the logits and the position of the last token. Called on any
  /// thread, while others choose for their requests.
  std::function<TokenId(std::span<const float> logits, int64_t position)> choose = {};
};

/// One step, for those who measure.
struct StepRecord {
  int64_t prompt_tokens = 0;  // of a prompt, or fed again after a preemption
  int64_t decode_rows = 0;    // sequences that were fed the token they chose last
  double seconds = 0;         // whole: planning, forward, choosing
};

struct EngineOptions {
  int64_t rows = 64;  // most sequences in a step
  std::function<void(const StepRecord&)> on_step = {};
};

class Engine {
 public:
  /// The runner and its weights must outlive the engine; while it lives nobody else uses the runner. Throws Error
  /// (kMemory) when the system refuses the thread.
  explicit Engine(Runner& runner, EngineOptions options = {});
  /// Cancels what is not finished.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// From any thread. Throws Error (kUsage) when the prompt is empty, has an unknown id, or fills the context, or an
  /// option of the sampler is out of range. What does not fit the state's budget even alone fails with kMemory, and so
  /// does what was computed, or waited, when the system refused memory to the engine.
  Completion submit(Request request);

 private:
  struct Sequence;
  struct Piece {  // what a sequence is fed in a step
    Sequence* sequence;
    int64_t tokens;
  };

  void loop();
  bool take_in();
  void step();
  Plan plan() const;
  int64_t state_bytes(int64_t tokens) const;
  void admit(Sequence& sequence);
  void remember(const Sequence& sequence);
  void preempt(Sequence& sequence);
  std::vector<Piece> pieces(const Plan& plan) const;
  bool forward(std::span<const Piece> pieces);
  Error failure(const std::exception& error) const;
  void after_forward(Sequence& sequence);
  void after_failure(std::span<const Piece> pieces, const Error& error);
  void choose(Sequence& sequence, std::span<const float> logits, int64_t position);
  void end(Sequence& sequence, Finish finish, const std::optional<Error>& error = {});
  void end_all(Finish finish, const std::optional<Error>& error);
  void forget_ended();

  Runner& runner_;
  EngineOptions options_;
  const Error out_of_memory_;  // made beforehand: making it takes memory, copying it does not
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Sequence>> inbox_;      // under mutex_
  int64_t arrivals_ = 0;                              // under mutex_
  bool stop_ = false;                                 // under mutex_
  std::vector<std::unique_ptr<Sequence>> sequences_;  // the engine's thread only, as all below
  std::thread thread_;
};

}  // namespace godwit
