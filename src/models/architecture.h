// Architecture: what one file in this folder says of a family of models: its names in both containers, how its
// configuration is translated, and how it is built from blocks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "blocks/model.h"
#include "formats/config.h"
#include "formats/weights.h"

namespace godwit {

class HfConfig;

/// A class of Hugging Face transformers that an architecture covers.
struct HfClass {
  std::string name;        // "LlamaForCausalLM"
  std::string model_type;  // "llama"
  std::string defaults;    // JSON: what the class takes for keys that config.json lacks
  /// Where several architectures have the class: whether this config.json is of this one. The one without is for the
  /// others.
  bool (*claims)(const Json& config_json) = nullptr;
};

/// What row `row` (of a vector: element) of a parameter is multiplied with.
using RowFactors = std::function<float(const std::string& name, int64_t row)>;

struct Architecture {
  std::string name;  // GGUF's
  std::vector<HfClass> hf_classes;
  TensorNames names;
  /// config.json (class defaults filled in) to GGUF's vocabulary.
  void (*from_hf)(const HfConfig& hf, Config& config);
  /// The inverse, with version-5 keys; says which class in "architectures".
  void (*to_hf)(const Config& config, Json& hf);
  std::string tiny;  // config.json of a small model, for the laws in tests/
  Model (*build)(const Config& config, Weights& weights);
  /// Where several architectures share a GGUF name: whether this configuration is of this one. The one without is for
  /// what no other claims.
  bool (*claims)(const Config& config) = nullptr;
  /// Where GGUF has factors in the weights that config.json keeps apart (Falcon-H1): takes them out of a configuration
  /// and gives what the weights are multiplied with; nothing where it has none. Where it unties the head, that is the
  /// embedding as "output.weight" has it.
  RowFactors (*bake)(Config& config) = nullptr;
};

/// All architectures, in the order of registration.
const std::vector<const Architecture*>& architectures();
/// By GGUF name (config.architecture) and, where several share it, by what they claim; null when unknown.
const Architecture* find_architecture(const Config& config);
/// Stems of the files that registered them, in the same order: "qwen3".
const std::vector<std::string>& architecture_files();
/// By Hugging Face class or, when there is none, model type; null when unknown. `found` gets the class.
const Architecture* find_hf_architecture(const Json& config_json, const HfClass*& found);

/// Their GGUF names, for messages.
std::string architecture_names();
/// A config.json, class defaults filled in, to GGUF's vocabulary. Returns its architecture. Throws Error (kInvalid)
/// naming `source` and key, also when no architecture covers its class.
const Architecture* configure_from_hf(Json json, const std::string& source, Config& config);

/// A static object of this type in an architecture's file makes it known.
struct Registered {
  explicit Registered(const Architecture& architecture, const char* file = __builtin_FILE());
};

}  // namespace godwit
