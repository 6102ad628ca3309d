#include "engine/scheduler.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace godwit {
namespace {

/// Cuts the chunk: one token each, then the rest in equal parts among those that can use them.
std::vector<Plan::Row> share(std::span<const SequenceLoad> loads, const std::vector<size_t>& running, int64_t chunk) {
  std::vector<Plan::Row> rows;
  for (size_t i : running) {
    if (loads[i].known > loads[i].fed) rows.push_back({i, 1});
  }
  chunk -= static_cast<int64_t>(rows.size());
  // Those with least left first: what they cannot use is shared by all that follow.
  std::vector<size_t> by_pending(rows.size());
  std::iota(by_pending.begin(), by_pending.end(), size_t{0});
  const auto pending = [&](size_t r) { return loads[rows[r].sequence].known - loads[rows[r].sequence].fed; };
  std::stable_sort(by_pending.begin(), by_pending.end(), [&](size_t a, size_t b) { return pending(a) < pending(b); });
  for (size_t k = 0; k < by_pending.size(); ++k) {
    const int64_t sharers = static_cast<int64_t>(by_pending.size() - k);
    const int64_t more = std::min(pending(by_pending[k]) - 1, chunk / sharers);
    rows[by_pending[k]].tokens += more;
    chunk -= more;
  }
  return rows;
}

void check(std::span<const SequenceLoad> loads, const ScheduleLimits& limits) {
  CHECK(limits.chunk > 0 && limits.rows > 0, "a step of {} tokens in {} rows", limits.chunk, limits.rows);
  for (const SequenceLoad& s : loads)
    CHECK(s.fed >= 0 && s.fed <= s.known && s.known > 0 && s.known <= s.most && (s.running || s.fed == 0),
          "sequence {}: fed {}, known {}, most {}, running {}", s.order, s.fed, s.known, s.most, s.running);
}

}  // namespace

Plan plan_step(std::span<const SequenceLoad> loads, const ScheduleLimits& limits) {
  check(loads, limits);
  std::vector<size_t> queue(loads.size());
  std::iota(queue.begin(), queue.end(), size_t{0});
  std::sort(queue.begin(), queue.end(), [&](size_t a, size_t b) { return loads[a].order < loads[b].order; });

  Plan plan;
  std::vector<size_t> running;
  const auto most_rows = static_cast<size_t>(std::min(limits.rows, limits.chunk));
  int64_t needed = 0;   // bytes of all that is known of the running ones
  int64_t claimed = 0;  // and with the lookahead
  for (size_t i : queue) {
    const SequenceLoad& s = loads[i];
    if (limits.bytes_for(s.most) > limits.budget_bytes) {
      plan.refuse.push_back(i);
      continue;
    }
    const int64_t need = limits.bytes_for(s.known), claim = limits.bytes_for(std::min(s.most, s.known + kLookahead));
    const bool fits = s.running ? needed + need <= limits.budget_bytes : claimed + claim <= limits.budget_bytes;
    if (fits && running.size() < most_rows) {
      if (!s.running) plan.admit.push_back(i);
      running.push_back(i);
      needed += need;
      claimed += claim;
    } else if (s.running) {
      plan.preempt.push_back(i);
    }
  }
  plan.rows = share(loads, running, limits.chunk);
  return plan;
}

}  // namespace godwit
