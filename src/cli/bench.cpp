// godwit bench: speeds of prefill and decode, interleaved over models and settings, beside the machine's limits.
#include <algorithm>
#include <iostream>

#include "audit/anatomy.h"
#include "audit/limits.h"
#include "audit/statistics.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "engine/engine.h"
#include "ops/experts.h"

namespace godwit {
namespace {

struct BenchOptions {
  std::vector<std::string> models;
  ModelOptions model;
  TalkOptions talk;
  std::string prompt = "512", generate = "128", depth = "0", batch = "1";
  int repeat = 5;
};

// One setting of one model, measured again and again.
struct Point {
  size_t model = 0;
  bool decode = false;
  int64_t prompt = 0, generate = 0, depth = 0, batch = 1;
  std::vector<double> samples;  // tok/s, all sequences together
  ExpertUse experts = {};       // of the steps that these are made of
};

struct Bench {
  std::string name;
  Session session;
};

std::vector<TokenId> some_tokens(int64_t n, int64_t vocab, uint64_t key) {
  std::vector<TokenId> ids;
  for (int64_t i = 0; i < n; ++i)
    ids.push_back(static_cast<TokenId>(random_bits(key, 0, static_cast<uint64_t>(i)) % static_cast<uint64_t>(vocab)));
  return ids;
}

// Submits a request for each sequence of the batch and waits for all. What comes next must not depend on the weights:
// experts and windows apart, every token costs the same.
void answer(Engine& engine, const Point& p, uint64_t sample, int64_t prompt, int64_t generate, int64_t vocab) {
  std::vector<Completion> all;
  for (int64_t s = 0; s < p.batch; ++s) {
    const uint64_t key = (sample << 32) + static_cast<uint64_t>(s);  // no prefix of another sample is found
    Request request;
    request.prompt = some_tokens(prompt, vocab, key);
    request.max_tokens = generate;
    request.tenant = std::to_string(key);  // no two sequences share a page
    request.cancel = &interrupted();
    request.choose = [=](std::span<const float>, int64_t position) {
      return static_cast<TokenId>(random_bits(key, 1, static_cast<uint64_t>(position)) % static_cast<uint64_t>(vocab));
    };
    all.push_back(engine.submit(std::move(request)));
  }
  for (Completion& completion : all) {
    while (completion.next()) continue;
  }
}

// One sample, in tokens a second of all sequences together. They are first filled to the depth and remembered, so that
// the requests that count go on from there. For decode, the steps in which all decode count.
double measure(Runner& runner, const Point& p, uint64_t sample, ExpertUse& experts) {
  const int64_t vocab = runner.model().vocab_size();
  double tokens = 0, seconds = 0;
  bool counts = false;
  {
    Engine engine(runner, {.rows = p.batch, .on_step = [&](const StepRecord& step) {
                             const ExpertUse read = runner.take_expert_use();
                             const bool full = p.decode ? step.decode_rows == p.batch : step.prompt_tokens > 0;
                             if (!counts || !full) return;
                             tokens += static_cast<double>(p.decode ? step.decode_rows : step.prompt_tokens);
                             seconds += step.seconds;
                             experts += read;
                           }});
    if (p.depth > 0) answer(engine, p, sample, p.depth, 1, vocab);
    counts = true;
    answer(engine, p, sample, p.depth + (p.decode ? 1 : p.prompt), p.decode ? p.generate + 1 : 1, vocab);
  }  // the last step is told after its tokens
  return tokens / std::max(seconds, 1e-9);
}

// What a token costs at this point: bytes that must be read, and the share of the limit that its median reaches.
struct Share {
  double bytes_per_token = 0, share = 0;
  const char* of = "";
  // Of a mixture: distinct experts a step and layer, as counted and as uniform choices would be, and what these read.
  double experts = 0, experts_expected = 0, bytes_expected = 0;
};

// Distinct experts that uniform choices of so many tokens read of a layer.
double mean_expected(const Model& model, int64_t tokens) {
  const auto layers = model.experts();
  double sum = 0;
  for (const ExpertCount& e : layers) sum += expected_experts(e.all, e.used, tokens);
  return sum / static_cast<double>(layers.size());
}

Share share_of(const Bench& b, const Point& p, const Limits& limits) {
  const Runner& runner = *b.session.runner;
  const Model& model = runner.model();
  Meter meter;
  const int64_t tokens = p.decode ? p.batch : std::min(p.prompt, runner.options().chunk);
  dry_pass(model, runner.layout(), tokens, p.decode ? p.batch : 1, p.depth + (p.decode ? p.generate / 2 : 0),
           p.decode ? p.batch : 1, runner.options().exact, &meter);
  const Cost cost = meter.total();
  const double rate = median(p.samples) / static_cast<double>(tokens);  // passes per second
  Share s;
  double bytes = static_cast<double>(cost.weight_bytes + cost.state_bytes);
  s.bytes_expected = bytes / static_cast<double>(tokens);
  if (p.experts.passes > 0) {
    s.experts = p.experts.distinct_a_pass();
    s.experts_expected = mean_expected(model, tokens);
    for (const auto& [op, of_op] : meter.by_op)
      if (op.starts_with("experts "))
        bytes += static_cast<double>(of_op.weight_bytes) * (s.experts / s.experts_expected - 1);
  }
  s.bytes_per_token = bytes / static_cast<double>(tokens);
  const double by_bytes = rate * bytes / limits.read_bytes_per_s;
  const bool int8 = int8_products(*b.session.open->weights, runner.options().exact) && limits.int8_ops_per_s > 0;
  const double by_work = rate * static_cast<double>(cost.flops) / (int8 ? limits.int8_ops_per_s : limits.f32_ops_per_s);
  s.share = std::max(by_bytes, by_work);
  s.of = by_bytes >= by_work ? "read" : int8 ? "int8" : "f32";
  return s;
}

std::vector<Bench> open_all(const BenchOptions& o, int64_t context, int64_t batch) {
  std::vector<Bench> all;
  for (const std::string& name : o.models) {
    ModelOptions model = o.model;
    model.model = name;
    all.push_back({name, start_session(model, o.talk, DType::kF16, [&](const OpenModel&, RunnerOptions& r) {
                     if (context > r.context)
                       fail(ErrorKind::kUsage, "{}: depth, prompt and generated tokens need a context of {}, it has {}",
                            name, context, r.context);
                     r.context = context;
                     r.sequences = batch;
                   })});
  }
  return all;
}

std::vector<Point> points_of(const BenchOptions& o, size_t n_models) {
  std::vector<Point> points;
  constexpr int64_t kMost = int64_t{1} << 30;
  for (int64_t depth : parse_integers(o.depth, "--depth", 0, kMost))
    for (int64_t batch : parse_integers(o.batch, "--batch", 1, 4096)) {
      for (int64_t prompt : parse_integers(o.prompt, "--prompt", 0, kMost))
        for (size_t m = 0; prompt > 0 && m < n_models; ++m) points.push_back({m, false, prompt, 0, depth, batch, {}});
      for (int64_t generate : parse_integers(o.generate, "--generate", 0, kMost))
        for (size_t m = 0; generate > 0 && m < n_models; ++m)
          points.push_back({m, true, 0, generate, depth, batch, {}});
    }
  if (points.empty()) fail(ErrorKind::kUsage, "bench: --prompt 0 and --generate 0 leave nothing to measure");
  return points;
}

double tokens_a_step(const Point& p) {
  return static_cast<double>(p.experts.tokens) / static_cast<double>(p.experts.passes);
}

std::string experts_line(const Bench& b, const Point& p, const Share& s) {
  const ExpertCount e = b.session.runner->model().experts().front();
  return fmt::format(
      "{:<34} {} of {} experts a token; a step of {:.0f} reads {:.1f} ({:.1f} expected), {:.2f} a token; "
      "{:.1f} MB a token ({:.1f} expected)\n",
      "", e.used, e.all, tokens_a_step(p), s.experts, s.experts_expected, s.experts / tokens_a_step(p),
      s.bytes_per_token / 1e6, s.bytes_expected / 1e6);
}

Json experts_json(const Bench& b, const Point& p, const Share& s) {
  const ExpertCount e = b.session.runner->model().experts().front();
  return {{"all", e.all},
          {"used", e.used},
          {"tokens_per_step", tokens_a_step(p)},
          {"distinct_per_step", s.experts},
          {"distinct_per_step_expected", s.experts_expected},
          {"distinct_per_token", s.experts / tokens_a_step(p)},
          {"bytes_per_token_expected", s.bytes_expected}};
}

void report_bench(const BenchOptions& o, const std::vector<Bench>& all, const std::vector<Point>& points,
                  const Limits& limits) {
  Json results = Json::array();
  if (!o.talk.json)
    std::cout << fmt::format("{:<34} {:<8} {:>6} {:>6} {:>5} {:>9} {:>9} {:>9}  {}\n", "model", "test", "tokens",
                             "depth", "batch", "tok/s", "min", "max", "of the limit");
  for (const Point& p : points) {
    if (p.samples.empty()) continue;
    const Bench& b = all[p.model];
    const Share s = share_of(b, p, limits);
    const auto [min, max] = std::minmax_element(p.samples.begin(), p.samples.end());
    const std::string short_name = b.name.substr(b.name.rfind('/') == std::string::npos ? 0 : b.name.rfind('/') + 1);
    if (!o.talk.json)
      std::cout << fmt::format("{:<34} {:<8} {:>6} {:>6} {:>5} {:>9.1f} {:>9.1f} {:>9.1f}  {:.0f} % ({})\n",
                               short_name.substr(0, 34), p.decode ? "decode" : "prefill",
                               p.decode ? p.generate : p.prompt, p.depth, p.batch, median(p.samples), *min, *max,
                               100 * s.share, s.of);
    if (!o.talk.json && s.experts > 0) std::cout << experts_line(b, p, s);
    results.push_back(
        {{"model", b.name},
         {"test", p.decode ? "decode" : "prefill"},
         {"prompt", p.prompt},
         {"generate", p.generate},
         {"depth", p.depth},
         {"batch", p.batch},
         {"threads", b.session.runner->options().threads},
         {"tok_per_s", {{"median", median(p.samples)}, {"min", *min}, {"max", *max}, {"samples", p.samples}}},
         {"bytes_per_token", s.bytes_per_token},
         {"limit_share", s.share},
         {"limit", s.of}});
    if (s.experts > 0) results.back()["experts"] = experts_json(b, p, s);
  }
  if (o.talk.json)
    std::cout << dump_json({{"schema", "godwit.bench/1"},
                            {"machine",
                             {{"cpu", cpu_model_name()},
                              {"level", level_name(cpu_level())},
                              {"read_bytes_per_s", limits.read_bytes_per_s},
                              {"f32_fma_ops_per_s", limits.f32_ops_per_s},
                              {"int8_dot_ops_per_s", limits.int8_ops_per_s}}},
                            {"results", results}})
              << '\n';
}

void bench_command(const BenchOptions& o) {
  if (o.repeat < 1) fail(ErrorKind::kUsage, "--repeat {}: expected at least 1", o.repeat);
  std::vector<Point> points = points_of(o, o.models.size());
  int64_t context = 2, batch = 1;
  for (const Point& p : points) {
    context = std::max(context, p.depth + std::max(p.prompt, p.generate + 1) + 1);
    batch = std::max(batch, p.batch);
  }
  std::vector<Bench> all = open_all(o, context, batch);
  Runner& first = *all.front().session.runner;
  const Kernels kernels = kernels_at(first.options().level);
  const auto larger = [](const Bench& a, const Bench& b) {
    return a.session.open->weights->bytes() < b.session.open->weights->bytes();
  };
  // The limit is read from the largest model's own weights: other memory would double what this takes.
  const Weights& largest = *std::max_element(all.begin(), all.end(), larger)->session.open->weights;
  const Limits limits = measured_limits(kernels, first.threads(), largest.stretches());
  Progress progress("bench", o.talk.quiet, false);
  const auto rounds = static_cast<int64_t>(points.size()) * (o.repeat + 1);
  int64_t done = 0;
  // Round by round over all points, so that drift of the machine hits all alike; the first round warms up.
  for (int repeat = -1; repeat < o.repeat && !interrupted(); ++repeat) {
    for (Point& p : points) {
      if (interrupted()) break;
      ExpertUse experts;
      const double speed = measure(*all[p.model].session.runner, p, static_cast<uint64_t>(done), experts);
      if (repeat >= 0 && !interrupted()) {
        p.samples.push_back(speed);
        p.experts += experts;
      }
      progress.update(++done, rounds);
    }
  }
  if (interrupted()) throw Interrupted("bench: interrupted");
  report_bench(o, all, points, limits);
}

}  // namespace

void add_bench(CLI::App& app) {
  auto o = std::make_shared<BenchOptions>();
  Command command = add_command(app, "bench",
                                "speeds of prefill and decode, repeats interleaved over all models and settings\n\n"
                                "  godwit bench a.gguf b.gguf --prompt 512 --generate 128 --depth 0,4096 --batch 1,8");
  add_model_options(command, o->model, /*one=*/false);
  command.flag("MODELS,-m,--model", o->models, "one or more models").required();
  command.flag("--prompt", o->prompt, "prompt lengths (default 512; 0: no prefill test)");
  command.flag("--generate", o->generate, "tokens to generate (default 128; 0: no decode test)");
  command.flag("--depth", o->depth, "tokens already absorbed (default 0)");
  command.flag("--batch", o->batch, "sequences at once (default 1)");
  command.flag("--repeat", o->repeat, "samples of each point (default 5)");
  add_talk_options(command, o->talk);
  command.runs([o] { bench_command(*o); });
}

}  // namespace godwit
