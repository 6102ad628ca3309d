// What mixtures of experts share: keys of the configuration, names of parameters, feed-forward blocks.
#pragma once

#include <string>
#include <vector>

#include "blocks/moe.h"
#include "models/usual.h"

namespace godwit {

/// How a family routes where its files are silent.
struct MixtureDefaults {
  RouterScore score = RouterScore::kSoftmax;
  bool normalise = false;
  float epsilon = 0.0f;
};

/// A factor that is neither zero nor infinite as a float. Throws Error (kInvalid) naming the key.
float positive_float(const Config& config, const char* key, double otherwise);

/// Router and sizes from the expert_* keys; `d_ff` is an expert's width where no key gives it. Throws Error (kInvalid)
/// naming the key: more experts used than there are, groups that do not divide, a scale that is not
/// positive.
MoeSpec moe_from(const Config& config, int64_t d_model, int64_t d_ff, const MixtureDefaults& defaults);

/// Which layers have experts: those of the list moe_layers, else all from leading_dense_block_count on.
std::vector<bool> expert_layers(const Config& config, int64_t n_layers);

/// The experts of a layer, or a dense network.
std::unique_ptr<Block> feed_forward(const Scope& scope, bool experts, const MlpSpec& dense, const MoeSpec& moe);

/// Counts, width and normalising from config.json, whatever the spelling; and back, the number of experts under
/// `count`.
void experts_from_hf(const HfConfig& hf, Config& config);
void experts_to_hf(const Config& config, Json& hf, const char* count);
/// Which layers have experts by decoder_sparse_step and mlp_only_layers (Qwen), and back.
void sparse_step_from_hf(const HfConfig& hf, Config& config);
void sparse_step_to_hf(const Config& config, Json& hf);
/// Groups, scale, shared experts and first dense layers (DeepSeek and its heirs), and back.
void groups_from_hf(const HfConfig& hf, Config& config);
void groups_to_hf(const Config& config, Json& hf);

/// The parameters of experts. In files they lie one by one under `block`.experts.{}.gate ("w1" or "gate_proj", likewise
/// up and down), or stacked as transformers 5 has them in memory; the router is `block`.gate.
std::vector<TensorName> expert_names(const std::string& block, const std::string& gate, const std::string& up,
                                     const std::string& down);
/// The usual names with those and `more`.
TensorNames mixture_names(std::vector<TensorName> experts, const std::vector<TensorName>& more = {});
/// shared experts under `hf` ("mlp.shared_experts").
std::vector<TensorName> shared_names(const std::string& hf);

}  // namespace godwit
