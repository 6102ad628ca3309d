// Nemotron-H, dense and with experts, which GGUF calls by two names: keys of the configuration, layers, names.
#pragma once

#include <string>
#include <vector>

#include "models/mixture.h"
#include "models/state_space_keys.h"

namespace godwit {

/// What a layer is: one mixer, or one feed-forward network.
enum class NemotronLayer : uint8_t { kStateSpace, kAttention, kMlp, kExperts };
bool has_layer(const std::vector<NemotronLayer>& layers, NemotronLayer kind);

/// Of config.json: layers_block_type, which wins, or the letters of hybrid_override_pattern. Throws Error (kInvalid)
/// naming the key.
std::vector<NemotronLayer> nemotron_layers_from_hf(const HfConfig& hf);
/// A word of version 5 for each.
Json nemotron_layers_to_hf(const std::vector<NemotronLayer>& layers);
/// Whether a config.json has layers with experts.
bool nemotron_has_experts(const Json& config_json);

/// Of GGUF's keys: heads of keys where a layer attends, else a width where it is a feed-forward network. Where there
/// are experts, these are all mixtures, unless moe_layers says which.
std::vector<NemotronLayer> nemotron_layers(const Config& config);
/// The width of its layers of one kind; 1 where it has none.
int64_t nemotron_width(const Config& config, const std::vector<NemotronLayer>& layers, NemotronLayer kind);
/// With one width of feed-forward networks, and heads in all layers: what plain code reads.
Config nemotron_plain(const Config& config, const std::vector<NemotronLayer>& layers);
MoeSpec nemotron_moe(const Config& config, const std::vector<NemotronLayer>& layers, int64_t d_model);

/// What the class takes for keys that config.json lacks, as JSON's members.
inline constexpr const char* kNemotronDefaults = R"("vocab_size":131072,"hidden_size":4096,"intermediate_size":21504,
    "num_attention_heads":32,"num_key_value_heads":8,"head_dim":128,"max_position_embeddings":4096,
    "layer_norm_epsilon":1e-5,"mamba_num_heads":128,"mamba_head_dim":64,"ssm_state_size":128,"n_groups":8,
    "conv_kernel":4,"time_step_min":0.001)";

void nemotron_from_hf(const HfConfig& hf, Config& config);
void nemotron_to_hf(const Config& config, Json& hf);
Model nemotron_build(const Config& config, Weights& weights);
TensorNames nemotron_names();

}  // namespace godwit
