#include "cli/prompts.h"

#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iostream>
#include <mutex>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "engine/engine.h"

namespace godwit {
namespace {

constexpr size_t kMostLineBytes = size_t{64} << 20;

// ---------------------------------------------------------------- the files

/// The lines of a file or of stdin, blank ones left out.
class Lines {
 public:
  explicit Lines(const std::string& path) {
    if (path == "-") return;
    file_.open(path, std::ios::binary);
    if (!file_) fail(ErrorKind::kUsage, "--prompts {}: {}", printable_path(path), std::strerror(errno));
    struct stat status {};
    if (stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) size_ = status.st_size;
  }

  /// False at the end. What goes beyond kMostLineBytes is cut off.
  bool next(std::string& line) {
    std::istream& in = file_.is_open() ? file_ : std::cin;
    for (line.clear(); line.find_first_not_of(" \t\r") == std::string::npos;) {
      line.clear();
      if (in.peek() == std::istream::traits_type::eof()) return false;
      ++number_;
      for (int c = in.get(); c != '\n' && c != std::istream::traits_type::eof(); c = in.get()) {
        ++read_;
        if (line.size() <= kMostLineBytes) line.push_back(static_cast<char>(c));
      }
      ++read_;
    }
    return true;
  }
  int64_t number() const { return number_; }
  int64_t bytes_read() const { return read_; }
  int64_t bytes() const { return size_; }  // 0: not known

 private:
  std::ifstream file_;
  int64_t number_ = 0, read_ = 0, size_ = 0;
};

/// Where answers go, a whole line at a time.
class Output {
 public:
  explicit Output(const PromptsOptions& o) {
    if (o.output.empty()) {
      if (o.resume) fail(ErrorKind::kUsage, "--resume needs -o OUTPUT: what stdout had is not known");
      return;
    }
    const bool exists = access(o.output.c_str(), F_OK) == 0;
    if (exists && !o.resume)
      fail(ErrorKind::kUsage, "{}: exists already; --resume goes on after its last line", printable_path(o.output));
    if (exists) find_end(o.output);
    file_ = std::fopen(o.output.c_str(), "ab");
    if (file_ == nullptr) fail(ErrorKind::kFailed, "{}: {}", printable_path(o.output), std::strerror(errno));
  }
  ~Output() {
    if (file_ != nullptr) std::fclose(file_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// The number of the input's line that was answered last.
  int64_t last_line() const { return last_line_; }

  void write(const Json& answer) {
    const std::string line = dump_json(answer) + '\n';
    std::FILE* to = file_ != nullptr ? file_ : stdout;
    if (std::fwrite(line.data(), 1, line.size(), to) != line.size() || std::fflush(to) != 0)
      fail(ErrorKind::kFailed, "writing answers: {}; --resume goes on from here", std::strerror(errno));
  }

 private:
  /// Reads what an earlier run left. A last line that was cut off in the middle goes, and is answered again.
  void find_end(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::string line, last;
    int64_t whole = 0;
    while (std::getline(in, line) && !in.eof()) {
      whole += static_cast<int64_t>(line.size()) + 1;
      last.swap(line);
    }
    if (!last.empty()) {
      const Json json = parse_json(last, path);
      if (!json.is_object() || !json.contains("line") || !json["line"].is_number_integer())
        invalid("{}: its last whole line has no number \"line\": it is no output of run --prompts",
                printable_path(path));
      last_line_ = json["line"].get<int64_t>();
    }
    in.close();
    if (truncate(path.c_str(), whole) != 0)
      fail(ErrorKind::kFailed, "{}: {}", printable_path(path), std::strerror(errno));
  }

  std::FILE* file_ = nullptr;
  int64_t last_line_ = 0;
};

// ---------------------------------------------------------------- a line's request

/// The value of `key` when the line has it, checked by `is`. Throws Error (kUsage) naming the key.
const Json* field(const Json& line, const char* key, bool (Json::*is)() const noexcept, const char* expected) {
  const auto found = line.find(key);
  if (found == line.end() || found->is_null()) return nullptr;
  if (!(*found.*is)()) fail(ErrorKind::kUsage, "{}: expected {}", key, expected);
  return &*found;
}

void read_number(const Json& line, const char* key, double& value) {
  if (const Json* v = field(line, key, &Json::is_number, "a number")) value = v->get<double>();
}
template <class T>
void read_integer(const Json& line, const char* key, T& value, bool negative = false) {
  const Json* v = field(line, key, &Json::is_number_integer, "an integer");
  if (v == nullptr) return;
  if (!negative && v->is_number_integer() && !v->is_number_unsigned() && v->get<int64_t>() < 0)
    fail(ErrorKind::kUsage, "{} {}: expected at least 0", key, v->get<int64_t>());
  value = v->get<T>();
}

std::vector<std::string> stops_of(const Json& line, std::vector<std::string> otherwise) {
  const auto found = line.find("stop");
  if (found == line.end() || found->is_null()) return otherwise;
  if (found->is_string()) return {found->get<std::string>()};
  std::vector<std::string> stops;
  const bool list = found->is_array();
  for (const Json& stop : *found) {
    if (!list || !stop.is_string()) fail(ErrorKind::kUsage, "stop: expected a string or a list of strings");
    stops.push_back(stop.get<std::string>());
  }
  if (!list) fail(ErrorKind::kUsage, "stop: expected a string or a list of strings");
  return stops;
}

/// What all lines start from.
struct Defaults {
  Request request;
  std::vector<std::string> stops;
  const Tokenizer* tokenizer = nullptr;
};

std::vector<TokenId> prompt_of(const Json& line, const Defaults& defaults) {
  const Json* text = field(line, "prompt", &Json::is_string, "a string");
  const Json* ids = field(line, "ids", &Json::is_array, "a list of token ids");
  if ((text == nullptr) == (ids == nullptr)) fail(ErrorKind::kUsage, "expected either \"prompt\" or \"ids\"");
  std::vector<TokenId> prompt;
  if (ids != nullptr) {
    for (const Json& id : *ids) {
      if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
        fail(ErrorKind::kUsage, "ids: expected a list of token ids");
      prompt.push_back(id.get<TokenId>());
    }
    return prompt;
  }
  if (text->get_ref<const std::string&>().empty()) fail(ErrorKind::kUsage, "prompt: empty");
  if (defaults.tokenizer == nullptr) fail(ErrorKind::kUsage, "prompt: this model has no tokenizer; give \"ids\"");
  return defaults.tokenizer->encode(text->get_ref<const std::string&>());
}

/// One line on its way.
struct Job {
  int64_t line = 0;
  Json id;  // null: it has none
  int64_t prompt_tokens = 0;
  std::optional<AnswerText> answer;
  std::optional<Completion> completion;  // empty once it has ended
  Outcome outcome;
  std::optional<Error> error;

  Json as_json() const {
    Json json = {{"line", line}};
    if (!id.is_null()) json["id"] = id;
    if (error) {
      const bool theirs = error->kind() == ErrorKind::kUsage || error->kind() == ErrorKind::kInvalid;
      json["error"] = {{"message", error->what()}, {"type", theirs ? "invalid_request_error" : "server_error"}};
      return json;
    }
    json["text"] = answer->text();
    json["ids"] = answer->ids();
    json["prompt_tokens"] = prompt_tokens;
    json["completion_tokens"] = answer->ids().size();
    json["finish_reason"] = answer->finish_name(outcome.finish);
    return json;
  }
};

/// Parses a line and submits it. What is wrong with it becomes the job's error.
void start(Job& job, const std::string& text, const Defaults& defaults, Engine& engine) {
  try {
    if (text.size() > kMostLineBytes) invalid("the line has over {} MiB", kMostLineBytes >> 20);
    const Json line = parse_json(text, fmt::format("line {}", job.line), 64);
    if (!line.is_object()) invalid("line {}: expected an object", job.line);
    if (const auto id = line.find("id"); id != line.end()) job.id = *id;
    Request request = defaults.request;
    read_integer(line, "max_tokens", request.max_tokens);
    read_number(line, "temperature", request.sampling.temp);
    read_integer(line, "top_k", request.sampling.top_k);
    read_number(line, "top_p", request.sampling.top_p);
    read_number(line, "min_p", request.sampling.min_p);
    read_integer(line, "seed", request.sampling.seed, true);
    if (line.contains("temperature")) request.sampling.greedy = false;
    job.answer.emplace(defaults.tokenizer, stops_of(line, defaults.stops));
    request.prompt = prompt_of(line, defaults);
    job.prompt_tokens = static_cast<int64_t>(request.prompt.size());
    job.completion = engine.submit(std::move(request));
  } catch (const Error& error) {
    job.error = error;
  }
}

/// Takes what has come for the job. True once it has ended.
bool progress_of(Job& job) {
  if (!job.completion) return true;
  std::vector<TokenId> ids;
  const bool ended = job.completion->take(ids);
  for (size_t i = 0; i < ids.size() && !job.answer->stopped(); ++i) job.answer->push(ids[i]);
  if (!ended && !job.answer->stopped()) return false;
  if (job.answer->stopped()) job.completion->cancel();
  job.answer->finish();
  job.outcome = job.completion->outcome();
  job.error = job.outcome.error;
  job.completion.reset();
  return true;
}

/// Rings when any answer has news.
class Bell {
 public:
  void ring() {
    {
      const std::lock_guard lock(mutex_);
      rung_ = true;
    }
    heard_.notify_one();
  }
  /// Waits for a ring since the last wait, or a tenth of a second (for Ctrl-C).
  void wait() {
    std::unique_lock lock(mutex_);
    heard_.wait_for(lock, std::chrono::milliseconds(100), [&] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable heard_;
  bool rung_ = false;
};

struct Totals {
  int64_t lines = 0, errors = 0, prompt_tokens = 0, tokens = 0;
};

Totals answer_all(Engine& engine, const Defaults& defaults, Lines& lines, Output& output, Bell& bell, int64_t parallel,
                  bool quiet) {
  Totals totals;
  Progress progress("answering", quiet, true);
  std::deque<Job> jobs;  // in the order of their lines: not yet written
  std::string text;
  bool more = true;
  while (lines.number() < output.last_line() && more) more = lines.next(text);
  while (!interrupted()) {
    int64_t running = 0;
    for (Job& job : jobs) running += progress_of(job) ? 0 : 1;
    // As many again wait in the engine's queue, so that no place stays empty; lines that are done wait for their turn.
    while (more && running < 2 * parallel && static_cast<int64_t>(jobs.size()) < 64 * parallel) {
      more = lines.next(text);
      if (!more) break;
      jobs.emplace_back();
      jobs.back().line = lines.number();
      start(jobs.back(), text, defaults, engine);
      running += jobs.back().completion ? 1 : 0;
    }
    for (; !jobs.empty() && !jobs.front().completion; jobs.pop_front()) {
      const Job& job = jobs.front();
      output.write(job.as_json());
      ++totals.lines;
      totals.errors += job.error ? 1 : 0;
      totals.prompt_tokens += job.error ? 0 : job.prompt_tokens;
      totals.tokens += job.error ? 0 : static_cast<int64_t>(job.answer->ids().size());
      if (lines.bytes() > 0) progress.update(lines.bytes_read(), lines.bytes());
    }
    if (jobs.empty() && !more) break;
    if (running > 0) bell.wait();
  }
  return totals;
}

}  // namespace

void run_prompts(const ModelOptions& model, const TalkOptions& talk, const SamplingFlags& sampling,
                 const PromptsOptions& o) {
  Lines lines(o.file);
  Output output(o);
  Session session = start_session(model, talk, DType::kF16, [&](const OpenModel& open, RunnerOptions& r) {
    r.sequences = o.parallel;
    limit_state(model, open, r);
  });
  Bell bell;
  Defaults defaults;
  std::string why_not;
  const auto tokenizer = open_tokenizer(*session.open, why_not);
  defaults.tokenizer = tokenizer.get();
  defaults.stops = sampling.stop;
  defaults.request.sampling = sampling_from(sampling, session.open->model->vocab_size());
  defaults.request.max_tokens = sampling.max_tokens;
  defaults.request.stop_ids = stop_ids(sampling, *session.open, tokenizer.get());
  defaults.request.n_tokens = tokenizer != nullptr ? tokenizer->size() : 0;
  defaults.request.on_news = [&] { bell.ring(); };

  const auto start = std::chrono::steady_clock::now();
  Engine engine(*session.runner, {.rows = o.parallel, .on_step = {}});
  const Totals t = answer_all(engine, defaults, lines, output, bell, o.parallel, talk.quiet);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!talk.quiet)
    fmt::print(stderr, "{} lines ({} errors) in {:.1f} s: {} prompt tokens, {} tokens, {:.1f} tok/s{}\n", t.lines,
               t.errors, seconds, t.prompt_tokens, t.tokens, static_cast<double>(t.tokens) / std::max(1e-9, seconds),
               interrupted() ? "; interrupted, --resume goes on" : "");
}

}  // namespace godwit
