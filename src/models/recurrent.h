// What architectures with recurrent mixers share: keys of the configuration, names of parameters.
#pragma once

#include <string>
#include <vector>

#include "blocks/mamba1.h"
#include "models/usual.h"

namespace godwit {

/// The spec by the ssm.* keys, `norm` set by the caller. Throws Error (kInvalid) naming the key.
Mamba1Spec mamba1_from(const Config& config, int64_t d_model);

/// An integer of config.json, or "auto": a sixteenth of the model's width, rounded up.
int64_t time_step_rank(const HfConfig& hf, const char* key, int64_t d_model);

/// Layers that come in turn, `what` ("attn"): number i where i % <what>_layer_period == <what>_layer_offset; and back.
/// Throws Error (kInvalid) naming the key, or where they do not come in turn, which config.json cannot say.
std::vector<bool> turns_from_hf(const HfConfig& hf, const std::string& what, int64_t n_layers);
void turns_to_hf(const std::vector<bool>& layers, const std::string& what, const std::string& source, Json& hf);

/// A number from which int(expand * d_model) comes out as `inner`. Not for Mamba-2, where the product must be exact:
/// expand_to_hf (models/state_space_keys.h).
Json expansion(int64_t inner, int64_t d_model);

/// The parameters in a layer of a Hugging Face file, under `block` ("mixer" or "mamba"; "temporal_block").
std::vector<TensorName> mamba1_names(const std::string& block);
std::vector<TensorName> rg_lru_names(const std::string& block);

}  // namespace godwit
