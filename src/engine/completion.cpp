#include "engine/completion.h"

namespace godwit {

void AnswerChannel::tell() {
  news_.notify_one();
  if (on_news_) on_news_();
}

void AnswerChannel::push(TokenId id) {
  {
    const std::lock_guard lock(mutex_);
    ids_.push_back(id);
  }
  tell();
}

void AnswerChannel::end(Outcome outcome) {
  {
    const std::lock_guard lock(mutex_);
    outcome.completion_tokens = static_cast<int64_t>(ids_.size());
    outcome_ = std::move(outcome);
    ended_ = true;
  }
  tell();
}

std::optional<TokenId> AnswerChannel::next() {
  std::unique_lock lock(mutex_);
  news_.wait(lock, [&] { return taken_ < ids_.size() || ended_; });
  if (taken_ < ids_.size()) return ids_[taken_++];
  if (outcome_.error) throw *outcome_.error;
  return std::nullopt;
}

bool AnswerChannel::take(std::vector<TokenId>& ids) {
  const std::lock_guard lock(mutex_);
  for (; taken_ < ids_.size(); ++taken_) ids.push_back(ids_[taken_]);
  return ended_;
}

const Outcome& AnswerChannel::outcome() {
  std::unique_lock lock(mutex_);
  news_.wait(lock, [&] { return ended_; });
  return outcome_;
}

}  // namespace godwit
