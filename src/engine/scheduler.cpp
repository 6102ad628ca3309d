#include "engine/scheduler.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "kernels/kernels.h"

namespace godwit {
namespace {

void check(std::span<const SequenceLoad> loads, const ScheduleLimits& limits) {
  CHECK(limits.chunk > 0 && limits.rows > 0 && limits.snapshot_every >= 0, "a step of {} tokens in {} rows, cut at {}",
        limits.chunk, limits.rows, limits.snapshot_every);
  for (const SequenceLoad& s : loads)
    CHECK(s.fed >= 0 && s.fed <= s.known && s.known > 0 && s.known <= s.most && (s.running || s.fed == 0),
          "sequence {}: fed {}, known {}, most {}, running {}", s.order, s.fed, s.known, s.most, s.running);
}

/// Indices 0 to n - 1, smallest key first.
template <class Key>
std::vector<size_t> sorted_by(size_t n, const Key& key) {
  std::vector<size_t> list(n);
  std::iota(list.begin(), list.end(), size_t{0});
  std::stable_sort(list.begin(), list.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  return list;
}

/// One token each, then equal parts of what is left of the chunk.
std::vector<Plan::Row> share(std::span<const SequenceLoad> loads, const std::vector<size_t>& running,
                             const ScheduleLimits& limits) {
  std::vector<Plan::Row> rows;
  for (size_t i : running) {
    if (loads[i].known > loads[i].fed) rows.push_back({.sequence = i, .tokens = 1});
  }
  int64_t left = limits.chunk - static_cast<int64_t>(rows.size()), sharers = static_cast<int64_t>(rows.size());
  const auto usable = [&](size_t row) {
    const SequenceLoad& s = loads[rows[row].sequence];
    const int64_t every = limits.snapshot_every;
    return every == 0 ? s.known - s.fed : std::min(s.known - s.fed, every - s.fed % every);
  };
  // Those that can use least come first, and what they leave of their part is shared by all that follow.
  for (size_t row : sorted_by(rows.size(), usable)) {
    const int64_t more = std::min(usable(row) - 1, left / sharers--);
    rows[row].tokens += more;
    left -= more;
  }
  return rows;
}

}  // namespace

int64_t claimed_tokens(const SequenceLoad& load) {
  return std::min(load.most, load.known + std::max<int64_t>(kPageTokens, load.known / 4));
}

Plan plan_step(std::span<const SequenceLoad> loads, const ScheduleLimits& limits) {
  check(loads, limits);
  const auto rows = static_cast<size_t>(std::min(limits.rows, limits.chunk));
  Plan plan;
  std::vector<size_t> running;
  int64_t needed = 0, claimed = 0;  // bytes of those in `running`: for what they know, and what they claim
  for (size_t i : sorted_by(loads.size(), [&](size_t s) { return loads[s].order; })) {
    const SequenceLoad& s = loads[i];
    if (limits.bytes_for(s.most) > limits.budget_bytes) {
      plan.refuse.push_back(i);
      continue;
    }
    // To go on takes room for what is known. To begin takes the claims, so that it is worth it.
    const int64_t needs = limits.bytes_for(s.known), claims = limits.bytes_for(claimed_tokens(s));
    const bool room = (s.running ? needed + needs : claimed + claims) <= limits.budget_bytes;
    if (room && running.size() < rows) {
      if (!s.running) plan.admit.push_back(i);
      running.push_back(i);
      needed += needs;
      claimed += claims;
    } else if (s.running) {
      plan.preempt.push_back(i);
    }
  }
  plan.rows = share(loads, running, limits);
  return plan;
}

}  // namespace godwit
