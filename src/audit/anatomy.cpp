#include "audit/anatomy.h"

#include <algorithm>

#include "audit/statistics.h"
#include "base/error.h"
#include "ops/experts.h"

namespace godwit {
namespace {

// A cost may bend where a window is full, and nowhere else: the next token then reads as many rows as this one.
std::vector<int64_t> knots_of(const StateLayout& layout, int64_t last) {
  std::vector<int64_t> knots{0, last};
  for (const StateGroup& group : layout.groups)
    if (group.window > 1 && group.window - 1 < last) knots.push_back(group.window - 1);
  std::sort(knots.begin(), knots.end());
  knots.erase(std::unique(knots.begin(), knots.end()), knots.end());
  return knots;
}

StepCost step_cost(const Model& model, const StateLayout& layout, bool exact, int64_t tokens, int64_t rows,
                   int64_t wanted, int64_t most) {
  StepCost cost{.tokens = tokens, .rows = rows, .wanted = wanted, .knots = {}, .ops = {}};
  cost.knots = knots_of(layout, std::max<int64_t>(0, most - tokens / rows));
  for (int64_t past : cost.knots) {
    Meter meter;
    dry_pass(model, layout, tokens, rows, past, wanted, exact, &meter);
    for (const auto& [name, op] : meter.by_op) {
      OpCost& sum = cost.ops[name];
      sum.calls = op.calls;
      sum.flops.push_back(op.flops);
      sum.weight_bytes.push_back(op.weight_bytes);
      sum.state_bytes.push_back(op.state_bytes);
      sum.fewer_bytes.push_back(op.fewer_bytes);
      sum.more_bytes.push_back(op.more_bytes);
    }
  }
  for (auto& [name, op] : cost.ops)
    for (auto* bytes : {&op.fewer_bytes, &op.more_bytes})
      if (std::all_of(bytes->begin(), bytes->end(), [](int64_t n) { return n == 0; })) bytes->clear();
  return cost;
}

std::vector<ExpertLayers> expert_layers(const Model& model) {
  std::vector<ExpertLayers> all;
  for (const ExpertCount& count : model.experts()) {
    auto same = std::find_if(all.begin(), all.end(),
                             [&](const ExpertLayers& e) { return e.all == count.all && e.used == count.used; });
    if (same == all.end()) same = all.insert(all.end(), {0, count.all, count.used});
    ++same->layers;
  }
  return all;
}

int64_t parameters_named(const Weights& weights, const std::string& name) {
  for (const Parameter& p : weights.parameters())
    if (p.name == name) return p.tensor.size();
  return 0;
}

}  // namespace

double StepCost::at(const OpCost& op, What what, double context) const {
  const std::vector<int64_t>& values = what == What::kFlops         ? op.flops
                                       : what == What::kWeightBytes ? op.weight_bytes
                                       : what == What::kStateBytes  ? op.state_bytes
                                       : what == What::kFewerBytes  ? op.fewer_bytes
                                                                    : op.more_bytes;
  CHECK(context >= 0 && context <= static_cast<double>(knots.back()), "a cost up to {} at {}", knots.back(), context);
  if (values.empty() && (what == What::kFewerBytes || what == What::kMoreBytes)) return 0;
  return interpolated<int64_t>(knots, values, context);
}

double StepCost::total(What what, double context) const {
  double sum = 0;
  for (const auto& [name, op] : ops) sum += at(op, what, context);
  return sum;
}

double Anatomy::expected_experts(int64_t tokens) const {
  double sum = 0, layers = 0;
  for (const ExpertLayers& e : experts) {
    const auto n = static_cast<double>(e.layers);
    sum += n * godwit::expected_experts(e.all, e.used, tokens);
    layers += n;
  }
  return layers > 0 ? sum / layers : 0;
}

bool int8_products(const Weights& weights, bool exact) {
  const auto& all = weights.parameters();
  return !exact && std::any_of(all.begin(), all.end(), [](const Parameter& p) { return is_quantized(p.tensor.dtype); });
}

Anatomy anatomy_of(const OpenModel& open, const RunnerOptions& options, const std::vector<int64_t>& batches,
                   int64_t most) {
  const Model& model = *open.model;
  const StateLayout layout = model.state_layout(options.cache);
  Anatomy a;
  a.architecture = open.architecture->name;
  a.n_params = open.weights->count();
  a.n_active_params = a.n_params - model.idle_parameters();
  a.experts = expert_layers(model);
  a.n_embedding_params = parameters_named(*open.weights, "token_embd.weight");
  a.weights_bytes = open.weights->bytes();
  a.context_length = model.context_length();
  a.state_per_token_bytes = layout.bytes_per_token();
  a.state_per_sequence_bytes = layout.record_bytes;
  a.quantized = int8_products(*open.weights, options.exact);
  a.token = step_cost(model, layout, options.exact, 1, 1, 0, most);
  for (int64_t batch : batches) {
    const int64_t chunk = std::max(batch, std::min(options.chunk, most * batch) / batch * batch);
    a.batches[batch] = {.decode = step_cost(model, layout, options.exact, batch, batch, batch, most),
                        .chunk = step_cost(model, layout, options.exact, chunk, batch, 0, most)};
    // While a window closes within a chunk, operations bend at every token.
    for (auto& [name, op] : a.batches[batch].chunk.ops) op.flops.clear();
  }
  return a;
}

}  // namespace godwit
