// Opening a model: container, configuration, architecture, weights' places, built model; nothing is read until load.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "models/architecture.h"

namespace godwit {

struct OpenOptions {
  LoadOptions load;
  std::optional<uint64_t> random_seed;  // weights from a seed; the path is then a config.json (or a folder with one)
  DType random_type = DType::kQ8_0;
  std::string config_text;  // with a random seed: config.json's text, where there is no file; the path is its name then
};

/// A model, built and checked; weights are places without contents until weights->load.
struct OpenModel {
  StoredModel stored;
  Config config;  // GGUF's vocabulary, whatever the container
  const Architecture* architecture = nullptr;
  std::unique_ptr<Weights> weights;
  std::unique_ptr<Model> model;
};

/// Opens `path`: a .gguf file, a folder, or (with a random seed) a config.json. Throws Error (kInvalid) naming file,
/// key or tensor. The result is at a fixed address: weights refer to what lies beside them.
std::unique_ptr<OpenModel> open_model(const std::string& path, const OpenOptions& options);

/// Bytes that a pass over a batch takes in the arena: a dry pass of `tokens` tokens in `rows` rows after `past` others,
/// with `wanted` logits. Also checks every shape.
int64_t dry_pass(const Model& model, const StateLayout& layout, int64_t tokens, int64_t rows, int64_t past,
                 int64_t wanted, bool exact, Meter* meter = nullptr);

}  // namespace godwit
