// What commands share: finding and opening a model, checking that it fits, loading it behind a progress bar, its text.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cli/options.h"
#include "cli/progress.h"
#include "engine/runner.h"
#include "text/tokenizer.h"

namespace godwit {

/// The file or folder that MODEL names. Throws Error (kInvalid) saying where it looked.
std::string find_model(const std::string& name);

/// What --type says; nothing when it is not given. Throws Error (kUsage) for a type that nothing is encoded to.
std::optional<DType> weight_type(const ModelOptions& options);

/// Opens MODEL without reading weights.
std::unique_ptr<OpenModel> open_from(const ModelOptions& options);

/// Runner options from flags. `cache` is the command's default type of keys and values.
RunnerOptions runner_options(const ModelOptions& options, const OpenModel& open, DType cache);

/// What running takes of the machine. Working memory includes what the process has by now: its code, the file's tables
/// and, once it was opened, the tokenizer.
Fit fit_of_process(const OpenModel& open, const RunnerOptions& runner);

/// Bytes as the signed integers that memory is counted in here.
int64_t clamped(uint64_t bytes);

/// Throws Error (kMemory) unless weights, state and work fit what --memory or the machine grants. Weights that are read
/// where the file is mapped do not count.
void check_fits(const ModelOptions& options, const OpenModel& open, const RunnerOptions& runner);

/// Where not all sequences fit at their longest: gives the states what --memory or the machine leaves, in
/// `runner.state_budget`. The engine then decides who waits.
void limit_state(const ModelOptions& options, const OpenModel& open, RunnerOptions& runner);

/// Bytes of the file by type of weights, and as a line: "Q4_1 63.3 MiB, Q8_0 28.7 MiB".
std::map<std::string, int64_t> bytes_by_type(const Weights& weights);
std::string types_text(const std::map<std::string, int64_t>& bytes_by_type);
std::string mib(int64_t bytes);

/// Reads the weights behind a progress bar.
void load_weights(const OpenModel& open, Runner& runner, const TalkOptions& talk);

/// An opened, loaded model and its runner.
struct Session {
  std::unique_ptr<OpenModel> open;
  std::unique_ptr<Runner> runner;
  double load_s = 0;
};
/// Opens, lets `adjust` change the runner's options (may be empty), checks, loads.
Session start_session(const ModelOptions& options, const TalkOptions& talk, DType cache,
                      const std::function<void(const OpenModel&, RunnerOptions&)>& adjust);

/// What the model's files say about its tokenizer. Throws Error (kInvalid) when they contradict themselves.
Vocabulary vocabulary_of(const OpenModel& open);
/// What turns this model's text into ids and back; null when it has no tokenizer or one that this build does not know:
/// `why_not` says which.
std::unique_ptr<Tokenizer> open_tokenizer(const OpenModel& open, std::string& why_not);
/// The same for commands that need text. Throws Error (kInvalid) with the reason.
std::unique_ptr<Tokenizer> need_tokenizer(const OpenModel& open);

/// The ids that end an answer: the tokenizer's, else those that the file names; none with --ignore-eos. Ascending.
std::vector<TokenId> stop_ids(const SamplingFlags& flags, const OpenModel& open, const Tokenizer* tokenizer);

}  // namespace godwit
