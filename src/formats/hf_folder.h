// Hugging Face model folders: config.json, safetensors (sharded or not), and where the tokenizer files lie.
#pragma once

#include <string>

#include "formats/stored_model.h"

namespace godwit {

/// Opens a folder: config.json is read and checked (its text goes to config_json), the safetensors named by
/// model.safetensors or model.safetensors.index.json are opened; shards outside the folder are refused; a
/// `quant_method` other than mxfp4 and fp8 is refused by name; pickles (.bin, .pt) get an error that says how to
/// convert. Throws Error (kInvalid).
StoredModel open_hf_folder(const std::string& path);

/// org/name[@revision][:QUANT] in the Hugging Face cache (HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub,
/// XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub): the snapshot folder, or the .gguf of that quantization in
/// it. Throws Error (kInvalid) saying where it looked when it is not there.
std::string find_in_hf_cache(const std::string& name);

}  // namespace godwit
