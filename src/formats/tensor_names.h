// The table that an architecture gives: how its parameters are called in a Hugging Face checkpoint and how the two
// containers' values differ. Every difference is an invertible transform that works on rows as they stream by.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace godwit {

enum class Transform : uint8_t {
  kNone,
  /// Hugging Face keeps the two rotary halves of each head apart, GGUF interleaves them: within a head of D rows,
  /// gguf[2 i + p] = hf[p D / 2 + i].
  kRopePairs,
};

struct TensorName {
  std::string gguf;  // stem: "attn_q" (of a layer) or "token_embd"
  std::string hf;    // "self_attn.q_proj" (of a layer) or "model.embed_tokens"
  Transform transform = Transform::kNone;
  std::string heads = "";      // kRopePairs: the Config key that counts heads
  bool gguf_plus_one = false;  // the GGUF value is the trained one plus 1 (Gemma's norms)
};

struct TensorNames {
  std::vector<TensorName> model;  // names outside layers
  std::vector<TensorName> layer;  // names inside "blk.N." and hf_layers + "N."
  std::string hf_layers = "model.layers.";
  std::vector<std::string> hf_prefixes = {""};  // what may stand before every Hugging Face name (multimodal wrappers)
  std::vector<std::string> hf_ignored = {"rotary_emb.inv_freq"};  // a name that contains one of these is no parameter
};

/// A name split at its layer: "blk.12.attn_q.weight" is layer 12, stem "attn_q", suffix ".weight".
struct SplitName {
  std::optional<int64_t> layer;
  std::string stem, suffix;
};
SplitName split_gguf_name(std::string_view name);

/// The entry of a GGUF name; null when the table has none.
const TensorName* find_name(const TensorNames& names, const SplitName& name);

/// The Hugging Face name of a GGUF name, without prefix; nothing when the table has none.
std::optional<std::string> hf_name(const TensorNames& names, std::string_view gguf);

/// Where row `row` of a GGUF matrix (of `rows` rows, `heads` heads) lies in the Hugging Face one.
int64_t hf_row(Transform transform, int64_t row, int64_t rows, int64_t heads);
/// The inverse: where row `row` of the Hugging Face matrix lies in the GGUF one.
int64_t gguf_row(Transform transform, int64_t row, int64_t rows, int64_t heads);

}  // namespace godwit
