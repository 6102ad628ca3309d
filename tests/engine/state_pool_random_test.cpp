// Random operations against a naive model: no row is ever wrong, the books are right after each, and the budget holds.
#include <gtest/gtest.h>

#include <list>

#include "engine/state_model.h"

namespace godwit {
namespace {

/// Random operations on up to six sequences over a few documents, so that much is shared.
class RandomOperations {
 public:
  RandomOperations(uint64_t seed, std::vector<int64_t> windows, int64_t pages)
      : windows_(std::move(windows)), pool_(layout_of(windows_), pages * 4096, 100), seed_(seed) {
    for (uint64_t d = 0; d < 3; ++d) documents_.push_back(random_tokens(d, 1500));
    for (size_t i = 300; i < 1500; ++i) documents_[1][i % 300] = documents_[0][i % 300];  // a common beginning
  }

  void run(int n) {
    for (int i = 0; i < n; ++i) {
      one();
      if (::testing::Test::HasFatalFailure()) return;
      std::vector<const SequenceState*> live;
      for (const Sequence& s : sequences_) live.push_back(&s.state);
      pool_.check(live);
      ASSERT_EQ(pool_.free_bytes() + pool_.used_bytes() + pool_.cached_bytes(), pool_.total_bytes());
      ASSERT_LE(pool_.resident_bytes(), pool_.total_bytes());
      for (const Sequence& s : sequences_) s.verify(windows_);
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (Sequence& s : sequences_) pool_.release(s.state);
    pool_.check({});
    ASSERT_EQ(pool_.used_bytes(), 0);
  }
  int resumed_mid_page = 0, resumed_far = 0, refused = 0, rewound = 0, forked = 0;

 private:
  int64_t below(int64_t n) { return static_cast<int64_t>(random_bits(seed_, 7, draws_++) % static_cast<uint64_t>(n)); }

  void one() {
    const int64_t op = below(10);
    if (sequences_.empty() || (op == 0 && sequences_.size() < 6)) return start();
    auto at = std::next(sequences_.begin(), below(static_cast<int64_t>(sequences_.size())));
    if (op <= 3) {
      feed(*at, random_tokens(static_cast<uint64_t>(below(1000)), 1 + below(100)));
    } else if (op == 4) {
      const int64_t to = std::max<int64_t>(0, at->state.absorbed - below(400));
      const int64_t landed = pool_.rewind(at->state, to);
      ASSERT_TRUE(landed == to || (landed == 0 && windows_ != std::vector<int64_t>{0}));
      at->tokens.resize(static_cast<size_t>(landed));
      ++rewound;
    } else if (op == 5 && sequences_.size() < 6) {
      auto state = pool_.fork(at->state);
      if (!state.has_value()) return;
      Sequence copy = *at;
      copy.state = std::move(*state);
      sequences_.push_back(std::move(copy));
      ++forked;
    } else if (op <= 7) {
      const auto part =
          slice(at->tokens, 0, static_cast<size_t>(at->state.absorbed - below(2) * below(at->state.absorbed + 1)));
      pool_.remember(at->state, part, at->key);
      remembered_.push_back({at->key, part});
    } else if (op == 8) {
      pool_.release(at->state);
      sequences_.erase(at);
    } else if (sequences_.size() < 6) {
      start();
    }
  }

  void start() {
    const auto& document = documents_[static_cast<size_t>(below(3))];
    auto prompt = slice(document, 0, static_cast<size_t>(below(700) + 1));
    for (TokenId id : random_tokens(static_cast<uint64_t>(below(5)), below(40), 2)) prompt.push_back(id);
    Sequence s = resumed(pool_, prompt, {below(2) == 0 ? "a" : "b", 0, 0});
    const int64_t known = longest_remembered(s.key, prompt);
    ASSERT_LE(s.state.absorbed, known);
    // Where nothing is ever forgotten or let go, it is found to the token.
    if (pool_.total_bytes() > kAmple && windows_ == std::vector<int64_t>{0}) {
      ASSERT_EQ(s.state.absorbed, known);
    }
    resumed_mid_page += s.state.absorbed % kPageTokens != 0 ? 1 : 0;
    resumed_far += s.state.absorbed > 200 ? 1 : 0;
    s.verify(windows_);
    sequences_.push_back(std::move(s));
    Sequence& placed = sequences_.back();
    for (size_t i = placed.tokens.size(); i < prompt.size(); i = placed.tokens.size()) {
      if (!feed(placed, slice(prompt, i, std::min(prompt.size(), i + 100)))) break;
    }
  }

  int64_t longest_remembered(const CacheKey& key, const std::vector<TokenId>& prompt) const {
    int64_t best = 0;
    for (const auto& [k, tokens] : remembered_) {
      if (!(k == key)) continue;
      int64_t n = 0;
      while (n < static_cast<int64_t>(std::min(tokens.size(), prompt.size() - 1)) &&
             tokens[static_cast<size_t>(n)] == prompt[static_cast<size_t>(n)])
        ++n;
      best = std::max(best, n);
    }
    return best;
  }

  bool feed(Sequence& s, const std::vector<TokenId>& tokens) {
    const auto pages = s.state.pages;
    const int64_t used = pool_.used_bytes(), cached = pool_.cached_bytes(), absorbed = s.state.absorbed;
    if (s.feed(pool_, tokens)) return true;
    ++refused;
    // Refused only for want of room: what it needed at most, a copy of each last page included.
    int64_t needed = 0;
    for (size_t g = 0; g < windows_.size(); ++g)
      needed += ((absorbed + static_cast<int64_t>(tokens.size()) + 63) / 64 - (absorbed + 63) / 64 + 1) * 4096;
    EXPECT_GT(used + needed, pool_.total_bytes());
    EXPECT_EQ(s.state.pages, pages);
    EXPECT_EQ(pool_.used_bytes(), used);
    EXPECT_EQ(pool_.cached_bytes(), cached);
    EXPECT_EQ(s.state.absorbed, absorbed);
    return false;
  }

  static constexpr int64_t kAmple = int64_t{4096} * 5000;
  std::vector<int64_t> windows_;
  StatePool pool_;
  uint64_t seed_, draws_ = 0;
  std::vector<std::vector<TokenId>> documents_;
  std::list<Sequence> sequences_;
  std::vector<std::pair<CacheKey, std::vector<TokenId>>> remembered_;
};

TEST(StatePoolRandom, OperationsWithAmpleRoom) {
  RandomOperations run(1, {0}, 20000);
  run.run(600);
  EXPECT_GT(run.resumed_mid_page, 20);
  EXPECT_GT(run.resumed_far, 20);
  EXPECT_EQ(run.refused, 0);
}

TEST(StatePoolRandom, OperationsInATightBudget) {
  int far = 0, refused = 0, rewound = 0, forked = 0;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    for (const auto& windows : {std::vector<int64_t>{0}, {0, 128}, {100}, {300, 64, 0}}) {
      RandomOperations run(seed, windows, static_cast<int64_t>(windows.size()) * 30);
      run.run(150);
      ASSERT_FALSE(HasFatalFailure()) << seed;
      far += run.resumed_far, refused += run.refused, rewound += run.rewound, forked += run.forked;
    }
  }
  EXPECT_GT(far, 20);
  EXPECT_GT(refused, 20);
  EXPECT_GT(rewound, 20);
  EXPECT_GT(forked, 20);
}

}  // namespace
}  // namespace godwit
