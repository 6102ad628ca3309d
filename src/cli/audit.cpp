// godwit audit: what a query costs here, for some models side by side.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <numeric>
#include <set>

#include "audit/figures.h"
#include "audit/sweep.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/audit_text.h"
#include "cli/audit_worker.h"
#include "cli/commands.h"
#include "cli/like.h"
#include "cli/progress.h"
#include "cli/streams.h"
#include "cli/version.h"
#include "models/shipped_patterns.h"

namespace godwit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kDefaultMost = 8192;  // tokens of the default sweep
// Of --like: of one sequence, and of several.
constexpr int64_t kDefaultMostLike = 16384, kDefaultMostOfSeveralLike = 2048;
constexpr uint64_t kDefaultSeed = 1;
constexpr int64_t kMostRounds = 10;
constexpr uint64_t kMostReportBytes = uint64_t{1} << 26;

struct AuditOptions {
  std::vector<std::string> models;
  std::string like, architectures = fmt::format("{}", fmt::join(shipped_names(), ","));
  ModelOptions model;
  TalkOptions talk;
  std::string budget = "120s", machine, contexts, batch = "1,8", output, verify;
  int64_t generate = 32;
};

/// "120s", "2m", "1.5h", or seconds.
double parse_budget(const std::string& text) {
  const auto [value, unit] = number_and_unit(text).value_or(std::pair(0.0, std::string()));
  const double scale = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (!(value > 0) || scale == 0 || !(value * scale <= 1e6))
    fail(ErrorKind::kUsage, "--budget {}: expected a time such as 120s, 5m or 1h", quoted(text));
  return value * scale;
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

/// The file's or folder's name; numbered where two are alike.
std::string short_name(const std::string& model, const std::vector<AuditedModel>& others) {
  std::string path = model;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string name = path.substr(path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  name = printable(name, 60);
  const std::string first = name;
  for (int i = 2; std::any_of(others.begin(), others.end(), [&](const auto& m) { return m.name == name; }); ++i)
    name = fmt::format("{} ({})", first, i);
  return name;
}

class Audit {
 public:
  explicit Audit(const AuditOptions& o) : o_(o) {
    report_.version = fmt::format("{} ({})", GODWIT_VERSION, git_commit());
    report_.date = now_utc();
    report_.cpu = cpu_model_name();
    report_.level = level_name(cpu_level());
    report_.budget_s = parse_budget(o.budget);
    if (!o.machine.empty()) report_.profile = read_machine_profile(o.machine);
    batches_ = parse_integers(o.batch, "--batch", 1, 64);
    std::sort(batches_.begin(), batches_.end());
    batches_.erase(std::unique(batches_.begin(), batches_.end()), batches_.end());
    contexts_ = o.contexts.empty() ? default_contexts(o.like.empty() ? kDefaultMost : kDefaultMostLike)
                                   : parse_integers(o.contexts, "--contexts", 1, int64_t{1} << 30);
    std::sort(contexts_.begin(), contexts_.end());
  }

  /// Returns the report; report_.complete says whether it came to its end. `failure`: why it did not, if something was
  /// measured before.
  const Report& run(std::optional<Error>& failure) {
    try {
      open();
      load();
      say_plan();
      measure();
    } catch (const Interrupted&) {
    } catch (const Error& error) {
      if (report_.samples.empty()) throw;
      failure = error;
    }
    report_.complete = !interrupted() && !failure;
    for (size_t m = 0; m < report_.models.size(); ++m) say_what_was_left(m);
    return report_;
  }

 private:
  struct Measured {
    std::unique_ptr<AuditWorker> worker;
    std::map<int64_t, std::vector<int64_t>> contexts = {};  // at which so many sequences decode
    std::map<int64_t, std::vector<int64_t>> prompts = {};   // to which so many sequences grow together
    // Seconds of growing to (sequences, context), with decoding, the last time.
    std::map<std::pair<int64_t, int64_t>, double> took = {};
    double slower = 1.5;  // measured / predicted, so far
    bool ended = false;   // in this round
  };

  static std::vector<int64_t> default_contexts(int64_t most) {
    std::vector<int64_t> contexts;
    for (int64_t c = 128; c <= most; c *= 2) contexts.push_back(c);
    return contexts;
  }

  int64_t most_of_several() const {
    return o_.like.empty() || !o_.contexts.empty() ? INT64_MAX : kDefaultMostOfSeveralLike;
  }

  static void stop_if_interrupted() {
    if (interrupted()) throw Interrupted("");
  }

  /// What is to be measured; of --like also what the report says of it.
  std::vector<ModelOptions> what_to_open() {
    std::vector<ModelOptions> all;
    report_.random_seed = o_.model.random_seed;
    if (!o_.like.empty()) {
      report_.like_parameters = like_size(o_.like, o_.model);
      report_.random_seed = o_.model.random_seed.value_or(kDefaultSeed);
      like_ = models_like(report_.like_parameters, o_.architectures);
    }
    for (const std::string& name : o_.models) {
      all.push_back(o_.model);
      all.back().model = name;
    }
    for (const LikeModel& m : like_) {
      all.push_back(o_.model);
      all.back().model = m.name;
      all.back().config_text = m.config;
      all.back().random_seed = report_.random_seed;
    }
    return all;
  }

  void open() {
    const std::vector<ModelOptions> given = what_to_open();
    // All processes start before anything here has threads.
    for (const ModelOptions& options : given)
      models_.push_back({.worker = std::make_unique<AuditWorker>(options, o_.talk)});
    int64_t taken = 0;
    for (size_t m = 0; m < models_.size(); ++m) {
      stop_if_interrupted();
      const Json answer = models_[m].worker->ask({{"do", "open"},
                                                  {"contexts", contexts_},
                                                  {"given", !o_.contexts.empty()},
                                                  {"most_of_several", most_of_several()},
                                                  {"batches", batches_},
                                                  {"generate", o_.generate},
                                                  {"taken_bytes", taken}});
      taken += answer["taken_bytes"].get<int64_t>();
      const std::string& source = given[m].model;
      report_.models.push_back({.name = short_name(source, report_.models),
                                .source = source,
                                .weight_types = answer["weight_types"],
                                .anatomy = anatomy_from(answer["anatomy"]),
                                .kernel_rates = {},
                                .left_out = answer["left_out"].get<std::vector<std::string>>()});
      if (!like_.empty()) {
        report_.models.back().config = like_[m].config;
        report_.models.back().like_parameters = like_[m].active_parameters;
      }
      for (const Json& points : answer["points"]) {
        models_[m].contexts[points["batch"]] = points["contexts"].get<std::vector<int64_t>>();
        models_[m].prompts[points["batch"]] = models_[m].contexts[points["batch"]];
      }
      // One sequence always grows: the others that decode are copies of it.
      models_[m].prompts[1] = models_[m].contexts[batches_.front()];
    }
  }

  void load() {
    size_t largest = 0;
    for (size_t m = 0; m < models_.size(); ++m) {
      stop_if_interrupted();
      const Json attention = ask_kernels(m, "attention");
      for (const auto& [n, rate] : attention.items()) report_.models[m].kernel_rates["attention"][std::stoll(n)] = rate;
      stop_if_interrupted();
      models_[m].worker->ask({{"do", "load"}});
      if (report_.models[m].anatomy.weights_bytes > report_.models[largest].anatomy.weights_bytes) largest = m;
    }
    // What is done first is slower: that is not measured.
    for (Measured& model : models_) {
      stop_if_interrupted();
      model.worker->ask({{"do", "begin"}, {"batch", 1}});
      model.worker->ask({{"do", "advance"}, {"to", std::min<int64_t>(64, model.prompts[1].front())}});
      model.worker->ask({{"do", "decode"}, {"sequences", 1}, {"tokens", 2}});
    }
    stop_if_interrupted();
    // The limit of reading is read from the largest model's own weights: other memory would double what this takes.
    const Json limits = models_[largest].worker->ask({{"do", "limits"}});
    report_.limits = {limits["read_bytes_per_s"], limits["f32_ops_per_s"], limits["int8_ops_per_s"], limits["call_s"]};
    report_.threads = limits["threads"];
    for (size_t m = 0; m < models_.size(); ++m) {
      stop_if_interrupted();
      const Json rates = ask_kernels(m, "kernels");
      for (const auto& [op, by_rows] : rates.items())
        for (const auto& [n, rate] : by_rows.items()) report_.models[m].kernel_rates[op][std::stoll(n)] = rate;
    }
  }

  /// What the kernels reach on this model: `what` of them, "attention" (before it is loaded) or "kernels".
  Json ask_kernels(size_t m, const char* what) {
    const Anatomy& a = report_.models[m].anatomy;
    const auto attention = a.token.ops.find("attention");
    // At context 0 a token sees one key: itself.
    const int64_t flops = attention == a.token.ops.end() ? 0 : attention->second.flops.front();
    return models_[m].worker->ask({{"do", what},
                                   {"rows", batches_},
                                   {"chunk", a.batches.begin()->second.chunk.tokens},
                                   {"attention_flops", flops}});
  }

  static bool has(const std::vector<int64_t>& list, int64_t value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  }

  /// Seconds to grow from the context before and, of one sequence, to decode there: as the last time, or by prediction.
  double expected(size_t m, int64_t sequences, int64_t before, int64_t context) const {
    const Measured& model = models_[m];
    if (const auto took = model.took.find({sequences, context}); took != model.took.end()) return took->second;
    const AuditedModel& audited = report_.models[m];
    const auto at = [&](int64_t c) {
      return c == 0 ? 0 : predicted_prefill_s(audited, report_.limits, sequences, static_cast<double>(c));
    };
    double seconds = at(context) - at(before);
    for (const auto& [batch, contexts] : model.contexts)
      if (sequences == 1 && has(contexts, context))
        seconds += static_cast<double>(decoded_tokens(o_.generate)) *
                   predicted_decode_s(audited, report_.limits, batch, static_cast<double>(context));
    return model.slower * std::max(seconds, 1e-6);
  }

  std::vector<int64_t> all_prompts(int64_t sequences) const {
    std::set<int64_t> all;
    for (const Measured& model : models_)
      if (const auto own = model.prompts.find(sequences); own != model.prompts.end())
        all.insert(own->second.begin(), own->second.end());
    return {all.begin(), all.end()};
  }

  void say_plan() const {
    if (o_.talk.quiet) return;
    double round_s = 0;
    for (size_t m = 0; m < models_.size(); ++m)
      for (const auto& [sequences, contexts] : models_[m].prompts) {
        int64_t before = 0;
        for (int64_t context : contexts) {
          round_s += expected(m, sequences, before, context);
          before = context;
        }
      }
    std::string contexts, batches;
    for (int64_t c : all_prompts(1)) contexts += fmt::format(" {}", c);
    for (int64_t b : batches_) batches += fmt::format("{}{}", batches.empty() ? "" : " and ", b);
    say("plan: {} model{}; {} sequence{} at once; contexts{}; {} tokens decoded at each; in rounds over all, "
        "about {:.0f} s each if all fits; {:.0f} s left\n",
        models_.size(), models_.size() == 1 ? "" : "s", batches, batches == "1" ? "" : "s", contexts, o_.generate,
        round_s, std::min(report_.budget_s, kMostRounds * round_s));
  }

  double spent() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  void measure() {
    start_ = Clock::now();
    Progress progress("measuring", o_.talk.quiet, false);
    progress_ = &progress;
    std::vector<int64_t> passes{1};
    for (int64_t b : batches_)
      if (b > 1) passes.push_back(b);
    // The first round settles which contexts are measured, and leaves time for others. One sequence gets the larger
    // part: its contexts are the ones that break-evens are about.
    for (int64_t sequences : passes) {
      const double end = (sequences == 1 ? 0.65 : 0.9) * report_.budget_s;
      round_over(0, sequences,
                 [&](double estimate, size_t i) { return (sequences == 1 && i < 2) || spent() + estimate <= end; });
    }
    for (int64_t round = 1; round < kMostRounds; ++round) {
      bool any = false;
      for (int64_t sequences : passes)
        any = round_over(round, sequences,
                         [&](double estimate, size_t) { return spent() + estimate <= report_.budget_s; }) ||
              any;
      if (!any) break;
    }
  }

  /// One round with so many sequences: all models grow together from context to context, and where it is one sequence,
  /// decode there. `fits` is asked before each point, with the seconds that it is expected to take and which one of the
  /// model's it is. Whether any point was measured.
  template <class Fits>
  bool round_over(int64_t round, int64_t sequences, const Fits& fits) {
    for (Measured& model : models_) {
      model.ended = false;
      model.worker->ask({{"do", "begin"}, {"batch", sequences}});
    }
    bool any = false;
    std::vector<int64_t> before(models_.size(), 0);
    std::vector<size_t> done(models_.size(), 0);
    for (int64_t context : all_prompts(sequences)) {
      for (size_t m = 0; m < models_.size(); ++m) {
        Measured& model = models_[m];
        if (model.ended || !has(model.prompts[sequences], context)) continue;
        if (!fits(expected(m, sequences, before[m], context), done[m])) {
          model.ended = true;  // longer ones take longer
          if (round == 0) drop_from(m, sequences, context);
          continue;
        }
        measure_point(m, sequences, round, before[m], context);
        before[m] = context;
        ++done[m];
        any = true;
        stop_if_interrupted();
        progress_->update(static_cast<int64_t>(spent()), static_cast<int64_t>(report_.budget_s));
      }
    }
    return any;
  }

  void drop_from(size_t m, int64_t sequences, int64_t context) {
    Measured& model = models_[m];
    std::string dropped;
    for (int64_t c : model.prompts[sequences])
      if (c >= context) dropped += fmt::format(" {}", c);
    const auto drop = [&](std::vector<int64_t>& list) { std::erase_if(list, [&](int64_t c) { return c >= context; }); };
    drop(model.prompts[sequences]);
    if (sequences == 1)
      for (auto& [batch, contexts] : model.contexts) drop(contexts);
    report_.models[m].left_out.push_back(
        fmt::format("{}{}: --budget {} is too short",
                    sequences == 1 ? "context" : fmt::format("first token of {} at", sequences), dropped, o_.budget));
  }

  void measure_point(size_t m, int64_t sequences, int64_t round, int64_t before, int64_t context) {
    const auto start = Clock::now();
    Measured& model = models_[m];
    const double predicted = expected(m, sequences, before, context) / model.slower;
    const bool known = model.took.contains({sequences, context});
    const Json grown = model.worker->ask({{"do", "advance"}, {"to", context}});
    note_memory(m, grown);
    const double n = static_cast<double>(std::max<size_t>(1, grown["chunks"].size()));
    for (const Json& c : grown["chunks"])
      add({.model = m,
           .batch = sequences,
           .round = round,
           .kind = Sample::Kind::kPrefill,
           .from = c["from"],
           .to = c["to"],
           .seconds = {c["seconds"]},
           .joules = grown["joules"].get<double>() / n});
    for (int64_t batch : batches_)
      if (sequences == 1 && has(model.contexts[batch], context) && !interrupted()) decode(m, batch, round, context);
    if (interrupted()) return;
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    model.took[{sequences, context}] = took;
    if (!known) model.slower = std::clamp(took / predicted, 0.5, 20.0);
  }

  void decode(size_t m, int64_t batch, int64_t round, int64_t context) {
    const Json times = models_[m].worker->ask({{"do", "decode"}, {"sequences", batch}, {"tokens", o_.generate}});
    note_memory(m, times);
    const std::vector<double> steps = times["steps"], layers = times["layers"];
    const double own = std::accumulate(steps.begin(), steps.end(), 0.0);
    const double all = std::accumulate(layers.begin(), layers.end(), own);
    Sample sample{.model = m,
                  .batch = batch,
                  .round = round,
                  .kind = Sample::Kind::kDecode,
                  .from = context,
                  .to = context,
                  .seconds = steps,
                  .joules = all > 0 ? times["joules"].get<double>() * own / all : 0,
                  .experts = times["experts"]};
    add(sample);
    sample.kind = Sample::Kind::kLayers;
    sample.seconds = layers;
    sample.joules = sample.experts = 0;
    add(sample);
  }

  void add(Sample sample) {
    if (sample.seconds.empty() || !has(batches_, sample.batch)) return;
    for (double& s : sample.seconds) s = std::max(1e-9, std::round(s * 1e9) / 1e9);
    report_.samples.push_back(std::move(sample));
  }

  void note_memory(size_t m, const Json& answer) {
    report_.models[m].predicted_bytes = answer["predicted_bytes"];
    report_.models[m].peak_bytes = answer["peak_bytes"];
  }

  void say_what_was_left(size_t m) {
    if (o_.talk.quiet) return;
    for (const std::string& why : report_.models[m].left_out)
      complain(fmt::format("{}: not measured: {}", report_.models[m].name, why));
  }

  const AuditOptions& o_;
  std::vector<int64_t> batches_, contexts_;
  std::vector<LikeModel> like_;
  std::vector<Measured> models_;
  Report report_;
  Progress* progress_ = nullptr;
  Clock::time_point start_;
};

void verify(const std::string& path) {
  const Report report = verified_report(read_text(path, kMostReportBytes), printable_path(path));
  std::cout << fmt::format("{}: the digest is right and every figure follows from its {} samples\n",
                           printable_path(path), report.samples.size());
}

/// Throws Error unless a report can be written there: over nothing but another report.
void check_output(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_regular_file(path, error) && std::filesystem::file_size(path, error) > 0) {
    const std::string expected = fmt::format(R"({{"schema":"{}")", kAuditSchema);
    const InputFile file(path);
    std::string start(std::min<size_t>(expected.size(), file.size()), ' ');
    file.read_at(0, std::as_writable_bytes(std::span(start)));
    if (start != expected)
      fail(ErrorKind::kUsage, "-o {}: exists and is no audit report; name another file", printable_path(path));
  }
  OutputFile probe(path);  // is removed at once
}

void audit_command(const AuditOptions& o) {
  if (!o.verify.empty()) {
    if (!o.models.empty() || !o.output.empty() || !o.like.empty())
      fail(ErrorKind::kUsage, "audit --verify takes no model, no --like and no -o");
    return verify(o.verify);
  }
  if (!o.like.empty() && !o.models.empty())
    fail(ErrorKind::kUsage, "audit --like takes no model: it makes its own, of random weights");
  if (o.models.empty() && o.like.empty())
    fail(ErrorKind::kUsage, "audit: no model; expected one or more, --like SIZE, or --verify FILE");
  if (o.models.size() > kMostAudited)
    fail(ErrorKind::kUsage, "audit: {} models, expected at most {}", o.models.size(), kMostAudited);
  if (!o.output.empty()) check_output(o.output);
  std::optional<Error> failure;
  const std::string text = report_text(Audit(o).run(failure));
  if (!o.output.empty()) {
    OutputFile file(o.output);
    file.write(text);
    file.commit();
  }
  std::cout << (o.talk.json ? text : audit_text(Json::parse(text)));
  flush_output();
  if (interrupted()) throw Interrupted("audit: interrupted; the report has what was measured until then");
  if (failure) throw *failure;
}

}  // namespace

void add_audit(CLI::App& app) {
  auto o = std::make_shared<AuditOptions>();
  Command command =
      add_command(app, "audit",
                  "what a query costs here, some models side by side: anatomy, speed, memory, money, break-even\n\n"
                  "  godwit audit a.gguf b.gguf --budget 120s -o report.json\n"
                  "  godwit audit config.json --random 1 --machine my-server.toml\n"
                  "  godwit audit --like 0.1B --architectures dense,window,moe,mamba2,hybrid --budget 600s\n"
                  "  godwit audit --verify report.json");
  add_model_options(command, o->model, /*one=*/false);
  command.flag("MODELS,-m,--model", o->models, "one or more models");
  command.flag("--like", o->like,
               "compare architectures instead: models of random weights with so many active parameters without "
               "embeddings (0.1B, 20M), or as many as this model has");
  command.flag("--architectures", o->architectures,
               "of --like, patterns that ship with godwit (docs/godwit-patterns.md); default all: " + o->architectures);
  command.flag("--budget", o->budget, "time to measure for: 120s, 5m, 1h (default 120s)");
  command.flag("--machine", o->machine, "what the machine costs: FILE.toml (docs/audit.md)");
  command.flag(
      "--contexts", o->contexts,
      "contexts to measure at (default 128,256,... to 8192; with --like to 16384, of several sequences to 2048)");
  command.flag("--batch", o->batch, "sequences at once (default 1,8)");
  command.flag("-n,--max-tokens", o->generate, "tokens to decode at each context (default 32)").range(2, 4096);
  command.flag("-o,--output", o->output, "also write the JSON report to this file");
  command.flag("--verify", o->verify, "check a report: its digest, and every figure from its samples");
  add_talk_options(command, o->talk);
  command.runs([o] { audit_command(*o); });
}

}  // namespace godwit
