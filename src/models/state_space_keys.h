// Keys of Mamba-2 mixers, which families of hybrids spell differently in config.json, and names of their parameters.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "blocks/attention.h"
#include "blocks/mamba2.h"
#include "models/hybrid.h"

namespace godwit {

/// How a family's config.json spells them.
struct StateSpaceKeys {
  const char* heads = "mamba_n_heads";
  const char* head_dim = "mamba_d_head";
  const char* state = "mamba_d_state";
  const char* groups = "mamba_n_groups";
  const char* kernel = "mamba_d_conv";
  const char* biased = "mamba_proj_bias";
  const char* conv_biased = "mamba_conv_bias";
};

/// expand * hidden_size, rounded down. Throws Error (kInvalid) naming the key.
int64_t expanded_width(const HfConfig& hf, const char* expand);

/// And back: an integer where it is one.
void expand_to_hf(const Config& config, const char* expand, Json& hf);

/// Sizes and biases to the keys ssm.*; heads of head_dim channels fill `inner` (0: they make it), and where head_dim is
/// absent or "auto" it is what does. Throws Error (kInvalid) naming heads' key where they do not fit.
void state_space_from_hf(const HfConfig& hf, const StateSpaceKeys& keys, int64_t inner, Config& config);
void state_space_to_hf(const Config& config, const StateSpaceKeys& keys, Json& hf);

/// time_step_limit to ssm.time_step_min and _max, which are absent where nothing is limited; and back.
void time_limits_from_hf(const HfConfig& hf, Config& config);
void time_limits_to_hf(const Config& config, Json& hf);

/// The mixer of those keys.
Mamba2Spec mamba2_from(const Config& config, int64_t d_model, float eps);

/// The mixer of each layer: attention where attention_layers() says so, else Mamba-2, whose keys are read only where a
/// layer has it.
class AttentionOrMamba2 {
 public:
  AttentionOrMamba2(const Config& config, const AttentionSpec& attention, float eps);
  std::unique_ptr<Block> make(const Scope& scope, int64_t layer) const;

 private:
  std::vector<bool> attends_;
  AttentionSpec attention_;
  std::optional<Mamba2Spec> mamba2_;
};

/// Parameters of a mixer `mixer` ("mamba") of a layer.
std::vector<TensorName> mamba2_names(const std::string& mixer);

}  // namespace godwit
