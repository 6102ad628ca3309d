// godwit inspect: what a model file is and whether it fits, without reading its weights.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>

#include "base/cpu.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "text/vocabulary.h"

namespace godwit {
namespace {

struct InspectOptions {
  ModelOptions model;
  TalkOptions talk;
  int64_t batch = 1;
  bool tensors = false;
};

// "attention + mlp" for each layer.
std::vector<std::string> layer_kinds(const Model& model) {
  std::vector<std::string> kinds;
  for (const auto& layer : model.layers()) {
    std::string kind;
    for (const Block* block : layer->blocks()) kind += (kind.empty() ? "" : " + ") + block->kind();
    kinds.push_back(kind);
  }
  return kinds;
}

Json shape_json(const Shape& shape) {
  Json sizes = Json::array();
  for (int i = 0; i < shape.rank; ++i) sizes.push_back(shape[i]);
  return sizes;
}

/// What a token reads of the weights, where these are read from the mapped file.
struct Reading {
  int64_t room = 0;         // memory that may keep what was read
  int64_t token_bytes = 0;  // of one token alone
  int64_t disk_bytes = 0;   // of them those that are not kept, about
};

// What every token reads is kept first, then as many experts as there is room for, of which a token's choice is taken
// as uniform. Where not even the former fits, it comes round too late each time: nothing is kept.
Reading reading_of(const OpenModel& open, const RunnerOptions& runner, const Fit& need) {
  Meter meter;
  dry_pass(*open.model, open.model->state_layout(runner.cache), 1, 1, 0, 1, runner.exact, &meter);
  int64_t chosen = 0;
  for (const auto& [op, cost] : meter.by_op)
    if (op.starts_with("experts ")) chosen += cost.weight_bytes;
  Reading r{.room = std::max<int64_t>(0, clamped(granted_memory()) - need.total()),
            .token_bytes = meter.total().weight_bytes};
  if (need.mapped <= r.room) return r;
  const auto layers = open.model->experts();
  const int64_t stacks = layers.empty() ? 0 : chosen / layers[0].used * layers[0].all;
  const int64_t always = r.token_bytes - chosen;
  const double kept = stacks == 0 ? 0 : static_cast<double>(r.room - always) / static_cast<double>(stacks);
  r.disk_bytes =
      r.room < always ? r.token_bytes : std::llround(static_cast<double>(chosen) * (1 - std::min(1.0, kept)));
  return r;
}

// "f16 latents and rotary keys": what is kept of a token, by type.
std::string state_kinds(const StateLayout& layout) {
  const std::map<std::string, std::string> kNames{
      {"k", "keys"}, {"v", "values"}, {"latent", "latents"}, {"k_pe", "rotary keys"}};
  std::map<std::string, std::vector<std::string>> by_type;
  for (const auto& place : layout.places)
    for (const PlacedPart& p : place) {
      if (p.part.keep != Keep::kPerToken) continue;
      const auto known = kNames.find(p.part.name);
      auto& list = by_type[std::string(name(p.part.dtype))];
      const std::string what = known == kNames.end() ? p.part.name : known->second;
      if (std::find(list.begin(), list.end(), what) == list.end()) list.push_back(what);
    }
  std::string text;
  for (auto& [type, list] : by_type) {
    std::sort(list.begin(), list.end());
    text += fmt::format("{}{}", text.empty() ? "" : ", ", type);
    for (const std::string& what : list) text += (&what == &list.front() ? " " : " and ") + what;
  }
  return text;
}

// "3072 bytes a token (f16 keys and values), 20480 bytes a sequence (convolutions and recurrences)".
std::string state_text(const StateLayout& layout) {
  std::string text;
  if (const int64_t bytes = layout.bytes_per_token(); bytes > 0 || layout.record_bytes == 0)
    text = fmt::format("{} bytes a token ({})", bytes, state_kinds(layout));
  if (layout.record_bytes > 0)
    text += fmt::format("{}{} bytes a sequence (recurrences, whatever its length)", text.empty() ? "" : ", ",
                        layout.record_bytes);
  return text;
}

struct Facts {
  std::unique_ptr<OpenModel> open;
  RunnerOptions runner;
  Fit need;
  Reading reading;
  int64_t n_active = 0;
  std::vector<std::string> kinds;
  std::map<std::string, int64_t> bytes_by_type;
  std::string tokenizer, tokenizer_note;
  bool has_template = false;
};

Facts facts_of(const InspectOptions& o) {
  Facts f;
  f.open = open_from(o.model);
  f.runner = runner_options(o.model, *f.open, DType::kF16);
  f.runner.sequences = o.batch;
  f.kinds = layer_kinds(*f.open->model);
  f.bytes_by_type = bytes_by_type(*f.open->weights);
  const auto tokenizer = open_tokenizer(*f.open, f.tokenizer_note);  // its memory counts
  f.tokenizer = f.open->config.text("tokenizer.ggml.model", "none");
  if (tokenizer != nullptr) f.tokenizer_note = fmt::format("{} tokens", tokenizer->size());
  f.need = fit_of_process(*f.open, f.runner);
  f.reading = reading_of(*f.open, f.runner, f.need);
  f.n_active = f.open->weights->count() - f.open->model->idle_parameters();
  f.has_template = f.open->config.has("tokenizer.chat_template");
  return f;
}

Json as_json(const Facts& f) {
  const StateLayout layout = f.open->model->state_layout(f.runner.cache);
  Json layers = Json::array(), tensors = Json::array();
  for (const std::string& kind : f.kinds) layers.push_back({{"kind", kind}});
  for (const Parameter& p : f.open->weights->parameters())
    tensors.push_back({{"name", p.name},
                       {"type", name(p.file_type)},
                       {"shape", shape_json(p.tensor.shape)},
                       {"bytes", matrix_bytes(p.file_type, p.tensor.rows(), p.tensor.width())}});
  return {{"schema", "godwit.inspect/1"},
          {"architecture", f.open->architecture->name},
          {"n_params", f.open->weights->count()},
          {"n_active_params", f.n_active},
          {"context_length", f.open->model->context_length()},
          {"vocab_size", f.open->model->vocab_size()},
          {"layers", layers},
          {"tensors", tensors},
          {"bytes_by_type", f.bytes_by_type},
          {"tokenizer", f.tokenizer},
          {"chat_template", f.has_template},
          {"state", {{"per_token_bytes", layout.bytes_per_token()}, {"per_sequence_bytes", layout.record_bytes}}},
          {"fit",
           {{"context", f.runner.context},
            {"batch", f.runner.sequences},
            {"weights_bytes", f.need.weights},
            {"mapped_bytes", f.need.mapped},
            {"state_bytes", f.need.state},
            {"work_bytes", f.need.work},
            {"token_bytes", f.reading.token_bytes},
            {"token_disk_bytes", f.reading.disk_bytes},
            {"granted_bytes", granted_memory()},
            {"fits", f.need.total() <= static_cast<int64_t>(granted_memory())}}}};
}

std::string mapped_text(const Facts& f) {
  const Reading& r = f.reading;
  const std::string text =
      fmt::format("{} of weights are read from the file, {} are left to keep them: ", mib(f.need.mapped), mib(r.room));
  if (r.disk_bytes == 0) return text + fmt::format("they stay in memory; a token reads {}", mib(r.token_bytes));
  return text + fmt::format("a token reads at least {}, of these about {} from the disk, again and again",
                            mib(r.token_bytes), mib(r.disk_bytes));
}

void print_text(const Facts& f, bool tensors) {
  const Config& c = f.open->config;
  const auto line = [](const char* what, const std::string& value) {
    std::cout << fmt::format("{:<13} {}\n", what, value);
  };
  line("file", c.source);
  if (c.has("general.name")) line("name", printable(c.text("general.name")));
  line("architecture", f.open->architecture->name);
  const auto millions = [](int64_t n) { return fmt::format("{:.1f} M", static_cast<double>(n) / 1e6); };
  const int64_t n = f.open->weights->count();
  line("parameters", fmt::format("{}, {} active", millions(n), f.n_active == n ? "all" : millions(f.n_active)));
  line("weights", types_text(f.bytes_by_type));
  std::map<std::string, int> count;
  for (const std::string& kind : f.kinds) ++count[kind];
  std::string layers;
  for (const auto& [kind, n] : count) layers += fmt::format("{}{} x ({})", layers.empty() ? "" : ", ", n, kind);
  line("layers", layers);
  line("width", fmt::format("{}, vocabulary {}{}", f.open->model->d_model(), f.open->model->vocab_size(),
                            f.open->model->tied() ? ", head tied to the embedding" : ""));
  line("context", fmt::format("{} tokens", f.open->model->context_length()));
  line("tokenizer", fmt::format("{} ({}), chat template: {}", printable(f.tokenizer), f.tokenizer_note,
                                f.has_template ? "yes" : "no"));
  line("state", state_text(f.open->model->state_layout(f.runner.cache)));
  const auto granted = static_cast<int64_t>(granted_memory());
  line("memory", fmt::format("weights {}, state {}, work {}: {} of {} granted, for {} sequence{} of {} tokens",
                             mib(f.need.weights - f.need.mapped), mib(f.need.state), mib(f.need.work),
                             f.need.total() <= granted ? "fits" : "does NOT fit", mib(granted), f.runner.sequences,
                             f.runner.sequences == 1 ? "" : "s", f.runner.context));
  if (f.need.mapped > 0) line("mapped", mapped_text(f));
  if (!tensors) return;
  for (const Parameter& p : f.open->weights->parameters())
    std::cout << fmt::format("{:<40} {:<6} {}\n", p.name, name(p.file_type), p.tensor.shape.text());
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto o = std::make_shared<InspectOptions>();
  Command command = add_command(app, "inspect",
                                "what a model is and whether it fits, without reading its weights\n\n"
                                "  godwit inspect model.gguf --context 8192 --batch 4");
  add_model_options(command, o->model);
  command.flag("--batch", o->batch, "sequences at once (default 1)").range(1, 4096);
  command.flag("--tensors", o->tensors, "list every tensor");
  add_talk_options(command, o->talk);
  command.runs([o] {
    const Facts f = facts_of(*o);
    if (o->talk.json) {
      std::cout << dump_json(as_json(f)) << '\n';
    } else {
      print_text(f, o->tensors);
    }
  });
}

}  // namespace godwit
