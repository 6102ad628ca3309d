// What a pattern's words stand for: mixers and feed-forward networks, the sizes they read, the names of their
// parameters. A new one joins Godwit's own architecture by an entry in this table.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "blocks/block.h"
#include "formats/config.h"
#include "formats/tensor_names.h"
#include "models/hf_config.h"
#include "models/pattern.h"

namespace godwit {

/// An integer of the configuration.
struct PartSize {
  const char* hf;    // the key in config.json
  const char* gguf;  // and in GGUF's vocabulary
  int64_t least, most;
  /// Where config.json is silent; `config` has the sizes before it, as the file has them: any integers.
  int64_t (*otherwise)(const HfConfig& hf, const Config& config);
};

struct LayerPart {
  std::string name;  // the pattern's word
  bool mixer;
  std::vector<PartSize> sizes;  // besides those that every model has
  std::vector<TensorName> names;
  std::unique_ptr<Block> (*build)(const Scope& scope, const Config& config);
};

/// The parts by the file that has them; layer_parts() joins these.
std::vector<LayerPart> attention_parts();
std::vector<LayerPart> recurrent_parts();
std::vector<LayerPart> feed_forward_parts();

const std::vector<LayerPart>& layer_parts();
/// Null when unknown.
const LayerPart* find_part(std::string_view name);
const PatternWords& pattern_words();
/// Those that occur in the layers, each once, in the table's order.
std::vector<const LayerPart*> used_parts(const std::vector<LayerParts>& layers);

/// Widths, heads, vocabulary and context: what every model has.
const std::vector<PartSize>& common_sizes();

/// For defaults: the configuration's integer, brought between 1 and kMostPartChannels. A file's value is refused later.
inline constexpr int64_t kMostPartChannels = int64_t{1} << 22;
int64_t sane_size(const Config& config, const char* key);
int64_t rounded_up(int64_t n, int64_t step);

}  // namespace godwit
