#include "cli/prompts.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <fstream>
#include <mutex>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/streams.h"
#include "engine/engine.h"

namespace godwit {
namespace {

constexpr size_t kMostLineBytes = size_t{64} << 20;

// ---------------------------------------------------------------- the files

/// The lines of a file or of stdin, blank ones left out.
class Lines {
 public:
  explicit Lines(const std::string& path) : path_(path == "-" ? "stdin" : printable_path(path)) {
    fd_ = path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0 || fstat(fd_, &status_) != 0) invalid("--prompts {}: {}", path_, std::strerror(errno));
    if (S_ISDIR(status_.st_mode)) invalid("--prompts {}: is a folder", path_);
    buffer_.resize(size_t{1} << 16);
  }
  ~Lines() { close(fd_); }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  enum class Next { kLine, kEnd, kLater };
  /// The next line, waiting for input at most so long: then kLater. What goes beyond kMostLineBytes is cut off.
  Next next(std::string& line, int wait_ms) {
    while (true) {
      const char* begin = buffer_.data() + at_;
      const char* newline = static_cast<const char*>(std::memchr(begin, '\n', end_ - at_));
      const size_t n = newline != nullptr ? static_cast<size_t>(newline - begin) : end_ - at_;
      partial_.append(begin, std::min(n, kMostLineBytes + 1 - std::min(partial_.size(), kMostLineBytes + 1)));
      at_ += n + (newline != nullptr ? 1 : 0);
      bool end = false;
      if (newline == nullptr) {
        const Next more = fill(wait_ms);
        if (more == Next::kLater) return more;
        if (more == Next::kLine) continue;
        end = true;
        if (partial_.empty()) return Next::kEnd;
      }
      ++number_;
      line.swap(partial_);
      partial_.clear();
      if (line.find_first_not_of(" \t\r") != std::string::npos) return Next::kLine;
      if (end) return Next::kEnd;
    }
  }
  int64_t number() const { return number_; }
  int64_t bytes_read() const { return read_; }
  int64_t bytes() const { return S_ISREG(status_.st_mode) ? status_.st_size : 0; }  // 0: not known
  bool is_file(const struct stat& other) const {
    return other.st_dev == status_.st_dev && other.st_ino == status_.st_ino;
  }

 private:
  /// Reads on: kLine when there is more.
  Next fill(int wait_ms) {
    pollfd ready{fd_, POLLIN, 0};
    if (poll(&ready, 1, wait_ms) <= 0) return Next::kLater;
    const ssize_t n = read(fd_, buffer_.data(), buffer_.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return Next::kLater;
    if (n < 0) fail(ErrorKind::kFailed, "--prompts {}: {}", path_, std::strerror(errno));
    at_ = 0;
    end_ = static_cast<size_t>(n);
    read_ += n;
    return n == 0 ? Next::kEnd : Next::kLine;
  }

  std::string path_;
  int fd_ = -1;
  struct stat status_ {};
  std::vector<char> buffer_;
  size_t at_ = 0, end_ = 0;
  std::string partial_;
  int64_t number_ = 0, read_ = 0;
};

/// What an earlier run left in an output.
struct Left {
  int64_t last_line = 0;  // the number of the input's line that was answered last
  int64_t bytes = 0;      // of whole lines
};

/// Throws Error (kUsage) unless the file is the output of a run --prompts, perhaps cut off in its last line.
Left read_output(const std::string& path) {
  const std::string name = printable_path(path);
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {};
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::kUsage, "--resume {}: not a regular file", name);
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(ErrorKind::kUsage, "--resume {}: {}", name, std::strerror(errno));
  Left left;
  std::string line, last;
  while (std::getline(in, line) && !in.eof()) {
    left.bytes += static_cast<int64_t>(line.size()) + 1;
    if (!line.empty()) last.swap(line);
    line.clear();
  }
  if (in.bad()) fail(ErrorKind::kFailed, "{}: {}", name, std::strerror(errno));
  // What stands after the last whole line must be the beginning of one of ours.
  const std::string_view start = "{\"line\":";
  bool ours = line.substr(0, start.size()) == start.substr(0, line.size());
  if (!last.empty()) {
    const Json json = Json::parse(last, nullptr, /*allow_exceptions=*/false);
    ours = ours && json.is_object() && json.contains("line") && json["line"].is_number_unsigned() &&
           json["line"].get<uint64_t>() - 1 < uint64_t{1} << 62;
    if (ours) left.last_line = json["line"].get<int64_t>();
  }
  if (!ours) fail(ErrorKind::kUsage, "--resume {}: not the output of run --prompts; nothing was changed", name);
  return left;
}

/// Where answers go, a whole line at a time.
class Output {
 public:
  /// Only looks: the file is opened when there is a model.
  Output(const PromptsOptions& o, const Lines& lines) : path_(o.output) {
    if (path_.empty()) {
      if (o.resume) fail(ErrorKind::kUsage, "--resume needs -o OUTPUT: what stdout had is not known");
      return;
    }
    struct stat status {};
    const bool exists = stat(path_.c_str(), &status) == 0;
    if (exists && lines.is_file(status))
      fail(ErrorKind::kUsage, "-o {}: is the file of prompts itself", printable_path(path_));
    if (exists && !o.resume)
      fail(ErrorKind::kUsage, "{}: exists already; --resume goes on after its last line", printable_path(path_));
    read_output(path_);
  }
  ~Output() {
    if (fd_ >= 0) close(fd_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Opens the file for this run alone. A last line that was cut off goes, and is answered again.
  void open() {
    if (path_.empty()) return;
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd_ < 0) fail(ErrorKind::kFailed, "{}: {}", printable_path(path_), std::strerror(errno));
    if (flock(fd_, LOCK_EX | LOCK_NB) != 0)
      fail(ErrorKind::kUsage, "{}: another run is writing it", printable_path(path_));
    const Left left = read_output(path_);
    last_line_ = left.last_line;
    if (ftruncate(fd_, left.bytes) != 0)
      fail(ErrorKind::kFailed, "{}: {}", printable_path(path_), std::strerror(errno));
  }

  int64_t last_line() const { return last_line_; }

  void write(const Json& answer) {
    const std::string line = dump_json(answer) + '\n';
    const int fd = fd_ >= 0 ? fd_ : STDOUT_FILENO;
    for (size_t done = 0; done < line.size();) {
      const ssize_t n = ::write(fd, line.data() + done, line.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        fail(ErrorKind::kFailed, "writing answers: {}{}", std::strerror(errno),
             fd_ >= 0 ? "; --resume goes on from here" : "");
      done += static_cast<size_t>(n);
    }
  }

 private:
  std::string path_;
  int fd_ = -1;
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
  if (!negative && (!v->is_number_unsigned() || v->get<uint64_t>() > INT64_MAX))
    fail(ErrorKind::kUsage, "{}: expected an integer from 0 to 2^63 - 1", key);
  value = v->get<T>();
}

std::vector<std::string> stops_of(const Json& line, std::vector<std::string> otherwise) {
  const auto found = line.find("stop");
  if (found == line.end() || found->is_null()) return otherwise;
  if (found->is_string()) return {found->get<std::string>()};
  const auto is_text = [](const Json& stop) { return stop.is_string(); };
  if (!found->is_array() || !std::all_of(found->begin(), found->end(), is_text))
    fail(ErrorKind::kUsage, "stop: expected a string or a list of strings");
  return found->get<std::vector<std::string>>();
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
  } catch (const std::bad_alloc&) {
    job.error = Error(ErrorKind::kMemory, "out of memory");  // where that is refused too, the program ends: exit 4
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
  while (!interrupted()) {
    int64_t running = 0;
    for (Job& job : jobs) running += progress_of(job) ? 0 : 1;
    // As many again wait in the engine's queue, so that no place stays empty; lines that are done wait for their turn.
    while (more && running < 2 * parallel && static_cast<int64_t>(jobs.size()) < 64 * parallel && !interrupted()) {
      const bool idle = jobs.empty();
      const Lines::Next next = lines.next(text, idle ? 100 : 0);
      if (next == Lines::Next::kLater) {
        if (idle) continue;
        break;
      }
      more = next == Lines::Next::kLine;
      if (!more && lines.number() < output.last_line())
        fail(ErrorKind::kUsage, "--resume: the output has line {}, but the prompts end at line {}", output.last_line(),
             lines.number());
      if (!more || lines.number() <= output.last_line()) continue;
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
  StopMatcher(sampling.stop);  // what is wrong with a flag is not the lines' fault
  Lines lines(o.file);
  Output output(o, lines);
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
  defaults.request.sampling =
      sampling_from(sampling, sampling_defaults_of(*session.open), session.open->model->vocab_size());
  defaults.request.max_tokens = sampling.max_tokens;
  defaults.request.stop_ids = stop_ids(sampling, *session.open, tokenizer.get());
  defaults.request.n_tokens = tokenizer != nullptr ? tokenizer->size() : 0;
  defaults.request.on_news = [&] { bell.ring(); };

  output.open();
  const auto start = std::chrono::steady_clock::now();
  Engine engine(*session.runner, {.rows = o.parallel, .on_step = {}});
  const Totals t = answer_all(engine, defaults, lines, output, bell, o.parallel, talk.quiet);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!talk.quiet)
    say("{} lines ({} errors) in {:.1f} s: {} prompt tokens, {} tokens, {:.1f} tok/s{}\n", t.lines, t.errors, seconds,
        t.prompt_tokens, t.tokens, static_cast<double>(t.tokens) / std::max(1e-9, seconds),
        interrupted() ? "; interrupted, --resume goes on" : "");
}

}  // namespace godwit
