// Random operations against a naive model: no row is ever wrong, the books are right after each, and the budget holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <list>

#include "engine/state_model.h"

namespace godwit {
namespace {

/// Random operations on up to six sequences over a few documents, so that much is shared.
class RandomOperations {
 public:
  RandomOperations(uint64_t seed, std::vector<int64_t> windows, bool record, int64_t pages)
      : windows_(std::move(windows)),
        record_(record),
        pool_(layout_of(windows_, record), pages * 4096, 100),
        seed_(seed) {
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
      for (const Sequence& s : sequences_) {
        s.verify(windows_);
        ASSERT_EQ(s.state.record != nullptr, record_ && s.state.absorbed > 0);
      }
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (Sequence& s : sequences_) pool_.release(s.state);
    pool_.check({});
    ASSERT_EQ(pool_.used_bytes(), 0);
  }
  int resumed_mid_page = 0, resumed_mid_chunk = 0, resumed_far = 0, refused = 0, rewound = 0, forked = 0;

 private:
  int64_t below(int64_t n) { return static_cast<int64_t>(random_bits(seed_, 7, draws_++) % static_cast<uint64_t>(n)); }

  void one() {
    const int64_t op = below(10);
    if (sequences_.empty() || (op == 0 && sequences_.size() < 6)) return start();
    auto at = std::next(sequences_.begin(), below(static_cast<int64_t>(sequences_.size())));
    if (op <= 3) {
      feed(*at, random_tokens(static_cast<uint64_t>(below(1000)), 1 + below(100)));
    } else if (op == 4) {
      const int64_t from = at->state.absorbed, to = std::max<int64_t>(0, from - below(record_ ? 40 : 400));
      const int64_t landed = pool_.rewind(at->state, to);
      ASSERT_TRUE(landed == to || (landed == 0 && (windowed() || (record_ && to < last_edge(from)))));
      if (record_ && to < last_edge(from)) {
        ASSERT_EQ(landed, 0);
      }
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
      remember(*at, part);
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
    CacheKey key{below(2) == 0 ? "a" : "b", 0, 0};
    if (below(3) == 0 && !remembered_.empty()) {  // one that leaves a remembered one shortly before its end
      const Remembered& r = remembered_[static_cast<size_t>(below(static_cast<int64_t>(remembered_.size())))];
      const auto length = static_cast<int64_t>(r.tokens.size());
      prompt = slice(r.tokens, 0, static_cast<size_t>(std::max<int64_t>(0, length - below(40))));
      prompt.push_back(-1);
      key = r.key;
    }
    for (TokenId id : random_tokens(static_cast<uint64_t>(below(5)), below(40), 2)) prompt.push_back(id);
    Sequence s = resumed(pool_, prompt, key);
    const int64_t known = longest_remembered(s.key, prompt);
    ASSERT_LE(s.state.absorbed, known);
    // Where nothing is ever forgotten or let go, it is found to the token.
    if (pool_.total_bytes() > kAmple && !windowed()) {
      ASSERT_EQ(s.state.absorbed, known);
    }
    resumed_mid_chunk += record_ && s.state.now_at != s.state.absorbed ? 1 : 0;
    resumed_mid_page += s.state.absorbed % kPageTokens != 0 ? 1 : 0;
    resumed_far += s.state.absorbed > 200 ? 1 : 0;
    s.verify(windows_);
    sequences_.push_back(std::move(s));
    Sequence& placed = sequences_.back();
    for (size_t i = placed.tokens.size(); i < prompt.size(); i = placed.tokens.size()) {
      if (!feed(placed, slice(prompt, i, std::min(prompt.size(), i + 100)))) break;
      if (record_ && below(2) == 0) remember(placed, placed.tokens);
    }
  }

  void remember(const Sequence& s, const std::vector<TokenId>& tokens) {
    pool_.remember(s.state, tokens, s.key);
    const bool reached = record_ && static_cast<int64_t>(tokens.size()) >= last_edge(s.state.absorbed);
    remembered_.push_back({s.key, tokens, reached});
  }

  int64_t longest_remembered(const CacheKey& key, const std::vector<TokenId>& prompt) const {
    int64_t best = 0;
    for (const Remembered& r : remembered_) {
      if (!(r.key == key)) continue;
      const auto most = static_cast<int64_t>(std::min(r.tokens.size(), prompt.size() - 1));
      const int64_t n = std::mismatch(prompt.begin(), prompt.begin() + most, r.tokens.begin()).first - prompt.begin();
      // A record serves the positions of its own chunk.
      if (!record_ || (r.record && n >= last_edge(static_cast<int64_t>(r.tokens.size())))) best = std::max(best, n);
    }
    return best;
  }

  bool feed(Sequence& s, const std::vector<TokenId>& tokens) {
    const auto pages = s.state.pages;
    const int64_t used = pool_.used_bytes(), cached = pool_.cached_bytes(), absorbed = s.state.absorbed;
    if (s.feed(pool_, tokens)) return true;
    ++refused;
    // Refused only for want of room: what it needed at most, a copy of each last page included.
    int64_t needed = record_ ? 4096 : 0;
    for (size_t g = 0; g < windows_.size(); ++g)
      needed += ((absorbed + static_cast<int64_t>(tokens.size()) + 63) / 64 - (absorbed + 63) / 64 + 1) * 4096;
    EXPECT_GT(used + needed, pool_.total_bytes());
    EXPECT_EQ(s.state.pages, pages);
    EXPECT_EQ(pool_.used_bytes(), used);
    EXPECT_EQ(pool_.cached_bytes(), cached);
    EXPECT_EQ(s.state.absorbed, absorbed);
    return false;
  }

  bool windowed() const {
    return std::any_of(windows_.begin(), windows_.end(), [](int64_t window) { return window > 0; });
  }

  struct Remembered {
    CacheKey key;
    std::vector<TokenId> tokens;
    bool record;  // there was one that reached back to there
  };
  static constexpr int64_t kAmple = int64_t{4096} * 5000;
  std::vector<int64_t> windows_;
  bool record_;
  StatePool pool_;
  uint64_t seed_, draws_ = 0;
  std::vector<std::vector<TokenId>> documents_;
  std::list<Sequence> sequences_;
  std::vector<Remembered> remembered_;
};

TEST(StatePoolRandom, OperationsWithAmpleRoom) {
  for (const auto& windows : {std::vector<int64_t>{0}, {}}) {
    for (bool record : {false, true}) {
      if (windows.empty() && !record) continue;
      RandomOperations run(1, windows, record, 20000);
      run.run(600);
      ASSERT_FALSE(HasFatalFailure()) << windows.size() << " groups, record " << record;
      EXPECT_GT(run.resumed_mid_page, 20);
      EXPECT_GT(run.resumed_far, 10);
      EXPECT_EQ(run.resumed_mid_chunk > 10, record);
      EXPECT_EQ(run.refused, 0);
    }
  }
}

TEST(StatePoolRandom, OperationsInATightBudget) {
  int far = 0, refused = 0, rewound = 0, forked = 0, mid_chunk = 0;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    for (const auto& windows : {std::vector<int64_t>{0}, {0, 128}, {100}, {300, 64, 0}, {}}) {
      for (bool record : {false, true}) {
        if (windows.empty() && !record) continue;
        const auto pages = static_cast<int64_t>(windows.size()) * 30 + (record ? 6 : 0);
        RandomOperations run(seed, windows, record, pages);
        run.run(150);
        ASSERT_FALSE(HasFatalFailure()) << seed << ", " << windows.size() << " groups, record " << record;
        far += run.resumed_far, refused += run.refused, rewound += run.rewound, forked += run.forked;
        mid_chunk += run.resumed_mid_chunk;
      }
    }
  }
  EXPECT_GT(far, 20);
  EXPECT_GT(refused, 20);
  EXPECT_GT(rewound, 20);
  EXPECT_GT(forked, 20);
  EXPECT_GT(mid_chunk, 10);
}

}  // namespace
}  // namespace godwit
