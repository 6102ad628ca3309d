// The laws as comparisons: each runs a model in ways that must give the same bits and says where they first differ, or
// "" when they do not. laws_test.cpp holds the kernels to them; mutants_test.cpp shows that they see kernels that break
// them.
#pragma once

#include <algorithm>
#include <numeric>
#include <string_view>

#include "engine/harness.h"
#include "ops/context.h"
#include "temp_folder.h"

namespace godwit {

/// The registered architecture's tiny model with random weights of this type.
inline std::unique_ptr<OpenModel> tiny(const Architecture& architecture, DType type) {
  const TempFolder folder;
  OpenOptions options;
  options.random_seed = 11;
  options.random_type = type;
  return opened(folder.write("config.json", architecture.tiny), options);
}

/// Whether an architecture routes tokens to experts.
inline bool has_experts(const Architecture& a) {
  const std::string key = "num_experts_per_tok";
  return a.tiny.find(key) != std::string::npos || a.hf_classes[0].defaults.find(key) != std::string::npos;
}

/// Architectures that run the laws in few cases: every block of theirs is under all of them in another.
inline bool in_short(const Architecture& a) {
  constexpr std::string_view kShort[] = {"MixtralForCausalLM",  "Qwen2MoeForCausalLM",         "OlmoeForCausalLM",
                                         "GptOssForCausalLM",   "Glm4MoeForCausalLM",          "GraniteMoeForCausalLM",
                                         "Mistral4ForCausalLM", "MiniMaxM2ForCausalLM",        "GodwitForCausalLM",
                                         "Lfm2MoeForCausalLM",  "GraniteMoeHybridForCausalLM", "BambaForCausalLM",
                                         "nemotron_h",          "FalconH1ForCausalLM",         "JambaForCausalLM"};
  const auto listed = [&](const std::string& name) {
    return std::find(std::begin(kShort), std::end(kShort), name) != std::end(kShort);
  };
  return listed(a.hf_classes[0].name) || listed(a.name);
}

/// One way to run a model.
struct Way {
  std::string name;
  RunnerOptions options;
  std::optional<Kernels> kernels;  // instead of those of options.level
};

/// The first way against each of the others.
inline std::string first_broken(const OpenModel& open, const std::vector<TokenId>& ids, const std::vector<Way>& ways) {
  const auto first = all_logits(open, ways.front().options, ids, ways.front().kernels);
  for (size_t i = 1; i < ways.size(); ++i) {
    const auto got = all_logits(open, ways[i].options, ids, ways[i].kernels);
    if (!same_bits(first, got)) return fmt::format("{}: {}", ways[i].name, first_difference(first, got));
  }
  return "";
}

/// How a sequence is cut into chunks: against all of it at once.
inline std::string broken_by_chunks(const OpenModel& open, RunnerOptions options, const std::vector<TokenId>& ids,
                                    const std::vector<int64_t>& chunks, const std::optional<Kernels>& kernels = {}) {
  options.chunk = static_cast<int64_t>(ids.size());
  std::vector<Way> ways = {{"whole", options, kernels}};
  for (int64_t chunk : chunks) {
    options.chunk = chunk;
    ways.push_back({fmt::format("chunk {}", chunk), options, kernels});
  }
  return first_broken(open, ids, ways);
}

/// The number of threads: against one.
inline std::string broken_by_threads(const OpenModel& open, RunnerOptions options, const std::vector<TokenId>& ids,
                                     const std::vector<int>& threads, const std::optional<Kernels>& kernels = {}) {
  options.threads = 1;
  std::vector<Way> ways = {{"1 thread", options, kernels}};
  for (int n : threads) {
    options.threads = n;
    ways.push_back({fmt::format("{} threads", n), options, kernels});
  }
  return first_broken(open, ids, ways);
}

/// The CPU level: against the first of them.
inline std::string broken_by_levels(const OpenModel& open, const RunnerOptions& options,
                                    const std::vector<TokenId>& ids, const std::vector<Kernels>& levels) {
  std::vector<Way> ways;
  for (const Kernels& kernels : levels) ways.push_back({fmt::format("level {}", ways.size()), options, kernels});
  return first_broken(open, ids, ways);
}

// ---------------------------------------------------------------- company

inline constexpr int64_t kMostRows = 64;

/// The random choices of one run.
class Draws {
 public:
  explicit Draws(uint64_t seed) : seed_(seed) {}
  /// In [0, below).
  int64_t operator()(int64_t below) {
    return static_cast<int64_t>(random_bits(seed_, 1, n_++) % static_cast<uint64_t>(below));
  }
  /// How many tokens a step brings of a sequence: half the time one, as in decoding, else up to 8 or 40.
  int64_t piece() { return (*this)(2) == 0 ? 1 : 1 + (*this)((*this)(2) == 0 ? 40 : 8); }

 private:
  uint64_t seed_, n_ = 0;
};

/// Sequences that come, at position 0 or somewhere in a long text, are fed now and then, and go.
class Neighbours {
 public:
  static constexpr int64_t kTextTokens = 700;  // of the long text; also where the oldest go

  Neighbours(Runner& runner, Draws& draw) : runner_(runner), draw_(draw), all_(kMostRows) {
    text_.rope_length = kTextTokens;
    runner_.feed(text_, random_ids(1, kTextTokens, runner_.model().vocab_size()), Want::kNone, {});
  }
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;
  ~Neighbours() {
    for (Neighbour& each : all_) runner_.pool().release(each.state);
    runner_.pool().release(text_);
  }

  /// Appends one of them with its next tokens, at most `most`; calls with n one after the other give each but once.
  void feed(int64_t n, int64_t most, std::vector<Runner::Feed>& feeds) {
    Neighbour& each = all_[static_cast<size_t>(n % kMostRows)];
    if (each.state.absorbed > kTextTokens || draw_(16) == 0) leave(each);
    if (each.state.absorbed == 0) come(each);
    each.tokens =
        random_ids(static_cast<uint64_t>(draw_(1 << 30)), std::min(draw_.piece(), most), runner_.model().vocab_size());
    feeds.push_back({&each.state, each.tokens, Want::kAll});
  }

 private:
  struct Neighbour {
    SequenceState state;
    std::vector<TokenId> tokens;  // of this step
  };
  void leave(Neighbour& each) { runner_.pool().release(each.state); }
  void come(Neighbour& each) {
    if (draw_(2) == 0) {
      each.state.rope_length = 1 + draw_(kTextTokens);
    } else {
      each.state = runner_.pool().fork(text_).value();
      runner_.pool().rewind(each.state, draw_(kTextTokens + 1));
    }
  }

  Runner& runner_;
  Draws& draw_;
  SequenceState text_;
  std::vector<Neighbour> all_;
};

/// Who is computed beside a sequence: `ids` alone against the same tokens in n_batches steps of 1 to 64 sequences. They
/// arrive at random times, lie anywhere in the batch, come in random pieces, and leave after all of them or earlier.
inline std::string broken_by_company(const OpenModel& open, RunnerOptions options, const std::vector<TokenId>& ids,
                                     int64_t n_batches, uint64_t seed, const std::optional<Kernels>& kernels = {}) {
  const auto alone = all_logits(open, options, ids, kernels);
  const auto vocab = static_cast<size_t>(open.model->vocab_size());
  options.chunk = 5 * kMostRows;
  options.context = Neighbours::kTextTokens + options.chunk;
  options.sequences = kMostRows + 2;  // all neighbours, their text, and ours
  Runner runner(open, options, kernels);
  Draws draw(seed);
  Neighbours neighbours(runner, draw);
  SequenceState ours;
  int64_t leaves_at = 0;
  std::string broken;
  for (int64_t batch = 0; batch < n_batches && broken.empty();) {
    // The fewest and the most sequences occur for certain, few of them often; some steps only decode, some are without
    // us.
    const int64_t n_rows = batch == 0 ? 1 : batch == 1 ? kMostRows : 1 + draw(draw(2) == 0 ? 8 : kMostRows);
    const bool decode = draw(4) == 0;
    const int64_t place = batch < 2 || draw(8) > 0 ? draw(n_rows) : -1;
    const int64_t first_neighbour = draw(kMostRows);
    if (ours.absorbed == 0) {
      ours.rope_length = static_cast<int64_t>(ids.size());
      leaves_at = draw(2) == 0 ? ours.rope_length : 1 + draw(ours.rope_length / 4);
    }
    int64_t room = options.chunk - n_rows;  // tokens that pieces may have besides their first
    std::vector<Runner::Feed> feeds;
    for (int64_t i = 0; i < n_rows; ++i) {
      const int64_t most = decode ? 1 : room + 1;
      if (i == place) {
        const auto rest = std::span(ids).subspan(static_cast<size_t>(ours.absorbed));
        const int64_t count = std::min({draw.piece(), most, static_cast<int64_t>(rest.size())});
        feeds.push_back({&ours, rest.first(static_cast<size_t>(count)), Want::kAll});
      } else {
        neighbours.feed(first_neighbour + i, most, feeds);
      }
      room -= static_cast<int64_t>(feeds.back().tokens.size()) - 1;
    }
    runner.step(feeds, [&](size_t f, int64_t position, Tensor logits) {
      if (feeds[f].state != &ours || !broken.empty()) return;
      const float* expected = alone.data() + static_cast<size_t>(position) * vocab;
      const std::vector<float> a(expected, expected + logits.size()), b(logits.f32(), logits.f32() + logits.size());
      if (!same_bits(a, b))
        broken = fmt::format("batch {} of {} sequences, from position {}: {}", batch, n_rows, position,
                             first_difference(a, b));
    });
    batch += place >= 0 ? 1 : 0;
    if (ours.absorbed >= leaves_at) runner.pool().release(ours);
  }
  runner.pool().release(ours);
  return broken;
}

// ---------------------------------------------------------------- order

/// Where in a batch a sequence lies: n sequences of random lengths, prompts and then single tokens, against the same
/// in n_orders other orders.
inline std::string broken_by_order(const OpenModel& open, RunnerOptions options, int64_t n, int64_t n_orders,
                                   uint64_t seed, const std::optional<Kernels>& kernels = {}) {
  constexpr int64_t kSingle = 4;
  Draws draw(seed);
  std::vector<std::vector<TokenId>> ids;
  int64_t in_all = 0, most = 0;
  for (int64_t i = 0; i < n; ++i) {
    ids.push_back(random_ids(seed + static_cast<uint64_t>(i), 1 + draw(40) + kSingle, open.model->vocab_size()));
    in_all += static_cast<int64_t>(ids.back().size());
    most = std::max(most, static_cast<int64_t>(ids.back().size()));
  }
  options.chunk = in_all;
  options.context = most;
  options.sequences = n;
  const auto run = [&](const std::vector<size_t>& order) {
    Runner runner(open, options, kernels);
    std::vector<SequenceState> states(ids.size());
    std::vector<std::vector<float>> logits(ids.size());
    for (int64_t step = 0; step <= kSingle; ++step) {
      std::vector<Runner::Feed> feeds;
      for (const size_t i : order) {
        const auto rest = std::span(ids[i]).subspan(static_cast<size_t>(states[i].absorbed));
        const size_t count = step == 0 ? rest.size() - static_cast<size_t>(kSingle) : 1;
        feeds.push_back({&states[i], rest.first(count), Want::kAll});
      }
      runner.step(feeds, [&](size_t f, int64_t, Tensor l) {
        logits[order[f]].insert(logits[order[f]].end(), l.f32(), l.f32() + l.size());
      });
    }
    for (SequenceState& state : states) runner.pool().release(state);
    return logits;
  };
  std::vector<size_t> order(ids.size());
  std::iota(order.begin(), order.end(), 0);
  const auto expected = run(order);
  for (int64_t k = 0; k < n_orders; ++k) {
    if (k == 0) std::reverse(order.begin(), order.end());
    for (size_t i = order.size(); k > 0 && i > 1; --i)
      std::swap(order[i - 1], order[static_cast<size_t>(draw(static_cast<int64_t>(i)))]);
    const auto got = run(order);
    for (size_t i = 0; i < ids.size(); ++i)
      if (!same_bits(expected[i], got[i]))
        return fmt::format("order {}, sequence {}: {}", k, i, first_difference(expected[i], got[i]));
  }
  return "";
}

}  // namespace godwit
