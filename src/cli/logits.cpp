// godwit logits: logits of every position, for comparisons with other implementations.
#include <chrono>
#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "formats/safetensors.h"

namespace godwit {
namespace {

constexpr uint64_t kMostIdsBytes = uint64_t{256} << 20;

struct LogitsOptions {
  ModelOptions model;
  TalkOptions talk;
  std::string ids, ids_file, output;
};

std::vector<std::vector<TokenId>> read_sequences(const LogitsOptions& o, int64_t vocab) {
  std::vector<std::vector<TokenId>> sequences;
  if (!o.ids.empty()) {
    const auto ids = parse_integers(o.ids, "--ids", 0, vocab - 1);
    sequences.emplace_back(ids.begin(), ids.end());
    return sequences;
  }
  const std::string source = printable_path(o.ids_file);
  const Json json = parse_json(read_text(o.ids_file, kMostIdsBytes), source);
  if (!json.is_array() || json.empty()) invalid("{}: expected a list of lists of token ids", source);
  for (const Json& list : json) {
    if (!list.is_array() || list.empty()) invalid("{}: list {}: expected token ids", source, sequences.size());
    auto& ids = sequences.emplace_back();
    for (const Json& id : list) {
      if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= vocab)
        invalid("{}: list {}: {} is not a token id, expected 0 to {}", source, sequences.size() - 1,
                dump_json(id).substr(0, 40), vocab - 1);
      ids.push_back(static_cast<TokenId>(id.get<int64_t>()));
    }
  }
  return sequences;
}

// The output must not replace what it is made from.
void refuse_inputs(const LogitsOptions& o, const OpenModel& open) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> inputs = {find_model(o.model.model)};
  if (!o.ids_file.empty()) inputs.emplace_back(o.ids_file);
  for (const InputFile& file : open.stored.files) inputs.emplace_back(file.path());
  for (const auto& entry : fs::directory_iterator(inputs.front(), error)) inputs.push_back(entry.path());
  for (const fs::path& input : inputs)
    if (fs::equivalent(input, o.output, error))
      fail(ErrorKind::kUsage, "-o {}: is what the logits are made from", printable_path(o.output));
}

void logits_command(const LogitsOptions& o) {
  if (o.ids.empty() == o.ids_file.empty())
    fail(ErrorKind::kUsage, "logits: give one of --ids 1,2,3 and --ids-file FILE (a JSON list of lists)");
  std::vector<std::vector<TokenId>> sequences;
  Session session = start_session(o.model, o.talk, DType::kF32, [&](const OpenModel& open, RunnerOptions& r) {
    refuse_inputs(o, open);
    sequences = read_sequences(o, open.model->vocab_size());
    int64_t longest = 1;
    for (const auto& ids : sequences) longest = std::max(longest, static_cast<int64_t>(ids.size()));
    if (longest > r.context)
      fail(ErrorKind::kUsage, "a sequence has {} tokens, the context {}; raise -c", longest, r.context);
    r.context = longest;
    r.chunk = std::min(r.chunk, longest);
  });
  Runner& runner = *session.runner;
  const auto start = std::chrono::steady_clock::now();
  std::vector<TensorToWrite> tensors;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const std::vector<TokenId>& ids = sequences[i];
    const auto fill = [&runner, &ids](const std::function<void(const std::byte*, size_t)>& write) {
      SequenceState state;
      state.rope_length = static_cast<int64_t>(ids.size());
      const bool whole = runner.feed(
          state, ids, Want::kAll,
          [&](size_t, int64_t, Tensor logits) { write(logits.data, static_cast<size_t>(logits.bytes())); },
          &interrupted());
      runner.pool().release(state);
      if (!whole) throw Interrupted("logits: interrupted, nothing was written");
    };
    tensors.push_back({fmt::format("logits.{}", i),
                       DType::kF32,
                       {static_cast<int64_t>(ids.size()), runner.model().vocab_size()},
                       fill});
  }
  Progress progress("logits", o.talk.quiet, true);
  write_safetensors(o.output, tensors, [&](int64_t done, int64_t all) { progress.update(done, all); });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (o.talk.json)
    std::cout << dump_json({{"schema", "godwit.logits/1"}, {"sequences", sequences.size()}, {"seconds", seconds}})
              << '\n';
}

}  // namespace

void add_logits(CLI::App& app) {
  auto o = std::make_shared<LogitsOptions>();
  Command command = add_command(app, "logits",
                                "logits of every position, as safetensors (logits.0, logits.1, ...)\n\n"
                                "  godwit logits model.gguf --ids 1,2,3 -o out.safetensors --activations f32");
  add_model_options(command, o->model);
  command.flag("--ids", o->ids, "token ids: 1,2,3");
  command.flag("--ids-file", o->ids_file, "a JSON list of lists of ids");
  command.flag("-o,--output", o->output, "the file to write").required();
  add_talk_options(command, o->talk);
  command.runs([o] { logits_command(*o); });
}

}  // namespace godwit
