// godwit convert: a model from one container to the other, with its tokenizer, perhaps in another type.
#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/sampling_defaults.h"
#include "cli/session.h"
#include "cli/streams.h"
#include "models/save.h"
#include "text/tokenizer_json.h"

namespace godwit {
namespace {

constexpr uint64_t kMostFileBytes = uint64_t{256} << 20;
constexpr int32_t kTokenUnused = 5;  // llama.cpp's type of padding

struct ConvertOptions {
  ModelOptions model;
  TalkOptions talk;
  std::string output;
};

void refuse_existing(const std::string& path, bool folder) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return;
  if (folder && std::filesystem::is_directory(status) && std::filesystem::is_empty(path, error)) return;
  fail(ErrorKind::kUsage, "{}: exists; convert overwrites nothing", printable_path(path));
}

bool from_folder(const OpenModel& m) {
  return m.stored.container == Container::kHuggingFace && !m.stored.files.empty();
}

// llama.cpp wants as many tokens as the embedding has rows.
void add_tokenizer(const OpenModel& m, GgufPlan& plan) {
  if (!from_folder(m)) return;
  Vocabulary v = vocabulary_from_hf(read_hf_tokenizer(m.stored.path));
  const auto rows = static_cast<size_t>(m.model->vocab_size());
  if (v.model == "none" || v.tokens.size() > rows) {
    plan.warnings.push_back(
        fmt::format("no tokenizer is written: {}", !v.unsupported.empty() ? v.unsupported
                                                   : v.tokens.empty()     ? "the folder has no tokenizer.json"
                                                                      : "it has more tokens than the embedding rows"));
    return;
  }
  if (v.types.empty()) v.types.assign(v.tokens.size(), kTokenNormal);
  for (size_t id = v.tokens.size(); id < rows; ++id) {
    v.tokens.push_back(fmt::format("[PAD{}]", id));
    v.types.push_back(kTokenUnused);
    if (!v.scores.empty()) v.scores.push_back(-1000.0f);
  }
  if (v.hf_json.size() > kMaxGgufJsonBytes) {
    plan.warnings.push_back(fmt::format("tokenizer.json has {} bytes, and a GGUF key at most {}: ids may differ",
                                        v.hf_json.size(), kMaxGgufJsonBytes));
  }
  vocabulary_to(v, plan.config);
}

void add_tokenizer(const OpenModel& m, HfPlan& plan) {
  if (from_folder(m)) {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja",
                             "special_tokens_map.json", "tokenizer.model"}) {
      const std::string path = m.stored.path + "/" + name;
      if (std::filesystem::exists(path)) plan.files[name] = read_text(path, kMostFileBytes);
    }
    return;
  }
  if (m.stored.files.empty()) return;
  const Vocabulary v = vocabulary_from(m.config);
  if (v.bos) plan.config["bos_token_id"] = *v.bos;
  if (v.eos) plan.config["eos_token_id"] = *v.eos;
  if (!has_hf_form(v))
    plan.warnings.push_back(fmt::format("no tokenizer is written: the file has \"{}\"", printable(v.model)));
  const HfTokenizerFiles files = hf_from_vocabulary(v);
  for (const auto& [name, contents] :
       {std::pair{"tokenizer.json", &files.tokenizer}, std::pair{"tokenizer_config.json", &files.config},
        std::pair{"generation_config.json", &files.generation}, std::pair{"chat_template.jinja", &files.chat_template}})
    if (!contents->empty()) plan.files[name] = *contents;
}

// What the authors say about sampling, from one container's words to the other's.
void add_sampling(const OpenModel& m, GgufPlan& plan) {
  if (!from_folder(m)) return;
  const SamplingDefaults d = sampling_defaults_of(m);
  const auto set = [&](const char* key, const auto& value) {
    if (value) plan.config.set(key, *value);
  };
  set("general.sampling.temp", d.temp);
  set("general.sampling.top_k", d.top_k);
  set("general.sampling.top_p", d.top_p);
  set("general.sampling.min_p", d.min_p);
  set("general.sampling.penalty_repeat", d.repeat_penalty);
}

void add_sampling(const OpenModel& m, HfPlan& plan) {
  const SamplingDefaults d = sampling_defaults_of(m);
  if (from_folder(m) || d.empty()) return;
  std::string& text = plan.files["generation_config.json"];
  Json json = text.empty() ? Json::object() : parse_json(text, "generation_config.json");
  const auto set = [&](const char* key, const auto& value) {
    if (value) json[key] = *value;
  };
  json["do_sample"] = d.temp != 0.0;
  set("temperature", d.temp);
  set("top_k", d.top_k);
  set("top_p", d.top_p);
  set("min_p", d.min_p);
  set("repetition_penalty", d.repeat_penalty);
  text = dump_json(json) + "\n";
}

void convert_command(const ConvertOptions& o) {
  const bool folder = !o.output.ends_with(".gguf");
  refuse_existing(o.output, folder);
  const std::optional<DType> type = weight_type(o.model);
  const auto open = open_from(o.model);
  Progress progress("converting", o.talk.quiet, true);
  const auto update = [&](int64_t done, int64_t all) {
    if (interrupted()) throw Interrupted("convert: interrupted, nothing was written");
    progress.update(done, all);
  };
  const auto write = [&](auto plan, const auto& write_plan) {
    add_tokenizer(*open, plan);
    add_sampling(*open, plan);
    if (!o.talk.quiet)
      for (const std::string& warning : plan.warnings) complain("warning: " + warning);
    write_plan(plan);
    if (o.talk.json)
      std::cout << dump_json(
                       {{"schema", "godwit.convert/1"}, {"tensors", plan.tensors.size()}, {"bytes", plan.bytes()}})
                << '\n';
  };
  if (folder) {
    write(plan_hf(*open, type), [&](const HfPlan& plan) { write_hf_folder(o.output, plan, update); });
  } else {
    write(plan_gguf(*open, type),
          [&](const GgufPlan& plan) { write_gguf(o.output, plan.config, plan.tensors, update); });
  }
}

}  // namespace

void add_convert(CLI::App& app) {
  auto o = std::make_shared<ConvertOptions>();
  Command command = add_command(app, "convert",
                                "GGUF to Hugging Face folder and back, requantizing when --type says so\n\n"
                                "  godwit convert folder model.gguf --type q8_0\n"
                                "  godwit convert model.gguf folder");
  add_model_options(command, o->model);
  command.find("--type").describe(
      "type of the matrices: f32, f16, bf16 (both containers), q8_0, q4_0, q4_1, q5_0, q5_1 (GGUF); default: each "
      "tensor's own");
  command.flag("OUT", o->output, "what to write: a .gguf file, else a folder").required();
  add_talk_options(command, o->talk);
  command.runs([o] { convert_command(*o); });
}

}  // namespace godwit
