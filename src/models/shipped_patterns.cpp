#include "models/shipped_patterns.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "models/architecture.h"
#include "models/shipped_shape.h"

namespace godwit {
namespace {

constexpr int64_t kExperts = 32, kExpertsUsed = 8;

constexpr ShippedShape kShipped[] = {
    {"dense", "attention+mlp", 1, 1.0, kShippedHeadDim, 1},
    {"window", "3*(window+mlp), attention+mlp", 4, 1.0, kShippedHeadDim, 1},
    {"moe", "attention+moe", 1, 1.0, kShippedHeadDim, kExpertsUsed},
    {"mamba2", "mamba2", 1, 2.0, 32, 0},
    {"hybrid", "4*(mamba2+mlp), attention+mlp, 3*(mamba2+mlp)", 8, 1.0, kShippedHeadDim, 1},
};

}  // namespace

int64_t shipped_kv_heads(int64_t heads) {
  int64_t best = 1;
  const double quarter = static_cast<double>(heads) / 4.0;
  const auto distance = [&](int64_t n) { return std::fabs(std::log(static_cast<double>(n) / quarter)); };
  for (int64_t n = 1; n <= heads; ++n)
    if (heads % n == 0 && distance(n) < distance(best)) best = n;
  return best;
}

int64_t active_parameters(const Json& json) {
  Config config;
  const Architecture* a = configure_from_hf(json, "config.json", config);
  Weights weights(random_source(0, DType::kQ8_0, false), {});
  return active_parameters(a->build(config, weights), weights);
}

int64_t active_parameters(const Model& model, const Weights& weights) {
  const int64_t embedding = model.vocab_size() * model.d_model();
  return weights.count() - model.idle_parameters() - embedding * (model.tied() ? 1 : 2);
}

Json shipped_json(const ShippedShape& s, const ShippedSizes& sizes, int64_t vocab_size) {
  const std::string group = s.group;
  const bool one_part = group.find_first_of("+,") == std::string::npos;
  const int64_t heads = std::max<int64_t>(1, sizes.d_model / kShippedHeadDim);
  Json json = {
      {"architectures", {"GodwitForCausalLM"}},
      {"model_type", "godwit"},
      {"layers", one_part ? fmt::format("{}*{}", sizes.groups, group) : fmt::format("{}*({})", sizes.groups, group)},
      {"vocab_size", vocab_size},
      {"hidden_size", sizes.d_model},
      {"intermediate_size", std::max(kShippedStep, sizes.d_ff * std::max<int64_t>(1, s.ffs_used))},
      {"num_attention_heads", heads},
      {"num_key_value_heads", shipped_kv_heads(heads)},
      {"head_dim", kShippedHeadDim},
      {"max_position_embeddings", 131072},
      {"tie_word_embeddings", true}};
  if (group.find("window") != std::string::npos) json["sliding_window"] = 1024;
  if (s.ffs_used > 1) {
    json["num_experts"] = kExperts;
    json["num_experts_per_tok"] = kExpertsUsed;
    json["moe_intermediate_size"] = sizes.d_ff;
  }
  return json;
}

const ShippedShape& shipped_shape(const std::string& name) {
  std::string all;
  for (const ShippedShape& s : kShipped) {
    if (s.name == name) return s;
    all += (all.empty() ? "" : ", ") + std::string(s.name);
  }
  fail(ErrorKind::kUsage, "{} is not a pattern that ships with godwit, expected one of {}", quoted(name), all);
}

const std::vector<std::string>& shipped_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const ShippedShape& s : kShipped) list.emplace_back(s.name);
    return list;
  }();
  return names;
}

}  // namespace godwit
