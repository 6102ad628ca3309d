#include "models/mixture.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace godwit {
namespace {

// expert_gating_func. Source: llama.cpp, llama_expert_gating_func_type.
RouterScore score_from(const Config& c, RouterScore otherwise) {
  if (!c.has("expert_gating_func")) return otherwise;
  switch (c.integer_in("expert_gating_func", 1, 3)) {
    case 1:
      return RouterScore::kSoftmax;
    case 2:
      return RouterScore::kSigmoid;
    default:
      return RouterScore::kNone;
  }
}

void read_groups(const Config& c, RouterSpec& r) {
  r.n_groups = c.integer_in("expert_group_count", 1, 1, r.n_experts);
  if (r.n_experts % r.n_groups != 0)
    c.refuse("expert_group_count", fmt::format("a number that divides the {} experts", r.n_experts),
             std::to_string(r.n_groups));
  r.groups_used = c.integer_in("expert_group_used_count", r.n_groups, 1, r.n_groups);
  const int64_t size = r.n_experts / r.n_groups;
  if (r.top_k > size * r.groups_used)
    c.refuse("expert_group_used_count", fmt::format("groups with at least {} experts in all", r.top_k),
             fmt::format("{} groups of {}", r.groups_used, size));
  r.group_score = c.boolean("expert_group_best", false) ? GroupScore::kBest : GroupScore::kTwoBest;
  if (r.n_groups > 1 && size < 2 && r.group_score == GroupScore::kTwoBest)
    c.refuse("expert_group_count", "groups of two experts or more", fmt::format("{} groups of 1", r.n_groups));
}

}  // namespace

float positive_float(const Config& c, const char* key, double otherwise) {
  const double value = c.real(key, otherwise);
  const auto rounded = static_cast<float>(value);
  if (!(rounded >= std::numeric_limits<float>::min() && rounded <= std::numeric_limits<float>::max()))
    c.refuse(key, "a positive number that fits a float", fmt::format("{}", value));
  return rounded;
}

MoeSpec moe_from(const Config& c, int64_t d_model, int64_t d_ff, const MixtureDefaults& defaults) {
  MoeSpec m{.d_model = d_model};
  RouterSpec& r = m.router;
  r.n_experts = c.integer_in("expert_count", 1, kMostExperts);
  r.top_k = c.integer_in("expert_used_count", 1, r.n_experts);
  r.score = score_from(c, defaults.score);
  r.normalise = c.boolean("expert_weights_norm", defaults.normalise);
  r.epsilon = defaults.epsilon;
  r.scale = positive_float(c, "expert_weights_scale", 1.0);
  read_groups(c, r);
  m.d_ff = c.integer_in("expert_feed_forward_length", d_ff, 1, kMostChannels);
  const int64_t shared = c.integer_in("expert_shared_count", 0, 0, 1024);
  m.shared_d_ff = c.integer_in("expert_shared_feed_forward_length", shared * m.d_ff, 0, kMostChannels);
  return m;
}

std::vector<bool> expert_layers(const Config& c, int64_t n_layers) {
  std::vector<bool> result;
  if (c.has("moe_layers")) {
    for (int64_t flag : c.per_layer("moe_layers", n_layers)) result.push_back(flag != 0);
    return result;
  }
  const int64_t dense = c.integer_in("leading_dense_block_count", 0, 0, n_layers);
  for (int64_t i = 0; i < n_layers; ++i) result.push_back(i >= dense);
  return result;
}

std::unique_ptr<Block> feed_forward(const Scope& s, bool experts, const MlpSpec& dense, const MoeSpec& moe) {
  if (experts) return std::make_unique<Moe>(s, moe);
  return std::make_unique<GatedMlp>(s, dense);
}

std::vector<TensorName> expert_names(const std::string& block, const std::string& gate, const std::string& up,
                                     const std::string& down) {
  const auto entry = [&](const std::string& name, const std::string& file, const StoredAs& stacked,
                         const StoredAs& fused_gguf) {
    const std::string gguf = "ffn_" + name;
    TensorName t{.gguf = gguf + "_exps.weight", .hf = ""};
    t.hf_forms = {{.name = block + ".experts.{}." + file + ".weight"}, stacked};
    t.gguf_forms = {{.name = gguf + ".{}.weight"}};
    if (!fused_gguf.name.empty()) t.gguf_forms.push_back(fused_gguf);
    return t;
  };
  const StoredAs gate_up{.name = "mlp.experts.gate_up_proj", .pick = Pick::kFirst};
  const StoredAs fused{.name = "ffn_gate_up_exps.weight", .pick = Pick::kFirst};
  const auto last = [](StoredAs form) {
    form.pick = Pick::kLast;
    return form;
  };
  TensorName router{.gguf = "ffn_gate_inp.weight", .hf = ""};
  router.hf_forms = {{.name = block + ".gate.weight"}, {.name = "mlp.gate.weight"}};
  return {entry("gate", gate, gate_up, fused), entry("up", up, last(gate_up), last(fused)),
          entry("down", down, {.name = "mlp.experts.down_proj"}, {}), router};
}

TensorNames mixture_names(std::vector<TensorName> experts, const std::vector<TensorName>& more) {
  experts.insert(experts.end(), more.begin(), more.end());
  return usual_names(experts);
}

std::vector<TensorName> shared_names(const std::string& hf) {
  return {
      {"ffn_gate_shexp", hf + ".gate_proj"}, {"ffn_up_shexp", hf + ".up_proj"}, {"ffn_down_shexp", hf + ".down_proj"}};
}

}  // namespace godwit
