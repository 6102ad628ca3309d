// What a GGUF file needs beyond its keys for llama.cpp to compute the same model, and where it cannot.
#pragma once

#include <string>
#include <vector>

#include "formats/config.h"

namespace godwit {

/// Adds the keys by which llama.cpp finds what `config` says in other ways (the type of long ropes, YaRN's attention
/// factor), and a line to `warnings` for each thing that it would not do. Source: llama.cpp, src/llama-context.cpp and
/// src/models/.
void for_llama_cpp(Config& config, std::vector<std::string>& warnings);
/// Its part for hybrids and models with state spaces.
void hybrids_for_llama_cpp(Config& config, std::vector<std::string>& warnings);

}  // namespace godwit
