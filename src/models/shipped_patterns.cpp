#include "models/shipped_patterns.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "models/architecture.h"
#include "models/hf_config.h"

namespace godwit {
namespace {

constexpr int64_t kHeadDim = 64, kExperts = 32, kExpertsUsed = 8, kStep = 32, kMostWidth = 32768;

// A pattern repeats its group. Layers without a feed-forward network have half a transformer's parameters or so, so
// that there are twice as many of them (Dao and Gu 2024). The hybrid's attention stands in the middle of eight layers
// (Lieber et al. 2024); windows come three to one full attention.
struct Shipped {
  const char* name;
  const char* group;
  int64_t group_layers;
  double depth;        // layers for each of the table's
  int64_t width_step;  // of hidden_size
  int64_t ffs_used;    // feed-forward networks that a token uses in a layer; 0: none
};
constexpr Shipped kShipped[] = {
    {"dense", "attention+mlp", 1, 1.0, kHeadDim, 1},
    {"window", "3*(window+mlp), attention+mlp", 4, 1.0, kHeadDim, 1},
    {"moe", "attention+moe", 1, 1.0, kHeadDim, kExpertsUsed},
    {"mamba2", "mamba2", 1, 2.0, 32, 0},
    {"hybrid", "4*(mamba2+mlp), attention+mlp, 3*(mamba2+mlp)", 8, 1.0, kHeadDim, 1},
};

// Layers of a transformer with so many parameters, as Pythia (Biderman et al. 2023) and Llama's models have them or
// near.
double usual_depth(double params) {
  constexpr std::pair<double, double> kTable[] = {{5e6, 4},  {30e6, 8},  {150e6, 12}, {250e6, 16},
                                                  {1e9, 24}, {10e9, 32}, {40e9, 48},  {1e11, 80}};
  for (const auto& [most, layers] : kTable)
    if (params <= most) return layers;
  return 96;
}

// Widths of the feed-forward networks that a token uses, together, against hidden_size. Source: Touvron et al. 2023.
constexpr double kUsualRatio = 8.0 / 3.0;

// What divides the heads and is nearest to a quarter of them.
int64_t kv_heads(int64_t heads) {
  int64_t best = 1;
  const double quarter = static_cast<double>(heads) / 4.0;
  const auto distance = [&](int64_t n) { return std::fabs(std::log(static_cast<double>(n) / quarter)); };
  for (int64_t n = 1; n <= heads; ++n)
    if (heads % n == 0 && distance(n) < distance(best)) best = n;
  return best;
}

struct Sizes {
  int64_t groups, d_model, d_ff;  // d_ff: of one network
};

Json config_of(const Shipped& s, const Sizes& sizes, int64_t vocab_size) {
  const std::string group = s.group;
  const bool one_part = group.find_first_of("+,") == std::string::npos;
  const int64_t heads = std::max<int64_t>(1, sizes.d_model / kHeadDim);
  Json json = {
      {"architectures", {"GodwitForCausalLM"}},
      {"model_type", "godwit"},
      {"layers", one_part ? fmt::format("{}*{}", sizes.groups, group) : fmt::format("{}*({})", sizes.groups, group)},
      {"vocab_size", vocab_size},
      {"hidden_size", sizes.d_model},
      {"intermediate_size", std::max(kStep, sizes.d_ff * std::max<int64_t>(1, s.ffs_used))},
      {"num_attention_heads", heads},
      {"num_key_value_heads", kv_heads(heads)},
      {"head_dim", kHeadDim},
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

// Parameters are a + groups (b + c d_ff): three small models say a, b and c.
class Counts {
 public:
  Counts(const Shipped& s, int64_t d_model) {
    const auto count = [&](int64_t groups, int64_t d_ff) {
      return static_cast<double>(active_parameters(config_of(s, {groups, d_model, d_ff}, 1)));
    };
    const double one = count(1, kStep);
    const double all = count(2, kStep) - one;
    outside_ = one - all;
    per_channel_ = s.ffs_used == 0 ? 0.0 : (count(1, 2 * kStep) - one) / kStep;
    fixed_ = all - per_channel_ * kStep;
  }
  double operator()(const Sizes& s) const {
    return outside_ + static_cast<double>(s.groups) * (fixed_ + per_channel_ * static_cast<double>(s.d_ff));
  }
  /// The width with which `groups` groups come nearest to the target.
  int64_t best_d_ff(int64_t groups, double target) const {
    if (per_channel_ == 0.0) return 0;
    const double exact = ((target - outside_) / static_cast<double>(groups) - fixed_) / per_channel_;
    return std::max<int64_t>(kStep, kStep * std::llround(exact / static_cast<double>(kStep)));
  }

 private:
  double outside_, fixed_, per_channel_;
};

constexpr double kMostError = 0.015;

// How far from the target and from the usual shape: what is further than kMostError from the target yields to all that
// is nearer.
double cost_of(const Shipped& s, const Sizes& sizes, double count, double target, double usual_groups) {
  const double error = std::fabs(count / target - 1.0);
  double cost = 20.0 * error + (error > kMostError ? 10.0 + 1000.0 * error : 0.0);
  cost += std::fabs(std::log(static_cast<double>(sizes.groups) / usual_groups));
  if (std::string_view(s.group).find("attention") != std::string_view::npos) {
    // The memory of keys and values is a fourth of the queries' width, so that patterns are compared fairly.
    const int64_t heads = sizes.d_model / kHeadDim;
    cost += std::fabs(std::log(4.0 * static_cast<double>(kv_heads(heads)) / static_cast<double>(heads)));
  }
  if (s.ffs_used == 0) return cost;
  const auto used = static_cast<double>(sizes.d_ff * s.ffs_used);
  return cost + std::fabs(std::log(used / (kUsualRatio * static_cast<double>(sizes.d_model))));
}

const Shipped& shipped(const std::string& name) {
  std::string all;
  for (const Shipped& s : kShipped) {
    if (s.name == name) return s;
    all += (all.empty() ? "" : ", ") + std::string(s.name);
  }
  fail(ErrorKind::kUsage, "{} is not a pattern that ships with godwit, expected one of {}", quoted(name), all);
}

}  // namespace

const std::vector<std::string>& shipped_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Shipped& s : kShipped) list.emplace_back(s.name);
    return list;
  }();
  return names;
}

int64_t active_parameters(const Json& json) {
  const HfClass* found = nullptr;
  const Architecture* a = find_hf_architecture(json, found);
  if (a == nullptr) invalid("config.json: key architectures: not supported");
  Json whole = json;
  const Json defaults = Json::parse(found->defaults);
  for (const auto& [key, value] : defaults.items())
    if (!whole.contains(key)) whole[key] = value;
  Config config;
  config.source = "config.json";
  config.architecture = a->name;
  a->from_hf({std::move(whole), config.source}, config);
  Weights weights(random_source(0, DType::kQ8_0, false), {});
  const Model model = a->build(config, weights);
  const int64_t embedding = model.vocab_size() * model.d_model();
  return weights.count() - model.idle_parameters() - embedding * (model.tied() ? 1 : 2);
}

Json shipped_config(const std::string& name, double target, int64_t vocab_size) {
  const Shipped& s = shipped(name);
  if (!(target >= 1e5 && target <= 1e12))
    fail(ErrorKind::kUsage, "{} active parameters: expected 10^5 to 10^12", target);
  const double usual_groups = std::max(1.0, usual_depth(target) * s.depth / static_cast<double>(s.group_layers));
  // 12 d^2 parameters a layer, or half of that, where the shape is the usual one.
  const double usual_width = std::sqrt(target / (12.0 * usual_groups * static_cast<double>(s.group_layers) / s.depth));
  Sizes best{};
  double least = std::numeric_limits<double>::infinity();
  const auto first = static_cast<int64_t>(0.7 * usual_width) / s.width_step * s.width_step;
  // At least nine widths, however small the model; of large ones as many as fit in the range.
  const double most = std::max(1.4 * usual_width, static_cast<double>(first + 8 * s.width_step));
  const int64_t stride = std::max<int64_t>(1, (static_cast<int64_t>(most) - first) / s.width_step / 24) * s.width_step;
  for (int64_t d = std::max(first, s.width_step); d <= std::min<int64_t>(kMostWidth, static_cast<int64_t>(most));
       d += stride) {
    const Counts counts(s, d);
    const auto fewest = std::max<int64_t>(1, static_cast<int64_t>(0.6 * usual_groups));
    for (int64_t groups = fewest; groups <= static_cast<int64_t>(1.5 * usual_groups) + 1; ++groups) {
      const Sizes sizes{groups, d, counts.best_d_ff(groups, target)};
      const double cost = cost_of(s, sizes, counts(sizes), target, usual_groups);
      if (cost >= least) continue;
      least = cost;
      best = sizes;
    }
  }
  return config_of(s, best, vocab_size);
}

}  // namespace godwit
