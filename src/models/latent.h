// What models with latent attention share: keys of the configuration and names of parameters.
#pragma once

#include <vector>

#include "blocks/latent_attention.h"
#include "blocks/rope_config.h"
#include "models/usual.h"

namespace godwit {

/// Sizes, rotary scheme and scale from attention.{q_lora_rank, kv_lora_rank, key_length, value_length, key_length_mla,
/// value_length_mla}, rope.*. Files without the *_mla keys have an expanded model's lengths under the plain ones.
LatentAttentionSpec latent_from(const Config& config);

/// The usual keys and those of latent attention, from config.json and back.
void latent_from_hf(const HfConfig& hf, Config& config);
void latent_to_hf(const Config& config, Json& hf);

/// Names of the parameters of latent attention: kv_b_proj is one matrix in Hugging Face files (and in old GGUF ones).
std::vector<TensorName> latent_names();

/// dimensions() without what plain attention needs of the heads.
Dimensions latent_dimensions(const Config& config);

}  // namespace godwit
