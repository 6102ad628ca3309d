// The pool while lists cannot grow: after every failure the books are right, and no sequence reads a wrong row.
#include <list>

#include "allocation/failing_new.h"
#include "engine/state_model.h"

namespace godwit {
namespace {

/// Random operations on up to five sequences; one of the next few allocations of each fails.
class FailingOperations {
 public:
  FailingOperations(uint64_t seed, std::vector<int64_t> windows, bool record, int64_t pages)
      : windows_(std::move(windows)), pool_(layout_of(windows_, record), pages * 4096, 100), seed_(seed) {}

  void run(int n) {
    for (int i = 0; i < n && !testing::Test::HasFatalFailure(); ++i) {
      one();
      std::vector<const SequenceState*> live;
      for (const Sequence& s : sequences_) live.push_back(&s.state);
      pool_.check(live);
      for (const Sequence& s : sequences_) s.verify(windows_);
    }
    for (Sequence& s : sequences_) pool_.release(s.state);
    ASSERT_EQ(pool_.used_bytes(), 0);
    pool_.check({});
  }
  int failed[4] = {};  // of resume, reserve, fork, remember
  int64_t resumed = 0;

 private:
  int64_t below(int64_t n) { return static_cast<int64_t>(random_bits(seed_, 7, draws_++) % static_cast<uint64_t>(n)); }

  /// False: it failed.
  template <class F>
  bool attempt(int which, const F& f) {
    fail_allocations(1 + below(12));
    try {
      f();
      stop_failing();
      return true;
    } catch (const std::bad_alloc&) {
      stop_failing();
      ++failed[which];
      return false;
    }
  }

  void one() {
    const int64_t op = sequences_.empty() ? 0 : below(8);
    if (op == 0) {
      if (sequences_.size() == 5) sequences_.pop_front_released(pool_);
      return start();
    }
    Sequence& s = *std::next(sequences_.begin(), below(static_cast<int64_t>(sequences_.size())));
    if (op <= 3) {
      feed(s, random_tokens(static_cast<uint64_t>(below(1000)), 1 + below(100)));
    } else if (op == 4 && sequences_.size() < 5) {
      std::optional<SequenceState> state;
      if (!attempt(2, [&] { state = pool_.fork(s.state); }) || !state) return;
      sequences_.push_back(s);
      sequences_.back().state = std::move(*state);
    } else if (op == 5) {
      pool_.rewind(s.state, std::max<int64_t>(0, s.state.absorbed - below(40)));
      s.tokens.resize(static_cast<size_t>(s.state.absorbed));
    } else {
      attempt(3, [&] { pool_.remember(s.state, s.tokens, s.key); });
    }
  }

  void start() {
    const auto prompt = random_tokens(static_cast<uint64_t>(below(3)), 1 + below(400));
    Sequence s{{}, {}, {below(2) == 0 ? "a" : "b", 0, 0}};
    if (attempt(0, [&] { s.state = pool_.resume(prompt, s.key); })) resumed += s.state.absorbed;
    s.tokens = slice(prompt, 0, static_cast<size_t>(s.state.absorbed));
    s.verify(windows_);
    sequences_.push_back(std::move(s));
    for (size_t i = sequences_.back().tokens.size(); i < prompt.size(); i += 100)
      if (!feed(sequences_.back(), slice(prompt, i, std::min(prompt.size(), i + 100)))) break;
  }

  bool feed(Sequence& s, const std::vector<TokenId>& tokens) {
    if (!attempt(1, [&] { pool_.reserve(s.state, static_cast<int64_t>(tokens.size())); })) return false;
    return s.feed(pool_, tokens);
  }

  struct Sequences : std::list<Sequence> {
    void pop_front_released(StatePool& pool) {
      pool.release(front().state);
      pop_front();
    }
  };
  std::vector<int64_t> windows_;
  StatePool pool_;
  uint64_t seed_, draws_ = 0;
  Sequences sequences_;
};

TEST(FailingPool, BooksAgreeAndRowsAreRight) {
  int failed[4] = {};
  int64_t resumed = 0;
  const uint64_t seeds = kSparse > 1 ? 1 : 6;
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    for (const auto& windows : {std::vector<int64_t>{0}, {0, 128}, {100}, {}}) {
      for (bool record : {false, true}) {
        if (windows.empty() && !record) continue;
        for (int64_t pages : {40, 4000}) {
          FailingOperations run(seed, windows, record, pages);
          run.run(150);
          ASSERT_FALSE(HasFatalFailure()) << seed << ", " << windows.size() << " groups, record " << record;
          for (int i = 0; i < 4; ++i) failed[i] += run.failed[i];
          resumed += run.resumed;
        }
      }
    }
  }
  for (int i = 0; i < 4; ++i) EXPECT_GT(failed[i], 8 * static_cast<int>(seeds)) << i;
  EXPECT_GT(resumed, 1600 * static_cast<int64_t>(seeds));
}

}  // namespace
}  // namespace godwit
