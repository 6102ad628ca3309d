#include "cli/session.h"

#include <sys/stat.h>

#include <chrono>

#include "base/cpu.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/streams.h"
#include "formats/hf_folder.h"
#include "tensor/encode.h"
#include "text/tokenizer_json.h"
#include "text/vocabulary.h"

namespace godwit {
namespace {

bool exists(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0;
}

DType cache_type(const ModelOptions& o, DType otherwise) {
  return o.kv_type.empty() ? otherwise : *dtype_from_name(o.kv_type);
}

}  // namespace

int64_t clamped(uint64_t bytes) { return static_cast<int64_t>(std::min<uint64_t>(bytes, INT64_MAX)); }

std::string find_model(const std::string& name) {
  if (exists(name)) return name;
  const bool like_file =
      name.ends_with(".gguf") || name.ends_with(".json") || name.starts_with("/") || name.starts_with(".");
  if (like_file || name.find('/') == std::string::npos)
    invalid("{}: no such file or folder; a model is a .gguf file, a Hugging Face folder or org/name in its cache",
            printable_path(name));
  return find_in_hf_cache(name);
}

std::optional<DType> weight_type(const ModelOptions& o) {
  if (o.type.empty()) return std::nullopt;
  const auto type = dtype_from_name(o.type);
  if (!type || !can_encode(*type))
    fail(ErrorKind::kUsage, "--type {}: expected f32, f16, bf16, q8_0, q4_0, q4_1, q5_0 or q5_1",
         printable(o.type, 40));
  return type;
}

std::unique_ptr<OpenModel> open_from(const ModelOptions& o) {
  if (o.numerics != "1")
    fail(ErrorKind::kUsage, "--numerics {}: nothing needs it yet; the one order of adding is 1", o.numerics);
  OpenOptions options;
  options.load.repack = !o.no_repack;
  options.random_seed = o.random_seed;
  if (const auto type = weight_type(o)) options.load.decoded_type = options.random_type = *type;
  options.config_text = o.config_text;
  return open_model(o.config_text.empty() ? find_model(o.model) : o.model, options);
}

RunnerOptions runner_options(const ModelOptions& o, const OpenModel& open, DType cache) {
  RunnerOptions r;
  const int granted = granted_cores();
  r.threads = o.threads > 0 ? o.threads : granted;
  if (r.threads > granted)
    complain(fmt::format("warning: {} threads on {} granted cores: slower than -t {}", r.threads, granted, granted));
  r.level = static_cast<int>(cpu_level());
  r.exact = o.activations == "f32";
  r.cache = {cache_type(o, cache), cache_type(o, cache)};
  const int64_t most = open.model->context_length();
  if (o.context > most) complain(fmt::format("warning: -c {}: the model was trained for {}", o.context, most));
  r.context = o.context > 0 ? o.context : most;
  r.chunk = std::min<int64_t>(r.chunk, r.context);
  return r;
}

Fit fit_of_process(const OpenModel& open, const RunnerOptions& runner) {
  Fit need = fit(open, runner);
  need.work += static_cast<int64_t>(resident_memory());
  return need;
}

void check_fits(const ModelOptions& o, const OpenModel& open, const RunnerOptions& runner) {
  const Fit need = fit_of_process(open, runner);
  const auto mib = [](int64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; };
  const int64_t weights = need.weights - need.mapped;
  if (!o.memory.empty()) {
    const int64_t budget = clamped(parse_size(o.memory));
    if (weights + need.state > budget)
      fail(ErrorKind::kMemory, "{}: weights {} MiB and state {} MiB exceed --memory {} ({} MiB); lower -c or raise it",
           open.config.source, mib(weights), mib(need.state), o.memory, mib(budget));
  }
  const int64_t granted = clamped(granted_memory());
  if (need.total() > granted)
    fail(ErrorKind::kMemory, "{}: needs {} MiB (weights {}, state {}, work {}), the machine grants {} MiB; lower -c{}",
         open.config.source, mib(need.total()), mib(weights), mib(need.state), mib(need.work), mib(granted),
         o.no_repack || open.stored.files.empty() ? "" : ", or let --no-repack read weights from the file");
}

void limit_state(const ModelOptions& o, const OpenModel& open, RunnerOptions& runner) {
  const Fit need = fit_of_process(open, runner);
  // Some of what the machine grants stays free for tables, texts and the system.
  const int64_t weights = need.weights - need.mapped;
  int64_t left = clamped(granted_memory()) / 16 * 15 - weights - need.work;
  if (!o.memory.empty()) left = std::min(left, clamped(parse_size(o.memory)) - weights);
  if (left >= need.state) return;
  // All sequences are counted alike. Where not even one fits, check_fits says so.
  runner.state_budget = std::max(left, need.state / runner.sequences);
}

std::map<std::string, int64_t> bytes_by_type(const Weights& weights) {
  std::map<std::string, int64_t> bytes;
  for (const Parameter& p : weights.parameters())
    bytes[std::string(name(p.file_type))] += matrix_bytes(p.file_type, p.tensor.rows(), p.tensor.width());
  return bytes;
}

std::string types_text(const std::map<std::string, int64_t>& bytes_by_type) {
  std::string text;
  for (const auto& [type, bytes] : bytes_by_type)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", type, mib(bytes));
  return text;
}

std::string mib(int64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

void load_weights(const OpenModel& open, Runner& runner, const TalkOptions& talk) {
  Progress progress("loading", talk.quiet, true);
  open.weights->load(runner.threads(), [&](int64_t done, int64_t all) { progress.update(done, all); });
}

Session start_session(const ModelOptions& o, const TalkOptions& talk, DType cache,
                      const std::function<void(const OpenModel&, RunnerOptions&)>& adjust) {
  const auto start = std::chrono::steady_clock::now();
  Session session;
  session.open = open_from(o);
  RunnerOptions options = runner_options(o, *session.open, cache);
  if (adjust) adjust(*session.open, options);
  check_fits(o, *session.open, options);
  session.runner = std::make_unique<Runner>(*session.open, options);
  load_weights(*session.open, *session.runner, talk);
  session.load_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return session;
}

Vocabulary vocabulary_of(const OpenModel& open) {
  const bool folder = open.stored.container == Container::kHuggingFace;
  return folder ? vocabulary_from_hf(read_hf_tokenizer(open.stored.path)) : vocabulary_from(open.config);
}

std::unique_ptr<Tokenizer> open_tokenizer(const OpenModel& open, std::string& why_not) {
  if (open.stored.files.empty()) {
    why_not = "random weights have no tokenizer";
    return nullptr;
  }
  return make_tokenizer(vocabulary_of(open), why_not);
}

std::unique_ptr<Tokenizer> need_tokenizer(const OpenModel& open) {
  std::string why_not;
  auto tokenizer = open_tokenizer(open, why_not);
  if (tokenizer == nullptr) invalid("{}: text cannot be read: {}; use --ids", open.config.source, why_not);
  return tokenizer;
}

std::vector<TokenId> stop_ids(const SamplingFlags& flags, const OpenModel& open, const Tokenizer* tokenizer) {
  if (flags.ignore_eos) return {};
  if (tokenizer != nullptr) return tokenizer->stop_ids();
  std::vector<TokenId> ids;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (open.config.has(key)) ids.push_back(static_cast<TokenId>(open.config.integer(key)));
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace godwit
