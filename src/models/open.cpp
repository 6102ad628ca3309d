#include "models/open.h"

#include <sys/stat.h>

#include <cstring>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"
#include "tensor/decode.h"

namespace godwit {
namespace {

constexpr uint64_t kMostConfigBytes = uint64_t{16} << 20;

bool is_folder(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// Rotary factors lie in tensors of a GGUF file; to us they are configuration.
void take_rope_factors(OpenModel& m) {
  constexpr std::pair<const char*, const char*> kLists[] = {
      {"rope_freqs.weight", "rope.scaling.factors"},
      {"rope_factors_long.weight", "rope.scaling.factors_long"},
      {"rope_factors_short.weight", "rope.scaling.factors_short"}};
  for (const auto& [tensor, key] : kLists) {
    const StoredTensor* t = m.stored.find(tensor);
    if (t == nullptr) continue;
    if (t->dtype != DType::kF32 || t->shape.rank != 1 || t->shape[0] > 1024)
      invalid("{}: tensor {}: expected at most 1024 F32 values, the file has {} {}", m.config.source, tensor,
              name(t->dtype), t->shape.text());
    std::vector<float> values(static_cast<size_t>(t->shape[0]));
    m.stored.files[static_cast<size_t>(t->file)].read_at(t->offset, std::as_writable_bytes(std::span(values)));
    m.config.set(key, std::vector<double>(values.begin(), values.end()));
  }
}

// Blocks that predict further tokens come last and are counted in block_count.
void leave_out_prediction_layers(OpenModel& m) {
  if (!m.config.has("nextn_predict_layers")) return;
  const int64_t blocks = m.config.integer_in("block_count", 1, int64_t{1} << 20);
  const int64_t n = m.config.integer_in("nextn_predict_layers", 0, blocks - 1);
  m.config.set("block_count", blocks - n);
  m.config.values.erase(m.config.full_key("nextn_predict_layers"));
  m.stored.prediction_layers = n;
}

void configure_from_gguf(OpenModel& m) {
  m.config = m.stored.config;
  leave_out_prediction_layers(m);
  m.architecture = find_architecture(m.config);
  if (m.architecture == nullptr)
    invalid("{}: key general.architecture: {} is not supported, expected one of {}", m.config.source,
            quoted(m.config.architecture), architecture_names());
  take_rope_factors(m);
  // The table of embeddings says how many tokens there are; the key is optional.
  if (const StoredTensor* t = m.stored.find("token_embd.weight"); t != nullptr && t->shape.rank == 2)
    m.config.set("vocab_size", t->shape[0]);
}

bool gains_are_offsets(const Architecture& a) {
  for (const TensorName& n : a.names.layer)
    if (n.gguf_plus_one) return true;
  return false;
}

}  // namespace

std::unique_ptr<OpenModel> open_model(const std::string& path, const OpenOptions& options) {
  auto m = std::make_unique<OpenModel>();
  std::unique_ptr<WeightSource> source;
  if (options.random_seed) {
    const std::string file = options.config_text.empty() && is_folder(path) ? path + "/config.json" : path;
    const std::string text = options.config_text.empty() ? read_text(file, kMostConfigBytes) : options.config_text;
    m->architecture = configure_from_hf(parse_python_json(text, file), file, m->config);
    source = random_source(*options.random_seed, options.random_type, gains_are_offsets(*m->architecture));
  } else if (is_folder(path)) {
    m->stored = open_hf_folder(path);
    const std::string file = path + "/config.json";
    m->architecture = configure_from_hf(parse_python_json(m->stored.config_json, file), file, m->config);
    source = stored_source(m->stored, m->config, m->architecture->names, options.load.decoded_type);
  } else {
    m->stored = open_gguf(path);
    configure_from_gguf(*m);
    source = stored_source(m->stored, m->config, m->architecture->names, options.load.decoded_type);
  }
  m->weights = std::make_unique<Weights>(std::move(source), options.load);
  try {
    m->model = std::make_unique<Model>(m->architecture->build(m->config, *m->weights));
    m->weights->check_all_used();
    dry_pass(*m->model, m->model->state_layout({}), 1, 1, 0, 1, false);
  } catch (const Error& e) {
    if (std::string_view(e.what()).starts_with(m->config.source)) throw;
    throw Error(e.kind(), m->config.source + ": " + e.what());
  } catch (const Bug& e) {
    // A shape that no earlier check caught: the file's fault all the same.
    invalid("{}: the model does not fit together: {}", m->config.source, e.what());
  }
  return m;
}

int64_t dry_pass(const Model& model, const StateLayout& layout, int64_t tokens, int64_t rows, int64_t past,
                 int64_t wanted, bool exact, Meter* meter) {
  CHECK(rows >= 1 && tokens >= rows && wanted <= tokens, "dry pass of {} tokens in {} rows", tokens, rows);
  Arena arena(Arena::Measure{});
  const Kernels kernels;
  ThreadPool pool(1);
  Context cx{.arena = arena, .kernels = kernels, .pool = pool, .exact = exact, .meter = meter, .dry = true};
  Batch batch;
  batch.tokens.assign(static_cast<size_t>(tokens), 0);
  int32_t next = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const auto count = static_cast<int32_t>(tokens / rows + (r < tokens % rows ? 1 : 0));
    batch.rows.push_back({.first = next, .count = count, .past = past});
    next += count;
  }
  for (int64_t i = tokens - wanted; i < tokens; ++i) batch.wanted.push_back(static_cast<int32_t>(i));
  model.forward(cx, batch, layout, {});
  return arena.peak();
}

}  // namespace godwit
