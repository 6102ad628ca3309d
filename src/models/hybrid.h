// What hybrids share, whose layers attend here and there: which do, in both containers.
#pragma once

#include <string>
#include <vector>

#include "models/usual.h"

namespace godwit {

/// The words of a list of layers in config.json, for layers that attend and for the others; convert writes the first.
struct LayerWords {
  std::vector<std::string> attention, other;
};
/// Version 5's word for layers with a state space, and the older ones.
const LayerWords& state_space_words();

/// For each layer whether it attends: attention.head_count_kv is a number for all, or a list with 0 for those that do
/// not. Throws Error (kInvalid) naming the key.
std::vector<bool> attention_layers(const Config& config);
/// Writes that list; the configuration has one number of key heads before.
void set_attention_layers(const std::vector<bool>& attends, Config& config);

/// The list of words `key` of config.json, one for each layer. Throws Error (kInvalid) naming the key for another
/// length and for unknown words.
std::vector<bool> layers_from_hf(const HfConfig& hf, const char* key, const LayerWords& words, const Config& config);
/// The same from a list of the numbers of the layers that attend, from 0.
std::vector<bool> numbered_layers_from_hf(const HfConfig& hf, const char* key, const Config& config);
Json layers_to_hf(const std::vector<bool>& attends, const LayerWords& words);

/// The configuration as if every layer attended, which is what code for plain attention reads.
Config as_attending(const Config& config);

}  // namespace godwit
