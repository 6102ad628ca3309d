// The laws of state as comparisons: each makes a sequence's state in ways that must give the same logits as a cold run,
// bit for bit, and says where they first differ, or "" when they do not. state_laws_test.cpp holds the models to them;
// state_mutants_test.cpp shows that they see states that are wrong.
#pragma once

#include "engine/laws.h"

namespace godwit {

/// What a test does to states behind the pool's back.
struct StateFault {
  std::function<void(SequenceState&)> started;  // a sequence that begins with nothing; it has its record
  std::function<void(SequenceState&)> resumed;  // one that begins with something remembered
};

/// One model under the laws: a pool that is tested, and cold runs beside it.
class StateLaws {
 public:
  /// `ids`: the request. `options.chunk`: most tokens in a step.
  StateLaws(const OpenModel& open, RunnerOptions options, std::vector<TokenId> ids, StateFault fault = {})
      : ids_(std::move(ids)),
        fault_(std::move(fault)),
        tested_(open, with_room(options, open.model->state_layout(options.cache).groups.empty() ? kMostSnapshots : 5)),
        cold_(open, with_room(options, 1)),
        expected_(cold(ids_)) {}

  Runner& runner() { return tested_; }

  /// Rewinds to every position: from the end, and from so many wrong tokens further, as a rejected draft is taken back.
  std::string broken_by_rewind(const std::vector<int64_t>& wrong_tokens);
  /// Forks at every position; one of two goes another way, the other goes on.
  std::string broken_by_fork();
  /// D4: a second request that shares every length of the first (or those `stride` apart), which was remembered after
  /// every token (or those `every` apart). `exactly`: that it is found to the token. Between, all that is remembered is
  /// sometimes evicted.
  std::string broken_by_resume(int64_t every, bool exactly, size_t stride = 1);
  /// D5, D6: preempts at every step; another request has the slot before it resumes.
  std::string broken_by_preemption();

  int64_t resumed() const { return resumed_; }  // tokens that were not computed again, all laws together

 private:
  /// So many records a test keeps; where there are pages, they leave room for them.
  static constexpr int64_t kMostSnapshots = 160;

  static RunnerOptions with_room(RunnerOptions o, int64_t sequences) {
    o.sequences = sequences;
    o.context = 512;
    return o;
  }
  size_t vocab() const { return static_cast<size_t>(tested_.model().vocab_size()); }

  std::vector<float> run(Runner& runner, SequenceState& state, std::span<const TokenId> tokens) {
    std::vector<float> logits;
    runner.feed(state, tokens, Want::kAll,
                [&](size_t, int64_t, Tensor l) { logits.insert(logits.end(), l.f32(), l.f32() + l.size()); });
    return logits;
  }
  std::vector<float> cold(const std::vector<TokenId>& ids) {
    SequenceState state;
    auto logits = run(cold_, state, ids);
    cold_.pool().release(state);
    return logits;
  }
  SequenceState started() {
    SequenceState state;
    if (fault_.started && tested_.pool().reserve(state, 1)) fault_.started(state);
    return state;
  }
  SequenceState resumed(std::span<const TokenId> tokens) {
    SequenceState state = tested_.pool().resume(tokens, {});
    resumed_ += state.absorbed;
    if (state.absorbed == 0) {
      tested_.pool().release(state);
      return started();
    }
    if (fault_.resumed) fault_.resumed(state);
    return state;
  }
  /// Feeds ids[absorbed, to) and compares with `expected`, the logits of ids from its first on.
  std::string goes_on(SequenceState& state, const std::vector<TokenId>& ids, size_t to,
                      const std::vector<float>& expected) {
    const auto from = static_cast<size_t>(state.absorbed);
    if (from >= to) return "";
    const auto got = run(tested_, state, std::span(ids).subspan(from, to - from));
    const std::vector<float> want(expected.begin() + static_cast<std::ptrdiff_t>(from * vocab()),
                                  expected.begin() + static_cast<std::ptrdiff_t>(to * vocab()));
    return same_bits(want, got) ? "" : fmt::format("on from {}: {}", from, first_difference(want, got));
  }
  /// A request of other tokens comes, leaves its rows and record, and goes.
  void other_request(int64_t tokens) {
    SequenceState other;
    run(tested_, other, random_ids(++others_, tokens, static_cast<int64_t>(vocab())));
    tested_.pool().release(other);
  }
  /// Takes all room for a moment, so that nothing stays remembered. Says whether it did.
  bool evict_all() {
    constexpr int64_t kMostTokens = 4096;  // of one, for a record is all that some models keep
    std::vector<SequenceState> hogs;
    for (bool more = true; more;) {
      SequenceState& hog = hogs.emplace_back();
      int64_t n = 0;
      while (n < kMostTokens && tested_.pool().reserve(hog, n + kPageTokens)) n += kPageTokens;
      more = n > 0;
    }
    for (SequenceState& hog : hogs) tested_.pool().release(hog);
    return tested_.pool().cached_bytes() == 0;
  }

  std::vector<TokenId> ids_;
  StateFault fault_;
  Runner tested_, cold_;
  std::vector<float> expected_;
  int64_t resumed_ = 0;
  uint64_t others_ = 1000;
};

inline std::string StateLaws::broken_by_rewind(const std::vector<int64_t>& wrong_tokens) {
  SequenceState state = started();
  std::string broken = goes_on(state, ids_, ids_.size(), expected_);
  for (size_t to = 0; to <= ids_.size() && broken.empty(); ++to) {
    tested_.pool().rewind(state, static_cast<int64_t>(to));
    broken = goes_on(state, ids_, ids_.size(), expected_);
    if (!broken.empty()) broken = fmt::format("rewound from the end to {}, {}", to, broken);
  }
  for (int64_t n : wrong_tokens) {
    tested_.pool().rewind(state, 0);
    for (size_t to = 0; to <= ids_.size() && broken.empty(); ++to) {
      broken = goes_on(state, ids_, to, expected_);
      if (broken.empty() && to > 0) {
        run(tested_, state, random_ids(to, n, static_cast<int64_t>(vocab())));
        tested_.pool().rewind(state, static_cast<int64_t>(to));
        broken = goes_on(state, ids_, std::min(ids_.size(), to + 1), expected_);
      }
      if (!broken.empty()) broken = fmt::format("{} tokens taken back at {}, {}", n, to, broken);
    }
  }
  tested_.pool().release(state);
  return broken;
}

inline std::string StateLaws::broken_by_fork() {
  SequenceState state = started();
  std::string broken;
  for (size_t at = 0; at <= ids_.size() && broken.empty(); ++at) {
    broken = goes_on(state, ids_, at, expected_);
    auto strays = tested_.pool().fork(state), stays = tested_.pool().fork(state);
    if (!strays || !stays) return "no room for forks";
    run(tested_, *strays, random_ids(at, 40, static_cast<int64_t>(vocab())));
    if (broken.empty()) broken = goes_on(*stays, ids_, ids_.size(), expected_);
    if (!broken.empty()) broken = fmt::format("forked at {}, {}", at, broken);
    tested_.pool().release(*strays);
    tested_.pool().release(*stays);
  }
  tested_.pool().release(state);
  return broken;
}

inline std::string StateLaws::broken_by_resume(int64_t every, bool exactly, size_t stride) {
  std::string broken;
  bool known = false;
  for (size_t shared = 0; shared <= ids_.size() && broken.empty(); shared += stride) {
    if (!known) {
      SequenceState first = resumed(ids_);
      for (auto n = static_cast<size_t>(first.absorbed); n < ids_.size() && broken.empty();) {
        n = std::min(ids_.size(),
                     n / static_cast<size_t>(every) * static_cast<size_t>(every) + static_cast<size_t>(every));
        broken = goes_on(first, ids_, n, expected_);
        tested_.pool().remember(first, std::span(ids_).first(n), {});
      }
      tested_.pool().release(first);
      known = true;
    }
    std::vector<TokenId> prompt(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(shared));
    for (TokenId id : random_ids(shared, 8, static_cast<int64_t>(vocab()))) prompt.push_back(id);
    SequenceState second = resumed(prompt);
    const int64_t landed = second.absorbed;
    if (exactly && landed < static_cast<int64_t>(shared))
      broken = fmt::format("{} tokens shared, {} found", shared, landed);
    if (broken.empty()) broken = goes_on(second, prompt, prompt.size(), cold(prompt));
    if (!broken.empty()) broken = fmt::format("{} tokens shared, {}", shared, broken);
    tested_.pool().release(second);
    if (shared / stride % 16 == 15) {
      if (!evict_all()) broken = "something is still remembered";
      known = false;
    }
  }
  return broken;
}

inline std::string StateLaws::broken_by_preemption() {
  SequenceState state = started();
  std::string broken;
  for (size_t n = 1; n <= ids_.size() && broken.empty(); ++n) {
    broken = goes_on(state, ids_, n, expected_);
    tested_.pool().remember(state, std::span(ids_).first(n), {});
    tested_.pool().release(state);
    other_request(static_cast<int64_t>(n % 70 + 1));
    if (n % 16 == 15 && !evict_all()) broken = "something is still remembered";
    state = resumed(std::span(ids_).first(std::min(ids_.size(), n + 1)));
    if (!broken.empty()) broken = fmt::format("preempted at {}, {}", n - 1, broken);
  }
  tested_.pool().release(state);
  return broken;
}

}  // namespace godwit
