// Small models of every architecture and tokenizers of every kind, each with 1 to 4 changes to what its files say. Each
// is opened, sized, loaded and run, its tokenizer made and used, its template rendered, in a process of its own. It may
// work, or be refused by an Error; all else is a failure.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/cpu.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/runner.h"
#include "formats/gguf.h"
#include "mutations/bases.h"
#include "text/chat_prompt.h"
#include "text/detokenizer.h"
#include "text/tokenizer_json.h"

#ifdef GODWIT_SANITIZED
// What is freed is kept from use for a while, but not until it fills the memory that a case may take.
extern "C" const char* __asan_default_options() {
  return "quarantine_size_mb=8:max_allocation_size_mb=512:detect_leaks=0:abort_on_error=0:exitcode=77";
}
#endif

namespace godwit::testing {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostModel = int64_t{256} << 20;  // bytes; what takes more is refused as on a small machine
constexpr int64_t kMostMemory = 512;                // MiB
constexpr double kMostSeconds = 1;                  // of processor time

enum Part { kModel, kTokenizer, kTemplate, kParts };
constexpr const char* kPartNames[kParts] = {"model", "tokenizer", "template"};

// What a case tells its parent, in shared memory.
struct Outcome {
  const char* step;  // the same address in both
  bool done;
  float sum;  // of the logits, so that all are read
  bool ran[kParts];
  bool refused[kParts];
  char message[kParts][1024];
};

// Fails unless an error is one that a user can be shown.
void check_error(const Error& error) {
  const std::string message = error.what();
  const ErrorKind kind = error.kind();
  CHECK(kind == ErrorKind::kInvalid || kind == ErrorKind::kMemory || kind == ErrorKind::kUsage ||
            kind == ErrorKind::kFailed,
        "an error of kind {}: {}", static_cast<int>(kind), message);
  CHECK(message.size() <= 512, "a message of {} bytes: {}", message.size(), message.substr(0, 200));
  CHECK(find_invalid_utf8(message) == std::string::npos, "a message that is not UTF-8: {}", message);
  CHECK(message.size() > 10 && message.find(':') != std::string::npos, "a message that names nothing: {}", message);
}

class Case {
 public:
  Case(const ModelFiles& model, const std::string& folder, Outcome& outcome) : outcome_(outcome), gguf_(model.gguf) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    for (const auto& [name, contents] : model.files)
      std::ofstream(folder + "/" + name, std::ios::binary).write(contents.data(), std::ssize(contents));
    path_ = gguf_ ? folder + "/model.gguf" : folder;
  }

  void run(bool repack) {
    part(kModel, [&] { run_model(repack); });
    Vocabulary vocabulary;
    std::unique_ptr<Tokenizer> tokenizer;
    part(kTokenizer, [&] {
      step("vocabulary");
      vocabulary = gguf_ ? vocabulary_from(open_gguf(path_).config) : vocabulary_from_hf(read_hf_tokenizer(path_));
      step("tokenizer");
      std::string why_not;
      tokenizer = make_tokenizer(vocabulary, why_not);
      if (tokenizer == nullptr) invalid("{}: {}", path_, why_not);
      use(*tokenizer);
    });
    if (!vocabulary.chat_template.empty()) part(kTemplate, [&] { render(vocabulary, tokenizer.get()); });
    step("end");
    outcome_.done = true;
  }

 private:
  void step(const char* name) { outcome_.step = name; }

  template <class Act>
  void part(Part which, const Act& act) {
    try {
      act();
      outcome_.ran[which] = true;
    } catch (const Error& error) {
      outcome_.refused[which] = true;
      std::snprintf(outcome_.message[which], sizeof outcome_.message[which], "%s", error.what());
      check_error(error);
    }
  }

  void run_model(bool repack) {
    step("open");
    OpenOptions options;
    options.load.repack = repack;
    const auto open = open_model(path_, options);
    step("fit");
    RunnerOptions runner_options;
    runner_options.level = static_cast<int>(cpu_level());
    const int64_t longest = open->model->context_length();
    runner_options.context = longest;
    runner_options.chunk = std::min<int64_t>(runner_options.chunk, longest);
    fit(*open, runner_options);  // whatever it gives
    runner_options.context = std::min<int64_t>(longest, 64);
    runner_options.chunk = std::min<int64_t>(16, runner_options.context);
    const int64_t need = fit(*open, runner_options).total();
    if (need > kMostModel || need < 0) fail(ErrorKind::kMemory, "{}: needs {} bytes", path_, need);
    step("runner");
    Runner runner(*open, runner_options);
    step("load");
    open->weights->load(runner.threads(), {});
    step("forward");
    const auto vocab = static_cast<TokenId>(runner.model().vocab_size());
    std::vector<TokenId> ids = {vocab - 1, 0, vocab / 2};
    ids.resize(std::min<size_t>(ids.size(), static_cast<size_t>(runner_options.context)));
    SequenceState state;
    state.rope_length = std::ssize(ids);
    float sum = 0;
    runner.feed(state, ids, Want::kAll, [&](size_t, int64_t, Tensor logits) {
      for (int64_t i = 0; i < logits.size(); ++i) sum += logits.f32()[i];
    });
    runner.pool().release(state);
    outcome_.sum = sum;
  }

  void use(const Tokenizer& tokenizer) {
    const std::string text =
        "Some text, it's 12 345 \u00E9\u4E2D\U0001F600\n\n  <s>[tool]<|im_end|>\xFF\xE2\x82 "
        "\u2581" +
        std::string(300, 'a') + "ABab";
    step("encode");
    const auto ids = tokenizer.encode(text);
    for (const int32_t id : ids) CHECK(id >= 0 && id < tokenizer.size(), "id {} of {}", id, tokenizer.size());
    step("decode");
    tokenizer.decode(ids);
    Detokenizer detokenizer(tokenizer, {.show_special = true, .begins_text = true});
    std::string streamed;
    for (const int32_t id : ids) streamed += detokenizer.push(id);
    streamed += detokenizer.push(-1) + detokenizer.push(INT32_MAX) + detokenizer.flush();
    CHECK(find_invalid_utf8(streamed) == std::string::npos, "streamed text is not UTF-8");
    // May be those of rows behind the tokenizer's.
    for (const int32_t id : tokenizer.stop_ids()) CHECK(id >= 0, "stop id {}", id);
  }

  // Without a tokenizer only to text.
  void render(const Vocabulary& vocabulary, const Tokenizer* tokenizer) {
    step("template");
    ChatTemplate chat_template(vocabulary.chat_template, path_ + ": tokenizer.chat_template");
    step("render");
    const Json messages = {{{"role", "user"}, {"content", "Some <|im_end|> text"}},
                           {{"role", "assistant"}, {"content", "An answer"}},
                           {{"role", "user"}, {"content", "More\xC3\xA9"}}};
    const RenderedText rendered = chat_template.render({{"messages", messages}, {"add_generation_prompt", true}});
    CHECK(find_invalid_utf8(rendered.text) == std::string::npos, "a chat that is not UTF-8");
    // A template may write up to 64 MiB; to tokenize those takes longer than a case may.
    if (tokenizer == nullptr || rendered.text.size() > (1 << 20)) return;
    step("chat");
    const ChatPrompter prompter(*tokenizer, vocabulary, std::move(chat_template));
    const ChatPrompt prompt = prompter.prompt(messages, Json::object());
    for (const int32_t id : prompt.ids) CHECK(id >= 0 && id < tokenizer->size(), "id {} of a chat", id);
  }

  Outcome& outcome_;
  bool gguf_;
  std::string path_;
};

double seconds(const rusage& usage) {
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

struct Totals {
  int64_t cases = 0, failed = 0, ran[kParts] = {}, refused[kParts] = {};
  double slowest = 0;
  int64_t largest = 0;  // MiB
};

// Runs a case in a process of its own, so that whatever becomes of it is seen and is its own.
bool run_apart(const ModelFiles& model, const std::string& folder, bool repack, Outcome& outcome, Totals& totals) {
  outcome = {};
  std::fflush(nullptr);
  const pid_t pid = fork();
  CHECK(pid >= 0, "fork: {}", std::strerror(errno));
  if (pid == 0) {
    // Ten times what is allowed, so that a figure can be given; then the signal ends it.
    const itimerval timer{{}, {static_cast<time_t>(10 * kMostSeconds), 0}};
    setitimer(ITIMER_PROF, &timer, nullptr);
    try {
      Case(model, folder, outcome).run(repack);
      _exit(0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "threw: %s\n", error.what());
      _exit(78);
    }
  }
  int status = 0;
  rusage usage{};
  wait4(pid, &status, 0, &usage);
  const double took = seconds(usage);
  const int64_t memory = usage.ru_maxrss >> 10;
  totals.slowest = std::max(totals.slowest, took);
  totals.largest = std::max(totals.largest, memory);
  std::string wrong;
  if (WIFSIGNALED(status)) wrong = fmt::format("ended by signal {}", WTERMSIG(status));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) wrong = fmt::format("ended with status {}", WEXITSTATUS(status));
  if (wrong.empty() && !outcome.done) wrong = "did not finish";
  if (took > kMostSeconds) wrong += fmt::format(" took {:.1f} s", took);
  if (memory > kMostMemory) wrong += fmt::format(" took {} MiB", memory);
  ++totals.cases;
  for (int part = 0; part < kParts; ++part) {
    totals.ran[part] += outcome.ran[part];
    totals.refused[part] += outcome.refused[part];
  }
  if (wrong.empty()) return true;
  fmt::print("FAILED: {} at {}\n  {}\n", wrong, outcome.step == nullptr ? "start" : outcome.step,
             printable(model.name, 1000));
  return false;
}

struct Options {
  std::string oracle, only;
  uint64_t seed = 1, from = 0, count = 20'000;
  bool whole = false, verbose = false;
};

int run_all(const Options& o, const std::string& scratch) {
  const Bases bases(o.oracle, o.only, scratch);
  fmt::print("{} models, {} tokenizers\n", bases.models(), bases.tokenizers());
  void* shared = mmap(nullptr, sizeof(Outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED, "mmap: {}", std::strerror(errno));
  Outcome& outcome = *static_cast<Outcome*>(shared);
  Totals totals;
  const auto show = [&](uint64_t number, const ModelFiles& model) {
    fmt::print("{}: {}\n", number, printable(model.name, 1000));
    for (int part = 0; part < kParts; ++part)
      fmt::print("  {}: {}\n", kPartNames[part],
                 outcome.ran[part]       ? "ran"
                 : outcome.refused[part] ? outcome.message[part]
                                         : "none");
  };
  if (o.whole) {
    for (uint64_t i = 0; i < 2 * std::max(bases.models(), bases.tokenizers()); ++i) {
      Dice dice(o.seed, i);
      const ModelFiles model = bases.whole(i / 2 % bases.models(), i % 2 == 0, i / 2, dice);
      if (run_apart(model, scratch + "/case", true, outcome, totals) && outcome.ran[kModel] && outcome.ran[kTokenizer])
        continue;
      ++totals.failed;
      show(i, model);
    }
  } else {
    for (uint64_t i = o.from; i < o.from + o.count; ++i) {
      Dice dice(o.seed, i);
      const ModelFiles model = bases.mutated(dice);
      if (!run_apart(model, scratch + "/case", !dice.one_in(3), outcome, totals)) {
        ++totals.failed;
        fmt::print("  again by: --seed {} --from {} --count 1\n", o.seed, i);
      }
      if (o.verbose || o.count == 1) show(i, model);
    }
  }
  fmt::print("{} cases: {} failed", totals.cases, totals.failed);
  for (int part = 0; part < kParts; ++part)
    fmt::print("; {}: {} ran, {} refused", kPartNames[part], totals.ran[part], totals.refused[part]);
  fmt::print("; slowest {:.2f} s, largest {} MiB\n", totals.slowest, totals.largest);
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace godwit::testing

int main(int argc, char** argv) {
  using namespace godwit;
  testing::Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> const char* { return i + 1 < argc ? argv[++i] : ""; };
    if (word == "--count")
      o.count = std::strtoull(value(), nullptr, 10);
    else if (word == "--seed")
      o.seed = std::strtoull(value(), nullptr, 10);
    else if (word == "--from")
      o.from = std::strtoull(value(), nullptr, 10);
    else if (word == "--only")
      o.only = value();
    else if (word == "--whole")
      o.whole = true;
    else if (word == "--verbose")
      o.verbose = true;
    else if (o.oracle.empty() && !word.starts_with("--"))
      o.oracle = word;
    else
      o.oracle.clear(), i = argc;
  }
  if (o.oracle.empty()) {
    std::fprintf(stderr,
                 "model_mutations FOLDER [--count 20000] [--seed 1] [--from 0] [--only MODEL] [--whole] [--verbose]\n"
                 "FOLDER is tests/oracle. --whole runs all models and tokenizers as they are: all must run.\n");
    return 2;
  }
  std::string scratch = (std::filesystem::temp_directory_path() / "godwit-mutations-XXXXXX").string();
  if (mkdtemp(scratch.data()) == nullptr) return 1;
  int status = 1;
  try {
    status = testing::run_all(o, scratch);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  std::error_code ignored;
  std::filesystem::remove_all(scratch, ignored);
  return status;
}
