// Flags that mean the same wherever they stand.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/sampling_defaults.h"
#include "engine/runner.h"
#include "engine/sampler.h"

namespace godwit {

/// How a model is named, laid out and run.
struct ModelOptions {
  std::string model;
  std::string config_text;  // instead of a file named by `model`: a config.json of random weights
  std::optional<uint64_t> random_seed;
  std::string type;  // of random weights (empty: q8_0) and of what is decoded at load (empty: f32)
  bool no_repack = false;
  std::string activations = "q8";
  std::string kv_type;  // empty: the command's default
  std::string numerics = "1";
  std::string memory;   // budget for weights and state; empty: what the machine grants
  int threads = 0;      // 0: all granted cores
  int64_t context = 0;  // 0: the model's maximum
};

/// How much is said, and in which form.
struct TalkOptions {
  bool json = false, quiet = false, verbose = false, no_color = false;
};

/// `one`: with MODEL itself, which is required.
void add_model_options(Command& command, ModelOptions& options, bool one = true);
void add_talk_options(Command& command, TalkOptions& options);

/// What -n, --temp and their like say; unset ones take the model's own defaults, then neutral ones.
struct SamplingFlags {
  std::optional<double> temp, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k;
  std::vector<std::string> logit_bias;  // "ID:VALUE"
  std::vector<std::string> stop;
  uint64_t seed = 0;
  bool greedy = false, ignore_eos = false;
  int64_t max_tokens = 0;
};
void add_sampling_options(Command& command, SamplingFlags& flags);
SamplingOptions sampling_from(const SamplingFlags& flags, const SamplingDefaults& defaults, int64_t vocab_size);

/// "1.5h": 1.5 and "h". Nothing where no number comes first.
std::optional<std::pair<double, std::string>> number_and_unit(const std::string& text);

/// A comma list of integers, each from least to most: "1,2,3". Throws Error (kUsage) naming the flag.
std::vector<int64_t> parse_integers(const std::string& text, const std::string& flag, int64_t least, int64_t most);

}  // namespace godwit
