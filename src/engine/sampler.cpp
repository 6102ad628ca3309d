#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/random.h"

namespace godwit {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kGreedyBelow = 1e-6;

// Two at a time, in the vector types of g++ and clang: what every x86-64 has.
using Doubles = double __attribute__((vector_size(16)));
using Words = uint64_t __attribute__((vector_size(16)));

/// exp(x) for x <= 0, within 1e-14 of the value; 0 below -700. T is double with Bits uint64_t, or Doubles with Words.
/// Only multiplications and additions of doubles, so all machines agree, which the system's exp does not promise.
template <class T, class Bits>
inline T exp_not_positive(T x) {
  constexpr double kLog2E = 1.4426950408889634, kLn2High = 0x1.62e42fefa3800p-1, kLn2Low = 0x1.ef35793c76730p-45;
  constexpr double kRound = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  constexpr double kLeast = -700;
  const T clamped = x < kLeast ? T{} + kLeast : x;
  const T shifted = clamped * kLog2E + kRound;
  const T k = shifted - kRound;
  const T r = (clamped - k * kLn2High) - k * kLn2Low;
  // Taylor to r^11, |r| <= ln(2) / 2.
  T p = r * (1.0 / 39916800) + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 1.0 / 2;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const T power = std::bit_cast<T>((std::bit_cast<Bits>(shifted) + uint64_t{1023}) << uint64_t{52});
  return x < kLeast ? T{} : p * power;
}

/// Probabilities relative to the likeliest token, whose weight is 1.
struct Weigher {
  double max, temp;
  double operator()(float logit) const {
    return exp_not_positive<double, uint64_t>((static_cast<double>(logit) - max) / temp);
  }
  Doubles two(const float* logits) const {
    const Doubles x = {logits[0], logits[1]};
    return exp_not_positive<Doubles, Words>((x - max) / temp);
  }
};

/// The sum of all weights: 16 lanes by id, then a tree.
double total_weight(std::span<const float> logits, Weigher weigh) {
  Doubles sums[8] = {};
  size_t i = 0;
  for (; i + 16 <= logits.size(); i += 16) {
    for (size_t j = 0; j < 8; ++j) sums[j] += weigh.two(&logits[i + 2 * j]);
  }
  double lanes[16];
  std::memcpy(lanes, sums, sizeof lanes);
  for (size_t lane = 0; i + lane < logits.size(); ++lane) lanes[lane] += weigh(logits[i + lane]);
  for (size_t width = 8; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

/// Logits in falling order, equal ones by rising id; sorted only as far as is looked at. Those within ever larger
/// distances of the highest are collected, and of these so many are sorted as are there already.
class Ranking {
 public:
  struct Entry {
    float logit;
    TokenId id;
  };

  Ranking(std::span<const float> logits, float max) : logits_(logits), max_(max) {}

  /// rank < logits.size().
  Entry operator[](size_t rank) {
    while (rank >= n_sorted_) extend();
    return entries_[rank];
  }

 private:
  void extend() {
    while (n_sorted_ == entries_.size()) collect();
    const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(n_sorted_);
    const size_t n = std::min(entries_.size() - n_sorted_, std::max<size_t>(n_sorted_, 1024));
    const auto last = first + static_cast<std::ptrdiff_t>(n);
    const auto before = [](const Entry& a, const Entry& b) {
      return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
    };
    if (last != entries_.end()) std::nth_element(first, last, entries_.end(), before);
    std::sort(first, last, before);
    n_sorted_ += n;
  }

  void collect() {
    const float least = distance_ > 64 ? -kInfinity : max_ - distance_;
    for (size_t i = 0; i < logits_.size(); ++i) {
      if (logits_[i] >= least && logits_[i] < collected_) entries_.push_back({logits_[i], static_cast<TokenId>(i)});
    }
    collected_ = least;
    distance_ *= 2;
  }

  std::span<const float> logits_;
  float max_;
  float distance_ = 4, collected_ = kInfinity;  // of the next collection; all from collected_ upwards are in entries_
  std::vector<Entry> entries_;
  size_t n_sorted_ = 0;
};

void check_logits(std::span<const float> logits, int64_t position) {
  CHECK(!logits.empty(), "no logits at position {}", position);
  bool good = true;
  for (float x : logits) good &= x < kInfinity;  // false for NaN
  if (!good) fail(ErrorKind::kFailed, "logits are not finite at position {}; the weights may be damaged", position);
}

size_t highest(std::span<const float> logits) {
  // Blocks that the compiler can compare in vectors; then the first of the best one's.
  constexpr size_t kBlock = 64;
  const size_t n = logits.size();
  size_t best = 0;
  float max = -kInfinity;
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, n);
    float lanes[4] = {-kInfinity, -kInfinity, -kInfinity, -kInfinity};
    size_t i = begin;
    for (; i + 4 <= end; i += 4) {
      for (size_t j = 0; j < 4; ++j) lanes[j] = logits[i + j] > lanes[j] ? logits[i + j] : lanes[j];
    }
    for (; i < end; ++i) lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
    const float most = std::max(std::max(lanes[0], lanes[1]), std::max(lanes[2], lanes[3]));
    if (most > max) {
      max = most;
      best = begin;
    }
  }
  while (logits[best] < max) ++best;
  return best;
}

bool changes_logits(const SamplingOptions& o) {
  return !o.logit_bias.empty() || o.repeat_penalty != 1 || o.presence_penalty != 0 || o.frequency_penalty != 0;
}

std::vector<float> changed_logits(std::span<const float> logits, const SamplingOptions& o,
                                  std::span<const TokenId> history) {
  std::vector<float> changed(logits.begin(), logits.end());
  const auto known = [&](TokenId id) { return id >= 0 && static_cast<size_t>(id) < logits.size(); };
  const auto set = [&](TokenId id, double logit) {
    changed[static_cast<size_t>(id)] =
        static_cast<float>(std::min<double>(logit, std::numeric_limits<float>::max()));  // never +infinity
  };
  for (const auto& [id, bias] : o.logit_bias) {
    if (known(id)) set(id, static_cast<double>(changed[static_cast<size_t>(id)]) + static_cast<double>(bias));
  }
  std::vector<int64_t> count(logits.size());
  if (o.repeat_penalty != 1) {
    const size_t n =
        o.repeat_last_n < 0 ? history.size() : std::min(history.size(), static_cast<size_t>(o.repeat_last_n));
    for (TokenId id : history.last(n)) {
      if (!known(id) || count[static_cast<size_t>(id)]++ > 0) continue;
      const double logit = changed[static_cast<size_t>(id)];
      set(id, logit > 0 ? logit / o.repeat_penalty : logit * o.repeat_penalty);
    }
  }
  if (o.presence_penalty == 0 && o.frequency_penalty == 0) return changed;
  std::fill(count.begin(), count.end(), 0);
  for (TokenId id : history) {
    if (known(id)) ++count[static_cast<size_t>(id)];
  }
  for (size_t i = 0; i < count.size(); ++i) {
    if (count[i] == 0) continue;
    const double penalty = o.presence_penalty + static_cast<double>(count[i]) * o.frequency_penalty;
    set(static_cast<TokenId>(i), static_cast<double>(changed[i]) - penalty);
  }
  return changed;
}

TokenId draw(std::span<const float> logits, float max, const SamplingOptions& o, double unit) {
  const Weigher weigh{max, o.temp};
  Ranking ranking(logits, max);
  // What is kept is always the first of the ranking: `kept` of them, of weight `total`.
  size_t kept = logits.size();
  double total = 0;
  if (o.top_k > 0 && static_cast<size_t>(o.top_k) < kept) {
    kept = static_cast<size_t>(o.top_k);
    for (size_t i = 0; i < kept; ++i) total += weigh(ranking[i].logit);
  } else {
    total = total_weight(logits, weigh);
  }
  if (o.top_p < 1 || o.min_p > 0) {
    const double enough = o.top_p < 1 ? o.top_p * total : std::numeric_limits<double>::infinity();
    double sum = 0;
    size_t n = 0;
    for (; n < kept && sum < enough; ++n) {
      const double weight = weigh(ranking[n].logit);
      if (weight == 0 || weight < o.min_p) break;
      sum += weight;
    }
    kept = n;
    total = sum;
  }
  double sum = 0;
  TokenId id = ranking[0].id;
  for (size_t i = 0; i < kept; ++i) {
    const double weight = weigh(ranking[i].logit);
    if (weight == 0) break;  // the draw fell on the rounding error at the end: the last that is possible
    sum += weight;
    id = ranking[i].id;
    if (sum > unit * total) break;
  }
  return id;
}

void check_range(const char* name, double value, double least, double most, const char* hint) {
  if (value >= least && value <= most) return;  // false for NaN
  fail(ErrorKind::kUsage, "{}: expected {} to {}, got {}; {}", name, least, most, value, hint);
}

}  // namespace

void check(const SamplingOptions& o) {
  check_range("temp", o.temp, 0, 100, "1 leaves the model's probabilities, 0 is greedy");
  if (!(o.top_p > 0 && o.top_p <= 1))
    fail(ErrorKind::kUsage, "top_p: expected more than 0 and at most 1, got {}; 1 keeps all tokens", o.top_p);
  check_range("min_p", o.min_p, 0, 1, "0 keeps all tokens");
  check_range("repeat_penalty", o.repeat_penalty, 0.01, 100, "1 changes nothing");
  check_range("presence_penalty", o.presence_penalty, -100, 100, "0 changes nothing");
  check_range("frequency_penalty", o.frequency_penalty, -100, 100, "0 changes nothing");
  if (o.top_k < 0) fail(ErrorKind::kUsage, "top_k: expected 0 or more, got {}; 0 keeps all tokens", o.top_k);
  if (o.repeat_last_n < -1)
    fail(ErrorKind::kUsage, "repeat_last_n: expected -1 or more, got {}; -1 is the whole history", o.repeat_last_n);
  for (const auto& [id, bias] : o.logit_bias) {
    if (id < 0) fail(ErrorKind::kUsage, "logit_bias: expected a token id, got {}", id);
    if (!(bias < kInfinity))
      fail(ErrorKind::kUsage, "logit_bias of token {}: expected a number or -inf, got {}; 100 all but forces the token",
           id, bias);
  }
}

TokenId sample(std::span<const float> logits, const SamplingOptions& o, std::span<const TokenId> history,
               int64_t position, uint64_t choice) {
  check_logits(logits, position);
  std::vector<float> changed;
  if (changes_logits(o)) logits = changed = changed_logits(logits, o, history);
  const size_t best = highest(logits);
  if (logits[best] == -kInfinity)
    fail(ErrorKind::kFailed, "no token is possible at position {}: every logit is -inf", position);
  if (o.greedy || o.temp < kGreedyBelow) return static_cast<TokenId>(best);
  return draw(logits, logits[best], o, random_unit(o.seed, choice, static_cast<uint64_t>(position)));
}

}  // namespace godwit
