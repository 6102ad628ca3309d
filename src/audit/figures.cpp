#include "audit/figures.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "audit/rounds.h"
#include "audit/saving.h"
#include "base/error.h"
#include "base/json.h"

namespace godwit {
namespace {

using What = StepCost::What;

constexpr uint64_t kDraws = 400;
constexpr double kNarrow = 0.2;           // an interval of at most this share of its value settles a figure
constexpr double kConfidentDraws = 0.95;  // of the draws must agree on what kind of answer there is
constexpr int kGrid = 400;                // places of a predicted curve

// ---------------------------------------------------------------- figures

bool is_product(const std::string& op) { return op.starts_with("linear "); }
bool is_experts(const std::string& op) { return op.starts_with("experts "); }

// The machine's own limit of an op's operations.
double limit_of(const std::string& op, const Anatomy& a, const Limits& limits) {
  return (is_product(op) || is_experts(op)) && a.quantized && limits.int8_ops_per_s > 0 ? limits.int8_ops_per_s
                                                                                        : limits.f32_ops_per_s;
}

// Operations of an op in a step that takes `batch` sequences from one context to another, by its first and last token.
double prompt_flops(const Anatomy& a, const std::string& op, double from, double to, int64_t batch) {
  const auto token = a.token.ops.find(op);
  if (token == a.token.ops.end()) return 0;
  const auto flops = [&](double context) { return a.token.at(token->second, What::kFlops, context); };
  return 0.5 * (to - from) * static_cast<double>(batch) * (flops(from) + flops(std::max(from, to - 1)));
}

// Operations a second of products of so many rows each: between measured numbers of rows the time is linear.
double rate_at(const std::map<int64_t, double>& rates, double rows) {
  const auto time_of = [](const auto& entry) { return static_cast<double>(entry.first) / entry.second; };
  const auto above = rates.lower_bound(static_cast<int64_t>(std::ceil(rows)));
  if (above == rates.end()) return rates.rbegin()->second;
  if (above == rates.begin()) return above->second;
  const auto below = std::prev(above);
  const auto from = static_cast<double>(below->first), to = static_cast<double>(above->first);
  const double share = (rows - from) / (to - from);
  return rows / (time_of(*below) + share * (time_of(*above) - time_of(*below)));
}

// Rows of activations for each expert that a step reads, on average: a token alone reads all of its own.
double rows_each(const std::string& op, double bytes, int64_t tokens, const Anatomy& a) {
  const auto token = a.token.ops.find(op);
  if (token == a.token.ops.end() || bytes <= 0) return 1;
  return std::max(1.0, static_cast<double>(tokens) * a.token.at(token->second, What::kWeightBytes, 0) / bytes);
}

// Seconds of an op of a step of so many tokens.
double op_seconds(const std::string& op, double flops, double bytes, int64_t calls, int64_t tokens,
                  const AuditedModel& model, const Limits& limits) {
  const double call = static_cast<double>(calls) * limits.call_s, read = bytes / limits.read_bytes_per_s;
  const auto found = model.kernel_rates.find(op);
  if (found == model.kernel_rates.end() || found->second.empty())
    return std::max(read, flops / limit_of(op, model.anatomy, limits)) + call;
  if (is_experts(op)) return flops / rate_at(found->second, rows_each(op, bytes, tokens, model.anatomy)) + call;
  auto rate = found->second.lower_bound(tokens);  // of as many rows, or the next larger number that was measured
  if (rate == found->second.end()) --rate;
  return flops / rate->second + call;
}

class Figures {
 public:
  explicit Figures(const Report& report) : report_(report), rounds_(all_rounds(report)) {
    for (const auto& [key, rounds] : rounds_)
      for (uint64_t draw = 0; draw <= kDraws; ++draw) costs_[key].push_back(costs_of(rounds, key, draw));
  }

  Json all() const {
    Json all{{"per_busy_second", plain(report_.profile.cost_per_s(), "currency per s", "assumed")},
             {"anatomy", anatomy()},
             {"memory", memory()},
             {"points", points()},
             {"cost", cost()},
             {"break_even", break_even()},
             {"growth", growth()}};
    // Reports of dense models are as they were before there were others.
    if (std::any_of(report_.models.begin(), report_.models.end(),
                    [](const auto& m) { return m.anatomy.is_mixture(); })) {
      all["experts"] = experts();
      const std::optional<double> context = compared_at();
      all["cost_by_batch"] = context ? cost_by_batch(*context) : Json::array();
      all["savings"] = context ? savings_of(decoding_costs(*context)) : Json::array();
    }
    return all;
  }

 private:
  using Value = std::function<double(const Costs&)>;

  const Anatomy& anatomy_of(size_t model) const { return report_.models[model].anatomy; }
  const std::string& name(size_t model) const { return report_.models[model].name; }

  /// A figure of the measured curves: of the medians, with the interval that 95 % of the draws lie in; none where all
  /// is of one round. n: the fewest rounds of what it was made of. of_prompts: prompts are in it, so that rounds of
  /// decoding alone do not tell how it varies.
  Json figure(SampleKey key, const Value& value, const char* unit, size_t n, const char* method,
              bool of_prompts) const {
    const std::vector<Costs>& draws = costs_.at(key);
    Json result{{"value", value(draws[0])}, {"low", nullptr}, {"high", nullptr}, {"n", n}, {"unit", unit},
                {"method", method}};
    std::vector<double> values;
    for (size_t draw = 1; draw < draws.size(); ++draw) values.push_back(value(draws[draw]));
    const double low = quantile(values, 0.025), high = quantile(values, 0.975);
    const bool known = !of_prompts || !rounds_.at(key).prefill_noise.empty();
    if (known && (n > 1 || low < high)) {
      result["low"] = low;
      result["high"] = high;
    }
    return result;
  }
  static Json plain(double value, const char* unit, const char* method) {
    return {{"value", value}, {"unit", unit}, {"method", method}};
  }

  // The places at which attention costs more than all else together.
  Json overtaken(const StepCost& decode, bool flops) const {
    const auto excess = [&](double context) {
      double attention = 0, rest = 0;
      for (const auto& [op, cost] : decode.ops) {
        const double value = flops ? decode.at(cost, What::kFlops, context) : decode.bytes(cost, context);
        (op == "attention" ? attention : rest) += value;
      }
      return attention - rest;
    };
    const auto& knots = decode.knots;
    for (size_t i = 0; i < knots.size(); ++i) {
      const auto at = static_cast<double>(knots[i]);
      if (excess(at) <= 0) continue;
      if (i == 0) return 0;
      const auto before = static_cast<double>(knots[i - 1]);
      return before + (at - before) * -excess(before) / (excess(at) - excess(before));
    }
    return nullptr;
  }

  Json anatomy() const {
    Json list = Json::array();
    for (size_t m = 0; m < report_.models.size(); ++m) {
      const Anatomy& a = anatomy_of(m);
      const Anatomy::Batch& fewest = a.batches.begin()->second;  // sequences: one
      const StepCost &decode = fewest.decode, &chunk = fewest.chunk;
      Json decode_flops = Json::array(), decode_bytes = Json::array(), prefill_flops = Json::array(),
           prefill_bytes = Json::array();
      const auto rows = static_cast<double>(decode.rows);
      for (int64_t knot : decode.knots) {
        const auto at = static_cast<double>(knot);
        decode_flops.push_back({knot, decode.total(What::kFlops, at) / rows});
        decode_bytes.push_back({knot, decode.total_bytes(at) / rows});
      }
      for (int64_t knot : a.token.knots)
        prefill_flops.push_back({knot, a.token.total(What::kFlops, static_cast<double>(knot))});
      for (int64_t knot : chunk.knots) {
        const auto at = static_cast<double>(knot);
        prefill_bytes.push_back({knot, chunk.total_bytes(at) / static_cast<double>(chunk.tokens)});
      }
      list.push_back(
          {{"model", name(m)},
           {"decode_flops_per_token", decode_flops},
           {"decode_bytes_per_token", decode_bytes},
           {"prefill_flops_per_token", prefill_flops},
           {"prefill_bytes_per_token", prefill_bytes},
           {"prefill_chunk", chunk.tokens},
           {"attention_overtakes", {{"flops", overtaken(decode, true)}, {"bytes", overtaken(decode, false)}}},
           {"method", "derived"}});
    }
    return list;
  }

  Json memory() const {
    Json list = Json::array();
    for (size_t m = 0; m < report_.models.size(); ++m) {
      const AuditedModel& model = report_.models[m];
      if (model.peak_bytes == 0) continue;
      list.push_back({{"model", model.name},
                      {"peak", plain(static_cast<double>(model.peak_bytes), "bytes", "measured")},
                      {"predicted", plain(static_cast<double>(model.predicted_bytes), "bytes", "derived")}});
    }
    return list;
  }

  // The larger of the shares of the machine's limits that a step of so many operations and bytes reaches.
  Json share(double flops_s, double bytes_s, double seconds, const Anatomy& a) const {
    const bool int8 = a.quantized && report_.limits.int8_ops_per_s > 0;
    const bool bytes = bytes_s >= flops_s;
    return {{"of", bytes  ? "read"
                   : int8 ? "int8"
                          : "f32"},
            {"value", (bytes ? bytes_s : flops_s) / seconds},
            {"method", "measured"}};
  }

  Json decode_share(SampleKey key, double context, double seconds) const {
    const Anatomy& a = anatomy_of(key.model);
    const StepCost& step = a.batches.at(key.batch).decode;
    double flops_s = 0;
    for (const auto& [op, cost] : step.ops)
      flops_s += step.at(cost, What::kFlops, context) / limit_of(op, a, report_.limits);
    return share(flops_s, step.total_bytes(context) / report_.limits.read_bytes_per_s, seconds, a);
  }

  // Of the last chunk before `context`.
  Json prefill_share(SampleKey key, double context) const {
    const Anatomy& a = anatomy_of(key.model);
    const StepCost& chunk = a.batches.at(key.batch).chunk;
    const Curve& prefill = costs_.at(key)[0].prefill;
    const auto end = static_cast<size_t>(std::find(prefill.x.begin(), prefill.x.end(), context) - prefill.x.begin());
    if (end == 0 || end == prefill.x.size()) return nullptr;
    const double from = prefill.x[end - 1];
    double flops_s = 0;
    for (const auto& [op, cost] : a.token.ops)
      flops_s += prompt_flops(a, op, from, context, key.batch) / limit_of(op, a, report_.limits);
    const double start = std::min(from, static_cast<double>(chunk.knots.back()));
    return share(flops_s, chunk.total_bytes(start) / report_.limits.read_bytes_per_s,
                 prefill.y[end] - prefill.y[end - 1], a);
  }

  Json points() const {
    Json list = Json::array();
    for (const auto& [key, draws] : costs_) {
      const auto batch = static_cast<double>(key.batch);
      for (double c : draws[0].decode.x) {
        const size_t n = rounds_.at(key).n_decode(c, c), n_prompt = rounds_.at(key).n_prefill(c);
        Json point{{"model", name(key.model)}, {"batch", key.batch}, {"context", c}};
        if (draws[0].first_token.covers(c)) {
          point["first_token"] = figure(
              key, [&](const Costs& x) { return x.first_token(c); }, "s", n_prompt, "measured", true);
          point["prefill"] = figure(
              key, [&](const Costs& x) { return batch * c / x.prefill(c); }, "tok/s", n_prompt, "measured", true);
          point["prefill_limit"] = prefill_share(key, c);
          point["first_token_predicted"] =
              plain(predicted_prefill_s(report_.models[key.model], report_.limits, key.batch, c), "s", "derived");
        }
        point["decode"] = figure(
            key, [&](const Costs& x) { return batch / x.decode(c); }, "tok/s", n, "measured", false);
        point["decode_step"] = figure(
            key, [&](const Costs& x) { return x.decode(c); }, "s", n, "measured", false);
        point["decode_limit"] = decode_share(key, c, draws[0].decode(c));
        point["decode_step_predicted"] =
            plain(predicted_decode_s(report_.models[key.model], report_.limits, key.batch, c), "s", "derived");
        list.push_back(point);
      }
    }
    return list;
  }

  // Why a workload has no cost here, or empty.
  std::string no_cost(SampleKey key, const Workload& w) const {
    const int64_t most = anatomy_of(key.model).context_length;
    if (w.in + w.out > most) return fmt::format("does not fit: needs {} tokens, the context is {}", w.in + w.out, most);
    const Costs& c = costs_.at(key)[0];
    const auto in = static_cast<double>(w.in), end = static_cast<double>(w.in + w.out);
    const auto measured = [](const Curve& curve) {
      return curve.empty() ? std::string("nothing was")
                           : fmt::format("measured from {} to {}", curve.x.front(), curve.x.back());
    };
    if (!c.first_token.covers(in))
      return fmt::format("not measured: needs the first token after {}; {}", w.in, measured(c.first_token));
    if (c.decode.covers(in) && c.decode.covers(end)) return "";
    return fmt::format("not measured: needs contexts from {} to {}; {}", w.in, w.in + w.out, measured(c.decode));
  }

  Json cost() const {
    Json list = Json::array();
    for (const auto& entry : costs_) {
      const SampleKey key = entry.first;  // a name that closures may use
      const Rounds& rounds = rounds_.at(key);
      const bool metered = rounds.metered_s > 0;
      const double watts = metered ? rounds.joules / rounds.metered_s : report_.profile.watts_busy;
      const double per_s = report_.profile.cost_per_s();
      for (const Workload& w : kWorkloads) {
        Json row{{"model", name(key.model)}, {"batch", key.batch}, {"workload", w.name}, {"in", w.in}, {"out", w.out}};
        if (const std::string why = no_cost(key, w); !why.empty()) {
          row["not"] = why;
          list.push_back(row);
          continue;
        }
        const auto in = static_cast<double>(w.in), out = static_cast<double>(w.out);
        const auto batch = static_cast<double>(key.batch);
        // Seconds of the machine that one request takes.
        const Value in_s = [=](const Costs& c) { return c.first_token(in) / batch; };
        const Value out_s = [=](const Costs& c) { return c.decode.integral(in, in + out) / batch; };
        const size_t n_in = rounds.n_prefill(in), n_out = rounds.n_decode(in, in + out), n_all = std::min(n_in, n_out);
        const std::string& money = report_.profile.currency;
        const auto row_figure = [&](const Value& value, size_t n, const char* unit, const char* method, bool in_too) {
          return figure(key, value, unit, n, method, in_too);
        };
        row["currency"] = money;
        row["seconds_in"] = row_figure(in_s, n_in, "s", "measured", true);
        row["seconds_out"] = row_figure(out_s, n_out, "s", "measured", false);
        const char* per_million = "currency per million tokens";
        row["per_million_in"] =
            row_figure([&](const Costs& c) { return 1e6 * per_s * in_s(c) / in; }, n_in, per_million, "derived", true);
        row["per_million_out"] = row_figure([&](const Costs& c) { return 1e6 * per_s * out_s(c) / out; }, n_out,
                                            per_million, "derived", false);
        row["per_request"] = row_figure([&](const Costs& c) { return per_s * (in_s(c) + out_s(c)); }, n_all, "currency",
                                        "derived", true);
        row["energy"] = row_figure([&](const Costs& c) { return watts * (in_s(c) + out_s(c)); }, n_all, "J",
                                   metered ? "measured" : "assumed", true);
        list.push_back(row);
      }
    }
    return list;
  }

  // Distinct experts and bytes of weights of a step, by sequences at once.
  Json experts() const {
    Json list = Json::array();
    for (size_t m = 0; m < report_.models.size(); ++m) {
      const Anatomy& a = anatomy_of(m);
      for (const auto& [batch, steps] : a.batches) {
        if (!a.is_mixture()) continue;
        Json row{{"model", name(m)}, {"batch", batch}};
        row["expected"] = plain(a.expected_experts(batch), "experts a layer", "derived");
        double sum = 0, n = 0;
        for (const Sample& s : report_.samples)
          if (s.model == m && s.batch == batch && s.kind == Sample::Kind::kDecode && s.experts > 0)
            sum += s.experts, ++n;
        if (n > 0) row["measured"] = plain(sum / n, "experts a layer", "measured");
        row["decode_weight_bytes_per_token"] = weight_bytes(steps.decode);
        row["chunk_weight_bytes_per_token"] = weight_bytes(steps.chunk);
        list.push_back(row);
      }
    }
    return list;
  }

  static Json weight_bytes(const StepCost& step) {
    const auto tokens = static_cast<double>(step.tokens);
    const double expected = step.total(What::kWeightBytes, 0);
    return {{"least", (expected - step.total(What::kFewerBytes, 0)) / tokens},
            {"expected", expected / tokens},
            {"most", (expected + step.total(What::kMoreBytes, 0)) / tokens},
            {"method", "derived"}};
  }

  // The context to compare models at: decoding was measured there for the most numbers of sequences, of all models; of
  // several such contexts the one nearest to a short chat's.
  std::optional<double> compared_at() const {
    constexpr double kUsual = 1024;
    std::map<double, std::map<int64_t, size_t>> models_at;  // by context, by batch
    for (const auto& [key, draws] : costs_)
      for (double c : draws[0].decode.x) ++models_at[c][key.batch];
    std::optional<double> best;
    int64_t most = 0;
    for (const auto& [context, batches] : models_at) {
      const int64_t n = std::count_if(batches.begin(), batches.end(),
                                      [&](const auto& entry) { return entry.second == report_.models.size(); });
      const bool nearer = best && std::abs(std::log(context / kUsual)) < std::abs(std::log(*best / kUsual));
      if (n < most || n == 0 || (n == most && !nearer)) continue;
      best = context;
      most = n;
    }
    return best;
  }

  double per_million(const Costs& c, double context, int64_t batch) const {
    return 1e6 * report_.profile.cost_per_s() * c.decode(context) / static_cast<double>(batch);
  }

  Json cost_by_batch(double context) const {
    Json list = Json::array();
    for (const auto& entry : costs_) {
      const SampleKey key = entry.first;
      if (!entry.second[0].decode.covers(context)) continue;
      list.push_back({{"model", name(key.model)},
                      {"batch", key.batch},
                      {"context", context},
                      {"currency", report_.profile.currency},
                      {"per_million", figure(
                                          key, [&](const Costs& c) { return per_million(c, context, key.batch); },
                                          "currency per million tokens", rounds_.at(key).n_decode(context, context),
                                          "derived", false)}});
    }
    return list;
  }

  std::vector<DecodingCost> decoding_costs(double context) const {
    std::vector<DecodingCost> models;
    for (size_t m = 0; m < report_.models.size(); ++m) {
      const Anatomy& a = anatomy_of(m);
      models.push_back({.name = name(m), .n_params = a.n_params, .n_active_params = a.n_active_params});
      for (const auto& [key, draws] : costs_) {
        if (key.model != m || !draws[0].decode.covers(context)) continue;
        for (const Costs& c : draws) models[m].per_million[key.batch].push_back(per_million(c, context, key.batch));
      }
    }
    return models;
  }

  struct Metric {
    const char* name;
    Curve Costs::*curve;
  };
  static constexpr Metric kMetrics[] = {{"decode", &Costs::decode}, {"first_token", &Costs::first_token}};

  const char* cheaper(const Curve& a, const Curve& b, double at, size_t model_a, size_t model_b) const {
    return name(a(at) <= b(at) ? model_a : model_b).c_str();
  }

  // What two curves cover both, from and to; empty ones, or such without a common stretch: nullopt.
  static std::optional<std::pair<double, double>> common(const Curve& a, const Curve& b) {
    if (a.empty() || b.empty()) return {};
    const double from = std::max(a.x.front(), b.x.front()), to = std::min(a.x.back(), b.x.back());
    if (from >= to) return {};
    return std::pair{from, to};
  }

  Json break_even_of(size_t a, size_t b, int64_t batch, Curve Costs::*curve) const {
    const std::vector<Costs>&all_a = costs_.at({a, batch}), &all_b = costs_.at({b, batch});
    const Curve &at_a = all_a[0].*curve, &at_b = all_b[0].*curve;
    const auto range = common(at_a, at_b);
    if (!range) return {{"state", "undetermined"}, {"why", "too few contexts were measured"}};
    for (size_t model : {a, b}) {
      const Rounds& rounds = rounds_.at({model, batch});
      if ((curve == &Costs::decode ? rounds.decode_noise : rounds.prefill_noise).empty())
        return {{"state", "undetermined"}, {"why", "one round does not show how rounds differ"}};
    }
    Json result{{"state", "undetermined"}, {"from", range->first}, {"to", range->second}};
    std::vector<double> places;
    size_t none = 0, one = 0;
    for (size_t draw = 1; draw < all_a.size(); ++draw) {
      const auto found = crossings(all_a[draw].*curve, all_b[draw].*curve);
      none += found.empty() ? 1 : 0;
      one += found.size() == 1 ? 1 : 0;
      places.insert(places.end(), found.begin(), found.end());
    }
    const auto enough = static_cast<size_t>(kConfidentDraws * static_cast<double>(kDraws));
    const auto central = crossings(at_a, at_b);
    if (central.empty() && none >= enough) {
      result["state"] = "none";
      result["cheaper"] = cheaper(at_a, at_b, range->first, a, b);
      return result;
    }
    if (!places.empty()) {
      result["low"] = quantile(places, 0.025);
      result["high"] = quantile(places, 0.975);
    }
    if (central.size() != 1 || one < enough) {
      result["why"] = "the curves lie too close for these samples";
      return result;
    }
    result["context"] = central[0];
    const double width = result["high"].get<double>() - result["low"].get<double>();
    if (width > kNarrow * central[0]) {
      result["why"] = "its interval is wider than a fifth of it";
      return result;
    }
    result["state"] = "at";
    result["cheaper_below"] = cheaper(at_a, at_b, range->first, a, b);
    result["cheaper_above"] = cheaper(at_a, at_b, range->second, a, b);
    return result;
  }

  Json predicted_break_even(size_t a, size_t b, const Curve& at_a, const Curve& at_b) const {
    const double most = at_a.x.back();
    const auto found = crossings(at_a, at_b);
    Json result{{"from", 1}, {"to", most}};
    if (found.empty()) {
      result["state"] = "none";
      result["cheaper"] = cheaper(at_a, at_b, most, a, b);
      return result;
    }
    result["state"] = "at";
    result["context"] = found.back();
    result["cheaper_above"] = cheaper(at_a, at_b, most, a, b);
    return result;
  }

  Json break_even() const {
    Json list = Json::array();
    for (size_t a = 0; a < report_.models.size(); ++a)
      for (size_t b = a + 1; b < report_.models.size(); ++b)
        for (const auto& [batch, steps] : anatomy_of(a).batches) {
          if (!costs_.contains({a, batch}) || !costs_.contains({b, batch})) continue;
          const auto most = static_cast<double>(
              std::min(steps.decode.knots.back(), anatomy_of(b).batches.at(batch).decode.knots.back()));
          const Costs predicted_a = predicted_costs(report_.models[a], report_.limits, batch, most);
          const Costs predicted_b = predicted_costs(report_.models[b], report_.limits, batch, most);
          for (const Metric& metric : kMetrics)
            list.push_back(
                {{"a", name(a)},
                 {"b", name(b)},
                 {"batch", batch},
                 {"metric", metric.name},
                 {"method", "measured"},
                 {"measured", break_even_of(a, b, batch, metric.curve)},
                 {"predicted", predicted_break_even(a, b, predicted_a.*metric.curve, predicted_b.*metric.curve)}});
        }
    return list;
  }

  // Of a prompt of n tokens, of an answer of n tokens, and of a step of decoding after n, by n.
  Json growth() const {
    Json list = Json::array();
    for (const auto& entry : costs_) {
      const SampleKey key = entry.first;
      const std::vector<Costs>& draws = entry.second;
      const auto row = [&](const char* metric, const std::function<Curve(const Costs&)>& curve) {
        Json result{{"model", name(key.model)}, {"batch", key.batch}, {"metric", metric}};
        const Curve central = curve(draws[0]);
        if (central.x.size() < 3) {
          result["not"] = "fewer than three contexts were measured";
        } else {
          const double last = central.x.back();
          const Rounds& rounds = rounds_.at(key);
          const bool of_prompts = std::string_view(metric) == "first_token";
          const size_t n = of_prompts ? rounds.n_prefill(last) : rounds.n_decode(rounds.decode.begin()->first, last);
          result["exponent"] = figure(
              key, [&](const Costs& c) { return growth_exponent(curve(c)); }, "", n, "measured", of_prompts);
          result["from"] = central.x.front();
          result["to"] = central.x.back();
        }
        list.push_back(result);
      };
      // The larger contexts show how the cost grows: the last four measured.
      const auto last_four = [](const Curve& measured) {
        const size_t n = measured.x.size();
        return n > 4 ? n - 4 : 0;
      };
      row("first_token", [&](const Costs& c) {
        Curve curve;
        for (size_t i = last_four(c.decode); i < c.decode.x.size(); ++i) {
          if (!c.first_token.covers(c.decode.x[i])) continue;
          curve.x.push_back(c.decode.x[i]);
          curve.y.push_back(c.first_token(c.decode.x[i]));
        }
        return curve;
      });
      row("answer", [&](const Costs& c) {
        Curve curve;
        for (size_t i = std::max<size_t>(1, last_four(c.decode)); i < c.decode.x.size(); ++i) {
          const double from = c.decode.x.front(), to = c.decode.x[i];
          curve.x.push_back(to);
          curve.y.push_back(to * c.decode.integral(from, to) / (to - from));
        }
        return curve;
      });
      // Of all contexts: what matters of it is whether it is flat.
      row("decode", [](const Costs& c) { return c.decode; });
    }
    return list;
  }

  const Report& report_;
  std::map<SampleKey, Rounds> rounds_;
  std::map<SampleKey, std::vector<Costs>> costs_;  // draw 0: of all rounds
};

}  // namespace

double predicted_decode_s(const AuditedModel& model, const Limits& limits, int64_t batch, double context) {
  const StepCost& step = model.anatomy.batches.at(batch).decode;
  double sum = 0;
  for (const auto& [op, cost] : step.ops) {
    sum += op_seconds(op, step.at(cost, What::kFlops, context), step.bytes(cost, context), cost.calls, batch, model,
                      limits);
  }
  return sum;
}

namespace {

// A step that takes each sequence from one context to another.
double predicted_chunk_s(const AuditedModel& model, const Limits& limits, int64_t batch, double from, double to) {
  const Anatomy& a = model.anatomy;
  const StepCost& chunk = a.batches.at(batch).chunk;
  const double start = std::min(from, static_cast<double>(chunk.knots.back()));
  const auto tokens = static_cast<int64_t>((to - from) * static_cast<double>(batch));
  double sum = 0;
  for (const auto& [op, cost] : chunk.ops) {
    sum += op_seconds(op, prompt_flops(a, op, from, to, batch), chunk.bytes(cost, start), cost.calls,
                      std::max<int64_t>(1, tokens), model, limits);
  }
  return sum;
}

// The products that a decoding step has beyond the layers'.
double predicted_head_s(const AuditedModel& model, const Limits& limits, int64_t batch) {
  const Anatomy& a = model.anatomy;
  const StepCost& decode = a.batches.at(batch).decode;
  double sum = 0;
  for (const auto& entry : decode.ops) {
    const std::string& op = entry.first;
    const OpCost& cost = entry.second;
    if (!is_product(op)) continue;
    const auto layers = a.token.ops.find(op);
    const auto own = [&](What what, double times) {
      const double without = layers == a.token.ops.end() ? 0 : a.token.at(layers->second, what, 0);
      return std::max(0.0, decode.at(cost, what, 0) - without * times);
    };
    sum += op_seconds(op, own(What::kFlops, static_cast<double>(batch)), own(What::kWeightBytes, 1), 1, batch, model,
                      limits);
  }
  return sum;
}

double chunk_step(const AuditedModel& model, int64_t batch) {
  const StepCost& chunk = model.anatomy.batches.at(batch).chunk;
  return static_cast<double>(chunk.tokens / chunk.rows);
}

}  // namespace

double predicted_prefill_s(const AuditedModel& model, const Limits& limits, int64_t batch, double context) {
  const double step = chunk_step(model, batch);
  double sum = predicted_head_s(model, limits, batch);
  for (double from = 0; from < context; from += step)
    sum += predicted_chunk_s(model, limits, batch, from, std::min(context, from + step));
  return sum;
}

Costs predicted_costs(const AuditedModel& model, const Limits& limits, int64_t batch, double most) {
  Costs costs;
  const double step = chunk_step(model, batch), head = predicted_head_s(model, limits, batch);
  double whole = 0, from = 0;  // seconds of whole chunks, and where they end
  for (int i = 0; i <= kGrid; ++i) {
    const double at = i == kGrid ? most : std::exp(std::log(most) * i / kGrid);
    if (!costs.decode.empty() && at <= costs.decode.x.back()) continue;
    for (; from + step < at; from += step) whole += predicted_chunk_s(model, limits, batch, from, from + step);
    costs.decode.x.push_back(at);
    costs.decode.y.push_back(predicted_decode_s(model, limits, batch, at));
    costs.first_token.x.push_back(at);
    costs.first_token.y.push_back(whole + predicted_chunk_s(model, limits, batch, from, at) + head);
  }
  return costs;
}

Json figures_of(const Report& report) { return Figures(report).all(); }

}  // namespace godwit
