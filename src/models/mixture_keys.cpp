// Keys of mixtures of experts: config.json to GGUF's vocabulary and back.
#include <algorithm>

#include "base/error.h"
#include "models/mixture.h"

namespace godwit {
namespace {

int64_t first_integer(const HfConfig& hf, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (hf.has(key)) return hf.integer(key);
  return hf.integer(*keys.begin());  // says which is missing
}

}  // namespace

void experts_from_hf(const HfConfig& hf, Config& c) {
  c.set("expert_count", first_integer(hf, {"num_local_experts", "num_experts", "n_routed_experts", "default_experts"}));
  c.set("expert_used_count", hf.integer("num_experts_per_tok"));
  c.set("expert_feed_forward_length", first_integer(hf, {"moe_intermediate_size", "intermediate_size"}));
  c.set("expert_weights_norm", hf.boolean("norm_topk_prob", false));
}

void experts_to_hf(const Config& c, Json& hf, const char* count) {
  hf[count] = c.integer("expert_count");
  hf["num_experts_per_tok"] = c.integer("expert_used_count");
  hf["hidden_act"] = "silu";
}

void sparse_step_from_hf(const HfConfig& hf, Config& c) {
  const int64_t n = c.integer_in("block_count", 1, 1024), step = hf.integer("decoder_sparse_step");
  if (step < 1) invalid("{}: key decoder_sparse_step: expected 1 or more, got {}", hf.source, step);
  std::vector<bool> sparse;
  for (int64_t i = 0; i < n; ++i) sparse.push_back((i + 1) % step == 0);
  const Json& dense = hf.json["mlp_only_layers"];
  for (const Json& layer : dense) {
    const bool number = layer.is_number_integer();
    const int64_t i = number ? layer.get<int64_t>() : -1;
    if (i < 0) invalid("{}: key mlp_only_layers: expected numbers of layers, got {}", hf.source, dump_json(layer));
    if (i < n) sparse[static_cast<size_t>(i)] = false;
  }
  const bool all = std::find(sparse.begin(), sparse.end(), false) == sparse.end();
  if (!all) c.set("moe_layers", sparse);
}

void sparse_step_to_hf(const Config& c, Json& hf) {
  hf["moe_intermediate_size"] = c.integer("expert_feed_forward_length");
  hf["decoder_sparse_step"] = 1;
  hf["mlp_only_layers"] = Json::array();
  const std::vector<bool> sparse = expert_layers(c, c.integer("block_count"));
  for (size_t i = 0; i < sparse.size(); ++i)
    if (!sparse[i]) hf["mlp_only_layers"].push_back(i);
}

void groups_from_hf(const HfConfig& hf, Config& c) {
  if (hf.has("n_group")) c.set("expert_group_count", hf.integer("n_group"));
  if (hf.has("topk_group")) c.set("expert_group_used_count", hf.integer("topk_group"));
  c.set("expert_weights_scale", hf.real("routed_scaling_factor"));
  c.set("expert_shared_count", hf.has("n_shared_experts") ? hf.integer("n_shared_experts") : int64_t{0});
  if (!hf.has("mlp_layer_types")) {
    c.set("leading_dense_block_count", hf.integer("first_k_dense_replace"));
    return;
  }
  std::vector<bool> sparse;
  for (const Json& type : hf.json["mlp_layer_types"]) {
    if (type != "sparse" && type != "dense")
      invalid("{}: key mlp_layer_types: expected \"dense\" or \"sparse\", got {}", hf.source, dump_json(type));
    sparse.push_back(type == "sparse");
  }
  const int64_t n = c.integer_in("block_count", 1, 1024), listed = static_cast<int64_t>(sparse.size());
  if (listed != n) invalid("{}: key mlp_layer_types: expected {} entries, got {}", hf.source, n, listed);
  c.set("moe_layers", sparse);
}

void groups_to_hf(const Config& c, Json& hf) {
  hf["n_group"] = c.integer("expert_group_count", 1);
  hf["topk_group"] = c.integer("expert_group_used_count", c.integer("expert_group_count", 1));
  hf["routed_scaling_factor"] = c.real("expert_weights_scale", 1.0);
  hf["moe_intermediate_size"] = c.integer("expert_feed_forward_length");
  hf["norm_topk_prob"] = c.boolean("expert_weights_norm", false);
  const int64_t shared = c.integer("expert_shared_count", 0);
  hf["n_shared_experts"] = shared > 0 ? Json(shared) : Json();
  const std::vector<bool> sparse = expert_layers(c, c.integer("block_count"));
  hf["first_k_dense_replace"] = std::find(sparse.begin(), sparse.end(), true) - sparse.begin();
}

}  // namespace godwit
