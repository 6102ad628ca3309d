// Words of a pattern that are feed-forward networks: mlp, moe.
#include <algorithm>

#include "blocks/gated_mlp.h"
#include "blocks/moe.h"
#include "models/layer_parts.h"
#include "models/mixture.h"

namespace godwit {
namespace {

using Hf = const HfConfig&;
using C = const Config&;

std::unique_ptr<Block> mlp(const Scope& s, const Config& c) {
  const Dimensions d = dimensions(c);
  return std::make_unique<GatedMlp>(
      s, MlpSpec{.d_model = d.d_model, .d_ff = d.d_ff, .biased = c.boolean("feed_forward.bias", false)});
}

std::unique_ptr<Block> moe(const Scope& s, const Config& c) {
  MoeSpec spec{.d_model = c.integer("embedding_length"), .d_ff = c.integer("expert_feed_forward_length")};
  spec.router.n_experts = c.integer("expert_count");
  spec.router.top_k = c.integer_in("expert_used_count", 1, spec.router.n_experts);
  spec.router.normalise = c.boolean("expert_weights_norm", true);
  spec.shared_d_ff = c.integer("expert_shared_feed_forward_length", 0);
  return std::make_unique<Moe>(s, spec);
}

std::vector<PartSize> moe_sizes() {
  return {
      {"num_experts", "expert_count", 1, kMostExperts, [](Hf, C) { return int64_t{32}; }},
      {"num_experts_per_tok", "expert_used_count", 1, kMostExperts,
       [](Hf, C c) { return std::min<int64_t>(8, sane_size(c, "expert_count")); }},
      {"moe_intermediate_size", "expert_feed_forward_length", 1, kMostPartChannels,
       [](Hf, C c) { return rounded_up(sane_size(c, "feed_forward_length") / sane_size(c, "expert_used_count"), 32); }},
      {"shared_expert_intermediate_size", "expert_shared_feed_forward_length", 0, kMostPartChannels,
       [](Hf, C) { return int64_t{0}; }},
  };
}

std::vector<TensorName> moe_names() {
  std::vector<TensorName> names = expert_names("mlp", "gate_proj", "up_proj", "down_proj");
  for (const TensorName& name : shared_names("mlp.shared_expert")) names.push_back(name);
  return names;
}

}  // namespace

std::vector<LayerPart> feed_forward_parts() {
  return {{"mlp", false, {}, {}, mlp}, {"moe", false, moe_sizes(), moe_names(), moe}};
}

}  // namespace godwit
