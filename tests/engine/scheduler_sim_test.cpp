// The scheduler without a model: seeded clients with prompts, generations, cancellations and remembered prefixes
// against a model of the memory. Every plan is checked, and what is done with it.
#include <gmock/gmock.h>

#include <chrono>
#include <functional>

#include "base/random.h"
#include "engine/schedule_check.h"

namespace godwit {
namespace {

#if defined(GODWIT_SANITIZED) || defined(GODWIT_DEBUG)
constexpr uint64_t kSeeds = 500;
#else
constexpr uint64_t kSeeds = 10000;
#endif

constexpr int64_t kPage = 64;
constexpr int64_t pages(int64_t tokens) { return (tokens + kPage - 1) / kPage; }

/// What states look like: page sizes and windows (0: none) of groups, and a record that has one size at any length.
struct Geometry {
  struct Group {
    int64_t window, page_bytes;
  };
  std::vector<Group> groups;
  int64_t record_bytes = 0;
  int64_t slack = 256;  // rows that stay behind a window, for rewinding

  /// What a state holds while it goes from `absorbed` to `absorbed + tokens`.
  int64_t held(int64_t absorbed, int64_t tokens) const {
    int64_t bytes = record_bytes;
    for (const Group& g : groups) {
      const int64_t end = absorbed + tokens;
      const int64_t first = g.window == 0 ? 0 : std::max<int64_t>(0, std::min(end - slack, absorbed) - g.window);
      bytes += (pages(end) - first / kPage) * g.page_bytes;
    }
    return bytes;
  }
  /// The most of that, up to so many tokens.
  int64_t bytes_for(int64_t tokens) const {
    int64_t bytes = record_bytes;
    for (const Group& g : groups)
      bytes += std::min(pages(tokens), g.window == 0 ? pages(tokens) : pages(g.window + slack) + 1) * g.page_bytes;
    return bytes;
  }
};

struct Client {
  int64_t arrives = 0, cancels = -1;  // steps; -1: never
  int64_t prompt = 1, generates = 1, most = 2;
  // What has become of it.
  SequenceLoad load;
  int64_t held = 0, generated = 0;
  bool ended = false;
};

/// A world to schedule in, drawn from a seed.
struct World {
  explicit World(uint64_t seed) : seed(seed) {
    static const std::vector<std::vector<Geometry::Group>> kGroups = {
        {{0, 3}}, {{0, 3}, {128, 5}}, {{512, 4}}, {{0, 1}, {64, 2}, {300, 7}}, {}};
    geometry.groups = kGroups[static_cast<size_t>(below(5))];
    if (geometry.groups.empty() || below(3) == 0) geometry.record_bytes = 1 + below(40);
    chunk = least_chunk = int64_t{16} << below(6);
    if (below(4) == 0) least_chunk = 1 + below(chunk);
    rows = 1 + below(below(2) == 0 ? 4 : 32);
    if (geometry.record_bytes > 0) snapshot_every = 256;
    geometry.slack = std::max<int64_t>(256, chunk);
    const int64_t n = 1 + below(below(8) == 0 ? 64 : 12), style = below(4);
    const int64_t bursts = below(3), spread = bursts * below(200);
    int64_t largest = 0;
    for (int64_t i = 0; i < n; ++i) {
      Client c;
      c.arrives = below(spread + 1);
      if (below(10) == 0) c.cancels = c.arrives + below(100);
      const int64_t kind = below(8);
      c.prompt = 1 + below(kind < 4 ? 64 : kind < 7 ? 400 : 10 * chunk);
      c.generates = 1 + below(below(8) == 0 ? 300 : 40);
      c.most = c.prompt + c.generates + (style == 0 ? 0 : below(style == 3 ? 4000 : 200));
      largest = std::max(largest, geometry.bytes_for(c.most));
      if (below(20) == 0) c.most += 20000;  // refused where the budget is less
      clients.push_back(c);
    }
    std::stable_sort(clients.begin(), clients.end(),
                     [](const auto& a, const auto& b) { return a.arrives < b.arrives; });
    const int64_t times = below(3), part = 1 + below(4);
    budget = largest + times * below(largest + 1) / part;
  }
  /// A number in [0, n). One draw a statement or declarator: the order of operands is the compiler's.
  int64_t below(int64_t n) { return static_cast<int64_t>(random_bits(seed, 1, draws++) % static_cast<uint64_t>(n)); }

  /// More steps than these nobody needs: the first in the queue always gets its share.
  int64_t steps_enough() const {
    int64_t steps = clients.back().arrives + 1;
    const int64_t share = std::max<int64_t>(1, least_chunk / rows);
    for (const Client& c : clients)
      steps += (c.prompt + c.generates) / share + (c.prompt + c.generates) / 256 + c.generates + 2;
    return steps;
  }

  uint64_t seed, draws = 0;
  Geometry geometry;
  int64_t chunk = 16, least_chunk = 16, rows = 1, budget = 0, snapshot_every = 0;
  std::vector<Client> clients;
};

/// 64 clients at once, with room for some.
World crowd(uint64_t seed) {
  World world(seed);
  world.geometry = {.groups = {{0, 1}}, .record_bytes = 0};
  world.snapshot_every = 0;
  world.chunk = world.least_chunk = 128;
  world.rows = 64;
  world.clients.clear();
  int64_t largest = 0;
  for (int i = 0; i < 64; ++i) {
    Client c;
    c.prompt = 1 + world.below(1000);
    c.generates = 1 + world.below(500);
    c.most = c.prompt + 1000;
    largest = std::max(largest, world.geometry.bytes_for(c.most));
    world.clients.push_back(c);
  }
  world.budget = 2 * largest;
  return world;
}

struct Counts {
  int64_t steps = 0, finished = 0, refused = 0, cancelled = 0, preempted = 0, resumed = 0, overtook = 0;
  int64_t fed = 0, generated = 0, fed_again = 0;
  double longest_wait = 0;
};

using Planner = std::function<Plan(std::span<const SequenceLoad>, const ScheduleLimits&)>;

/// The loop of an engine, with a count of bytes in place of states.
class Simulation {
 public:
  Simulation(World world, Planner planner, bool plans_are_checked = true)
      : world_(std::move(world)), planner_(std::move(planner)), plans_are_checked_(plans_are_checked) {
    limits_.rows = world_.rows;
    limits_.budget_bytes = world_.budget;
    limits_.snapshot_every = world_.snapshot_every;
    limits_.bytes_for = [this](int64_t tokens) { return world_.geometry.bytes_for(tokens); };
    for (Client& c : world_.clients)
      c.load = {.order = next_order_++, .fed = 0, .known = c.prompt, .most = c.most, .running = false};
  }
  Simulation(const Simulation&) = delete;

  /// Until all have ended. Returns what went wrong, or nothing.
  std::string run() {
    const int64_t enough = world_.steps_enough();
    for (counts.steps = 0; wrong_.empty() && list_live(); ++counts.steps) {
      if (counts.steps > enough) return fmt::format("no end after {} steps", enough);
      limits_.chunk = world_.least_chunk + world_.below(world_.chunk - world_.least_chunk + 1);
      Plan plan = planner_(loads_, limits_);
      if (plans_are_checked_) wrong_ = check_.step(loads_, limits_, plan);
      if (!wrong_.empty()) break;
      if (change_who_runs(plan)) plan = planned_again();
      for (const Plan::Row& row : plan.rows) feed(at(row.sequence), row.tokens);
      count_overtaking();
    }
    counts.longest_wait = check_.longest_wait();
    if (wrong_.empty() && used_ != 0) wrong_ = fmt::format("{} bytes are held when all have ended", used_);
    return wrong_;
  }
  const std::map<int64_t, Waiting>& waiting() const { return check_.waiting(); }
  Counts counts;

 private:
  Client& at(size_t i) { return world_.clients[live_[i]]; }

  bool list_live() {
    live_.clear();
    bool all_ended = true;
    for (size_t i = 0; i < world_.clients.size(); ++i) {
      Client& c = world_.clients[i];
      if (!c.ended && c.cancels == counts.steps) end(c, counts.cancelled);
      all_ended = all_ended && c.ended;
      if (c.ended || c.arrives > counts.steps) continue;
      live_.push_back(i);
    }
    if (world_.seed % 2 == 1) std::reverse(live_.begin(), live_.end());
    list_loads();
    return !all_ended;
  }
  void list_loads() {
    loads_.clear();
    for (size_t i : live_) loads_.push_back(world_.clients[i].load);
  }

  void hold(Client& c, int64_t bytes) {
    used_ += bytes - c.held;
    c.held = bytes;
    if (used_ > world_.budget) wrong_ = fmt::format("{} bytes held of {}", used_, world_.budget);
  }
  void end(Client& c, int64_t& count) {
    hold(c, 0);
    c.ended = true;
    ++count;
  }

  /// Returns whether one that is admitted resumes a prefix.
  bool change_who_runs(const Plan& plan) {
    const int64_t resumed = counts.resumed;
    for (size_t i : plan.refuse) end(at(i), counts.refused);
    for (size_t i : plan.preempt) {
      hold(at(i), 0);
      counts.fed_again += at(i).load.fed;
      at(i).load.fed = 0, at(i).load.running = false;
      ++counts.preempted;
    }
    for (size_t i : plan.admit) {
      Client& c = at(i);
      c.load.running = true;
      // A remembered prefix; one that was preempted often finds its own.
      if (world_.below(c.generated > 0 ? 2 : 6) == 0) {
        c.load.fed = world_.below(c.load.known);
        hold(c, world_.geometry.held(c.load.fed, 0));
        ++counts.resumed;
      }
    }
    return counts.resumed > resumed;
  }

  /// The second plan of a step, which may change no more than rows.
  Plan planned_again() {
    std::erase_if(live_, [&](size_t i) { return world_.clients[i].ended; });
    list_loads();
    Plan plan = planner_(loads_, limits_);
    if (plans_are_checked_ && !(plan.refuse.empty() && plan.preempt.empty() && plan.admit.empty()))
      wrong_ = "planned again, other sequences run";
    return plan;
  }

  void feed(Client& c, int64_t tokens) {
    hold(c, world_.geometry.held(c.load.fed, tokens));
    c.load.fed += tokens, counts.fed += tokens;
    if (c.load.fed < c.load.known) return;
    ++c.load.known, ++c.generated, ++counts.generated;
    if (c.generated == c.generates) end(c, counts.finished);
  }

  /// Whether one runs that is behind one that waits.
  void count_overtaking() {
    int64_t first_waiting = next_order_, last_running = -1;
    for (size_t i = 0; i < live_.size(); ++i) {
      if (at(i).ended) continue;
      const SequenceLoad& s = at(i).load;
      if (s.running) last_running = std::max(last_running, s.order);
      if (!s.running) first_waiting = std::min(first_waiting, s.order);
    }
    counts.overtook += last_running > first_waiting ? 1 : 0;
  }

  World world_;
  Planner planner_;
  bool plans_are_checked_;
  ScheduleLimits limits_;
  ScheduleCheck check_;
  int64_t next_order_ = 0, used_ = 0;
  std::vector<size_t> live_;
  std::vector<SequenceLoad> loads_;
  std::string wrong_;
};

TEST(SchedulerSim, SeedsKeepThePromises) {
  const auto start = std::chrono::steady_clock::now();
  Counts all;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Simulation sim(World(seed), plan_step);
    ASSERT_EQ(sim.run(), "") << "seed " << seed << ", step " << sim.counts.steps;
    const Counts& c = sim.counts;
    all.steps += c.steps, all.finished += c.finished, all.refused += c.refused, all.cancelled += c.cancelled;
    all.preempted += c.preempted, all.resumed += c.resumed, all.overtook += c.overtook;
    all.longest_wait = std::max(all.longest_wait, c.longest_wait);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print(
      "{} seeds in {:.1f} s: {} steps, {} finished, {} refused, {} cancelled, {} preempted, {} resumed, {} steps with "
      "overtaking; longest wait {:.2f} of its fair share\n",
      kSeeds, seconds.count(), all.steps, all.finished, all.refused, all.cancelled, all.preempted, all.resumed,
      all.overtook, all.longest_wait);
  EXPECT_LE(all.longest_wait, 2.0);
  // The seeds do meet what they are for.
  for (int64_t count : {all.finished, all.refused, all.cancelled, all.preempted, all.resumed, all.overtook})
    EXPECT_GT(count, static_cast<int64_t>(kSeeds) / 10);
}

/// The longest wait in fair shares by lengths alone: the work of a client is the room that it takes for as long as it
/// runs, and of the time that all take, its fair share of waiting is the part of those before it.
double longest_wait_by_lengths(const World& world, const Simulation& sim) {
  const auto work = [&](const Client& c) {
    const double tokens = static_cast<double>(c.prompt) + static_cast<double>(c.generates) / 2;
    return tokens * static_cast<double>(c.prompt / world.chunk + c.generates);
  };
  double all = 0, before = 0, longest = 0;
  for (const Client& c : world.clients) all += work(c);
  for (size_t i = 0; i < world.clients.size(); before += work(world.clients[i++])) {
    const auto waited = sim.waiting().find(static_cast<int64_t>(i));
    if (waited == sim.waiting().end()) continue;
    const double fair = before / all * static_cast<double>(sim.counts.steps);
    longest = std::max(longest, static_cast<double>(waited->second.steps) / fair);
  }
  return longest;
}

TEST(SchedulerSim, NoneOf64WaitsTwiceItsFairShare) {
  double longest = 0, by_lengths = 0, fed_again = 0, preempted = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const World world = crowd(seed);
    Simulation sim(world, plan_step);
    ASSERT_EQ(sim.run(), "") << "seed " << seed;
    EXPECT_EQ(sim.counts.finished, 64);
    EXPECT_LT(sim.counts.fed_again, sim.counts.generated);
    preempted += static_cast<double>(sim.counts.preempted) / 20;
    longest = std::max(longest, sim.counts.longest_wait);
    by_lengths = std::max(by_lengths, longest_wait_by_lengths(world, sim));
    fed_again =
        std::max(fed_again, static_cast<double>(sim.counts.fed_again) / static_cast<double>(sim.counts.generated));
  }
  fmt::print(
      "longest wait: {:.2f} of the fair share, {:.2f} by lengths; {:.1f} preempted, at most {:.2f} tokens fed again "
      "for one generated\n",
      longest, by_lengths, preempted, fed_again);
  EXPECT_LE(longest, 2.0);
  EXPECT_LE(by_lengths, 2.0);
  EXPECT_GT(preempted, 1.0);
}

// ---------------------------------------------------------------- schedulers that are wrong on purpose

using Change = std::function<void(Plan&, std::span<const SequenceLoad>, int64_t chunk)>;
/// plan_step, and then something is done to the plan.
Planner and_then(const Change& change) {
  return [change](std::span<const SequenceLoad> loads, const ScheduleLimits& limits) {
    Plan plan = plan_step(loads, limits);
    change(plan, loads, limits.chunk);
    return plan;
  };
}

/// plan_step in another order.
Planner in_order(const std::function<int64_t(const SequenceLoad&)>& order) {
  return [order](std::span<const SequenceLoad> loads, const ScheduleLimits& limits) {
    std::vector<SequenceLoad> others(loads.begin(), loads.end());
    for (SequenceLoad& s : others) s.order = order(s);
    return plan_step(others, limits);
  };
}

void forget_to_release(Plan& plan, std::span<const SequenceLoad>, int64_t) {
  if (!plan.preempt.empty()) plan.preempt.pop_back();
}

Plan count_cached_pages_twice(std::span<const SequenceLoad> loads, ScheduleLimits limits) {
  limits.budget_bytes += limits.budget_bytes / 4;
  return plan_step(loads, limits);
}

void split_a_row(Plan& plan, std::span<const SequenceLoad>, int64_t) {
  for (Plan::Row& row : plan.rows) {
    if (row.tokens == 1) continue;
    --row.tokens;
    plan.rows.push_back({.sequence = row.sequence, .tokens = 1});
    return;
  }
}

/// Decoding has what prompts leave of the chunk.
void prompts_before_decoding(Plan& plan, std::span<const SequenceLoad> loads, int64_t chunk) {
  for (const Plan::Row& row : plan.rows) chunk -= row.tokens;
  if (chunk > 0) return;
  std::erase_if(plan.rows,
                [&](const Plan::Row& row) { return loads[row.sequence].known - loads[row.sequence].fed == 1; });
}

/// The first complaint of the seeds.
std::string complaint(const Planner& planner, bool plans_are_checked, uint64_t& seed) {
  std::string wrong;
  for (seed = 0; seed < kSeeds; ++seed) {
    Simulation sim(World(seed), planner, plans_are_checked);
    wrong = sim.run();
    if (!wrong.empty()) break;
  }
  return wrong;
}

TEST(SchedulerSim, FindsFaults) {
  constexpr int64_t kFar = int64_t{1} << 32;
  struct Fault {
    const char* what;
    Planner planner;
    const char* found;
  };
  const std::vector<Fault> faults = {
      {"leak: a preempted state is not released", and_then(forget_to_release), "runs without room"},
      {"double use: pages count as free that are in use", count_cached_pages_twice, "runs without room"},
      {"double use: a sequence has two rows", and_then(split_a_row), "twice in a step"},
      {"starvation: prompts before decoding", and_then(prompts_before_decoding), "left out"},
      {"starvation: the newest first", in_order([](const auto& s) { return -s.order; }), "first in the queue"},
      {"starvation: the shortest first", in_order([](const auto& s) { return s.order + s.known * kFar; }),
       "first in the queue"},
      {"starvation: who runs makes way for nobody",
       in_order([](const auto& s) { return s.order + (s.running ? 0 : kFar); }), "waits for room that it has"},
  };
  for (const Fault& fault : faults) {
    uint64_t seed = 0;
    const std::string wrong = complaint(fault.planner, true, seed);
    EXPECT_THAT(wrong, testing::HasSubstr(fault.found)) << fault.what;
    fmt::print("{}: seed {}: {}\n", fault.what, seed, wrong);
  }
}

TEST(SchedulerSim, MemoryFindsFaultsByItself) {
  for (const Planner& planner : {and_then(forget_to_release), Planner(count_cached_pages_twice)}) {
    uint64_t seed = 0;
    EXPECT_THAT(complaint(planner, false, seed), testing::HasSubstr("bytes held of"));
  }
}

}  // namespace
}  // namespace godwit
