// The table that an architecture gives: how its parameters are called in a Hugging Face checkpoint and how the two
// containers' values differ. Every difference is an invertible transform that works on rows as they stream by.
#pragma once

#include <cstdint>
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
  /// The same within the first D / 2 rows of each head, where no others rotate (Bamba).
  kHalfRopePairs,
};

/// Which rows of a stored matrix (or columns, where it is transposed) make a parameter that shares it with another.
enum class Pick : uint8_t { kAll, kFirst, kLast, kEven, kOdd };

/// Where a container keeps a parameter that is not one tensor of the same rows. The parameter is a stack of matrices
/// [S, n, k]; of one matrix [n, k], S is 1; of biases [S, n], k is 1.
struct StoredAs {
  std::string name;  // complete, relative to the layer; "{}" stands for the slice's number: S tensors, no stack
  Pick pick = Pick::kAll;
  bool transposed = false;  // the stored slice has k along its rows; `pick` is of the side that is longer than needed
  bool mxfp4 = false;       // name + "_blocks" U8 [S, rows, k / 32, 16] and name + "_scales" U8 [S, rows, k / 32]
};

/// One parameter, or those of one stem. Where `gguf` ends in ".weight" or ".bias", the entry is for that tensor alone
/// (and is preferred to one by stem), and `hf` is complete too.
struct TensorName {
  std::string gguf;     // stem: "attn_q" (of a layer) or "token_embd"
  std::string hf = "";  // "self_attn.q_proj" (of a layer) or "model.embed_tokens"; empty: it has hf_forms only
  Transform transform = Transform::kNone;
  std::string heads = "";       // of rotary transforms: the Config key that counts heads
  bool gguf_plus_one = false;   // the GGUF value is the trained one plus 1 (Gemma's norms)
  bool hf_row = false;          // 1-D here, [1, d] in Hugging Face files; [n, k] here, [n, 1, k] there
  bool gguf_minus_exp = false;  // the GGUF value is -exp of the trained one (A_log)
  bool hf_flat = false;         // 2-D here, 1-D in Hugging Face files
  // Complete entries only. Alternatives: the first that a container has is read; convert writes `hf`, or the first of
  // hf_forms that is not mxfp4, and the GGUF tensor of its own name.
  std::vector<StoredAs> hf_forms = {}, gguf_forms = {};
};

struct TensorNames {
  std::vector<TensorName> model;  // names outside layers
  std::vector<TensorName> layer;  // names inside "blk.N." and hf_layers + "N."
  std::string hf_layers = "model.layers.";
  std::string hf_root = "";  // not empty: names that begin with it may begin with "model." instead (all of a file's)
  std::vector<std::string> hf_prefixes = {""};  // what may stand before every Hugging Face name (multimodal wrappers)
  std::vector<std::string> hf_ignored = {"rotary_emb.inv_freq"};  // a name that contains one of these is no parameter
  bool prediction_layers = false;  // Hugging Face layers from block_count on predict further tokens: ignored
};

/// A name split at its layer: "blk.12.attn_q.weight" is layer 12, stem "attn_q", suffix ".weight".
struct SplitName {
  std::optional<int64_t> layer;
  std::string stem, suffix;
};
SplitName split_gguf_name(std::string_view name);

/// Whether the entry is for one tensor, suffix and all.
bool is_complete(const TensorName& entry);

/// The entry of a GGUF name, a complete one before one by stem; null when the table has none.
const TensorName* find_name(const TensorNames& names, const SplitName& name);

/// The Hugging Face name of a GGUF name, without prefix; nothing when the table has none or forms only.
std::optional<std::string> hf_name(const TensorNames& names, std::string_view gguf);

class Config;
/// How many heads a rotary transform of the entry finds: the number of its key, or the largest of a list by layer.
int64_t permuted_heads(const TensorName& entry, const Config& config);

/// Where row `row` of a GGUF matrix (of `rows` rows, `heads` heads) lies in the Hugging Face one.
int64_t hf_row(Transform transform, int64_t row, int64_t rows, int64_t heads);
/// The inverse: where row `row` of the Hugging Face matrix lies in the GGUF one.
int64_t gguf_row(Transform transform, int64_t row, int64_t rows, int64_t heads);

}  // namespace godwit
