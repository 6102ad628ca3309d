// Completion: one request's answer on its way from the engine's thread to whoever asked.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/error.h"
#include "ops/batch.h"

namespace godwit {

enum class Finish { kStop, kLength, kCancelled, kFailed };

/// How a request ended and what it took.
struct Outcome {
  Finish finish = Finish::kCancelled;
  int64_t completion_tokens = 0;
  int64_t reused_tokens = 0;  // of the prompt, taken from a remembered prefix
  int64_t preemptions = 0;
  double prefill_s = 0;        // from the first step that fed it to its first token
  double ttft_s = 0;           // from submission to its first token
  double decode_s = 0;         // from its first token to its end
  std::optional<Error> error;  // when finish is kFailed
};

/// The answer as both sides see it. Room for all tokens is taken at the start, so pushing needs no memory.
class AnswerChannel {
 public:
  AnswerChannel(int64_t most_tokens, std::function<void()> on_news) : on_news_(std::move(on_news)) {
    ids_.reserve(static_cast<size_t>(most_tokens));
  }

  // The engine's side.
  void push(TokenId id);
  void end(Outcome outcome);
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // The asker's side.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  std::optional<TokenId> next();
  bool take(std::vector<TokenId>& ids);
  const Outcome& outcome();

 private:
  void tell();

  const std::function<void()> on_news_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::vector<TokenId> ids_;
  size_t taken_ = 0;
  bool ended_ = false;
  Outcome outcome_;
  std::atomic<bool> cancelled_{false};
};

/// The asker's handle; for one thread. Letting go of it cancels the request.
class Completion {
 public:
  explicit Completion(std::shared_ptr<AnswerChannel> channel) : channel_(std::move(channel)) {}
  ~Completion() {
    if (channel_) channel_->cancel();
  }
  Completion(Completion&&) = default;
  Completion& operator=(Completion&& other) {
    std::swap(channel_, other.channel_);
    return *this;
  }

  /// The next token, waiting for it; nullopt once all were given and the request has ended. The id that ended it is not
  /// among them. Throws the Error with which it failed.
  std::optional<TokenId> next() { return channel_->next(); }
  /// Without waiting: appends the tokens that have come. True once the request has ended and all were given.
  bool take(std::vector<TokenId>& ids) { return channel_->take(ids); }
  /// The engine drops the sequence before its next step; next() then ends.
  void cancel() { channel_->cancel(); }
  /// Waits for the end.
  const Outcome& outcome() { return channel_->outcome(); }

 private:
  std::shared_ptr<AnswerChannel> channel_;
};

}  // namespace godwit
