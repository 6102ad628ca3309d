// Checks plans against what scheduler.h promises. It is told what the scheduler is told and what the scheduler said,
// and works the rest out by itself.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/scheduler.h"

namespace godwit {

/// How long a sequence waited, beside its fair share of waiting, in steps (scheduler.h says what that is).
struct Waiting {
  int64_t steps = 0;
  double fair = 0;
  bool large = false;  // it claimed more than half of the machine when it waited
};

class ScheduleCheck {
 public:
  /// Looks at the next step. Returns what is wrong with the plan, or nothing.
  std::string step(std::span<const SequenceLoad> loads, const ScheduleLimits& limits, const Plan& plan) {
    loads_ = loads, limits_ = &limits;
    rows_ = std::min(limits.rows, limits.chunk);
    fate_.assign(loads.size(), Fate::kUntold);
    fed_.assign(loads.size(), 0);
    std::string wrong = lists(plan);
    if (wrong.empty()) wrong = memory();
    if (wrong.empty()) wrong = shares();
    return wrong;
  }

  /// Of those that had to wait, by order.
  const std::map<int64_t, Waiting>& waiting() const { return waiting_; }
  /// The longest wait, in fair shares, of those that never claimed more than half of the machine.
  double longest_wait() const {
    double longest = 0;
    for (const auto& [order, w] : waiting_)
      if (!w.large) longest = std::max(longest, static_cast<double>(w.steps) / w.fair);
    return longest;
  }

 private:
  enum class Fate : uint8_t { kUntold, kRefused, kPreempted, kAdmitted };

  template <class... Args>
  std::string about(size_t i, fmt::format_string<Args...> format, Args&&... args) const {
    return fmt::format("sequence {}: ", loads_[i].order) + fmt::format(format, std::forward<Args>(args)...);
  }
  bool runs(size_t i) const { return fate_[i] == Fate::kAdmitted || (fate_[i] == Fate::kUntold && loads_[i].running); }
  /// Tokens that it can take in a step: what it has to feed, up to the next snapshot.
  int64_t usable(size_t i) const {
    const int64_t pending = loads_[i].known - loads_[i].fed, every = limits_->snapshot_every;
    return every == 0 ? pending : std::min(pending, (loads_[i].fed / every + 1) * every - loads_[i].fed);
  }
  int64_t needs(size_t i) const { return limits_->bytes_for(loads_[i].known); }
  int64_t claims(size_t i) const { return limits_->bytes_for(claimed_tokens(loads_[i])); }

  /// Every index is good and stands where it may.
  std::string lists(const Plan& plan) {
    for (const auto& [list, fate] :
         {std::pair{&plan.refuse, Fate::kRefused}, {&plan.preempt, Fate::kPreempted}, {&plan.admit, Fate::kAdmitted}}) {
      for (size_t i : *list) {
        if (i >= loads_.size()) return fmt::format("no sequence has index {}", i);
        if (fate_[i] != Fate::kUntold) return about(i, "has two fates");
        fate_[i] = fate;
        if (fate == Fate::kPreempted && !loads_[i].running) return about(i, "is preempted, but does not run");
        if (fate == Fate::kAdmitted && loads_[i].running) return about(i, "is admitted, but runs already");
        if ((fate == Fate::kRefused) != (limits_->bytes_for(loads_[i].most) > limits_->budget_bytes))
          return about(i, "is refused only if it cannot finish alone");
      }
    }
    int64_t tokens = 0;
    for (const Plan::Row& row : plan.rows) {
      if (row.sequence >= loads_.size()) return fmt::format("no sequence has index {}", row.sequence);
      if (!runs(row.sequence)) return about(row.sequence, "is fed, but does not run");
      if (fed_[row.sequence] != 0) return about(row.sequence, "is twice in a step");
      if (row.tokens < 1 || row.tokens > usable(row.sequence))
        return about(row.sequence, "{} tokens, but it can take {}", row.tokens, usable(row.sequence));
      tokens += fed_[row.sequence] = row.tokens;
    }
    if (tokens > limits_->chunk) return fmt::format("{} tokens in a step of {}", tokens, limits_->chunk);
    if (static_cast<int64_t>(plan.rows.size()) > rows_) return fmt::format("{} rows of {}", plan.rows.size(), rows_);
    return "";
  }

  /// Going through the queue: who runs has room, who does not has none.
  std::string memory() {
    std::vector<size_t> queue;
    for (size_t i = 0; i < loads_.size(); ++i) queue.push_back(i);
    std::sort(queue.begin(), queue.end(), [&](size_t a, size_t b) { return loads_[a].order < loads_[b].order; });
    const int64_t budget = limits_->budget_bytes;
    int64_t needed = 0, claimed = 0, running = 0;
    double filled = 0;  // the shares of those that run
    bool first = true;
    for (size_t i : queue) {
      if (fate_[i] == Fate::kRefused) continue;
      const double share =
          std::max(static_cast<double>(claims(i)) / static_cast<double>(budget), 1.0 / static_cast<double>(rows_));
      const bool room = running < rows_ && (loads_[i].running ? needed + needs(i) : claimed + claims(i)) <= budget;
      if (runs(i)) {
        if (!room) return about(i, "runs without room: {} needed, {} claimed before it", needed, claimed);
        needed += needs(i), claimed += claims(i), ++running, filled += share;
      } else {
        if (first) return about(i, "is the first in the queue and does not run");
        if (room) return about(i, "waits for room that it has: {} needed, {} claimed before it", needed, claimed);
        Waiting& w = waiting_[loads_[i].order];
        ++w.steps, w.fair += filled;
        if (share > 0.5) w.large = true;
        if (filled < 1 - share - 1e-9) return about(i, "of share {} waits while {} are filled", share, filled);
      }
      first = false;
    }
    return "";
  }

  /// Nobody is left out, all get equal shares, and nothing of the chunk is wasted.
  std::string shares() const {
    int64_t rows = 0, tokens = 0, all_usable = 0, most = 0;
    for (size_t i = 0; i < loads_.size(); ++i) {
      if (!runs(i) || usable(i) == 0) continue;
      ++rows, tokens += fed_[i], all_usable += usable(i);
      most = std::max(most, fed_[i]);
    }
    for (size_t i = 0; i < loads_.size(); ++i) {
      if (!runs(i) || usable(i) == 0) continue;
      if (fed_[i] == 0) return about(i, "runs, could take {} tokens, and is left out", usable(i));
      if (fed_[i] < std::min(usable(i), limits_->chunk / rows))
        return about(i, "gets {} of {} tokens, less than its share", fed_[i], usable(i));
      if (fed_[i] < usable(i) && fed_[i] + 1 < most) return about(i, "gets {} tokens, another {}", fed_[i], most);
    }
    if (tokens < std::min(limits_->chunk, all_usable)) return fmt::format("only {} tokens are fed", tokens);
    return "";
  }

  std::span<const SequenceLoad> loads_;
  const ScheduleLimits* limits_ = nullptr;
  int64_t rows_ = 0;
  std::vector<Fate> fate_;
  std::vector<int64_t> fed_;
  std::map<int64_t, Waiting> waiting_;
};

}  // namespace godwit
