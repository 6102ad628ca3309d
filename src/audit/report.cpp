#include "audit/report.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "audit/figures.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace godwit {
namespace {

constexpr const char* kKinds[] = {"prefill", "decode", "layers"};
constexpr std::string_view kDigestKey = "\"digest\":\"sha256:";
constexpr size_t kDigestDigits = 64;

Json step_json(const StepCost& step) {
  Json ops = Json::object();
  for (const auto& [name, op] : step.ops) {
    ops[name] = {{"calls", op.calls}, {"weight_bytes", op.weight_bytes}, {"state_bytes", op.state_bytes}};
    if (!op.flops.empty()) ops[name]["flops"] = op.flops;
    if (!op.fewer_bytes.empty()) ops[name]["fewer_bytes"] = op.fewer_bytes;
    if (!op.more_bytes.empty()) ops[name]["more_bytes"] = op.more_bytes;
  }
  return {{"tokens", step.tokens}, {"rows", step.rows}, {"wanted", step.wanted}, {"knots", step.knots}, {"ops", ops}};
}

constexpr int64_t kMostCount = int64_t{1} << 52;  // doubles hold it
constexpr int64_t kMostContext = int64_t{1} << 30;
constexpr int64_t kMostChunks = int64_t{1} << 17;  // to the end of a context
constexpr double kMostReal = 1e18;

// A report is a stranger's until it is checked: every number has a range, and what makes no sense is an Error that
// verified_report completes.
template <class... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) fail(ErrorKind::kCheck, format, std::forward<Args>(args)...);
}

int64_t whole(const Json& value, int64_t least = 0, int64_t most = kMostCount) {
  require(value.is_number_integer() && value >= least && value <= most, "{}: expected an integer from {} to {}",
          dump_json(value), least, most);
  return value.get<int64_t>();
}
std::vector<int64_t> whole_list(const Json& list) {
  require(list.is_array(), "expected a list of integers");
  std::vector<int64_t> values;
  for (const Json& value : list) values.push_back(whole(value));
  return values;
}
double real(const Json& value, double least = 0) {
  require(value.is_number() && value >= least && value <= kMostReal, "{}: expected a number from {} to {}",
          dump_json(value), least, kMostReal);
  return value.get<double>();
}
int64_t whole_key(const std::string& key) {
  require(!key.empty() && key.size() <= 9 && key.find_first_not_of("0123456789") == std::string::npos && key != "0",
          "{}: expected a positive integer", key);
  return std::stoll(key);
}

StepCost step_from(const Json& json) {
  StepCost step{.tokens = whole(json.at("tokens"), 1, kMostContext),
                .rows = whole(json.at("rows"), 1, kMostContext),
                .wanted = whole(json.at("wanted")),
                .knots = whole_list(json.at("knots")),
                .ops = {}};
  require(!step.knots.empty() && step.knots.front() == 0 && step.knots.back() <= kMostContext &&
              std::is_sorted(step.knots.begin(), step.knots.end(), std::less_equal<>()) && step.tokens >= step.rows,
          "a step's knots");
  for (const auto& [name, op] : json.at("ops").items()) {
    OpCost& cost = step.ops[name];
    cost.calls = whole(op.at("calls"));
    cost.weight_bytes = whole_list(op.at("weight_bytes"));
    cost.state_bytes = whole_list(op.at("state_bytes"));
    for (auto* list : {&cost.weight_bytes, &cost.state_bytes})
      require(list->size() == step.knots.size(), "{}: a value for each knot", name);
    for (const auto& [key, list] : {std::pair{"flops", &cost.flops}, std::pair{"fewer_bytes", &cost.fewer_bytes},
                                    std::pair{"more_bytes", &cost.more_bytes}}) {
      if (!op.contains(key)) continue;
      *list = whole_list(op.at(key));
      require(list->size() == step.knots.size(), "{}: a value for each knot", name);
    }
  }
  return step;
}

Json profile_json(const MachineProfile& p) {
  return {{"name", p.name},
          {"currency", p.currency},
          {"price", p.price},
          {"life_years", p.life_years},
          {"power_price", p.power_price},
          {"watts_idle", p.watts_idle},
          {"watts_busy", p.watts_busy},
          {"utilisation", p.utilisation},
          {"method", "assumed"}};
}

Json rates_json(const AuditedModel& m) {
  Json all = Json::object();
  for (const auto& [op, rates] : m.kernel_rates)
    for (const auto& [rows, rate] : rates) all[op][std::to_string(rows)] = rate;
  return all;
}

Json inputs_json(const Report& r) {
  Json models = Json::array(), samples = Json::array();
  for (const AuditedModel& m : r.models) {
    models.push_back({{"name", m.name},
                      {"model", m.source},
                      {"weight_types", m.weight_types},
                      {"anatomy", to_json(m.anatomy)},
                      {"kernel_ops_per_s", rates_json(m)},
                      {"left_out", m.left_out},
                      {"memory", {{"predicted_bytes", m.predicted_bytes}, {"peak_bytes", m.peak_bytes}}}});
    if (m.config.empty()) continue;
    models.back()["config"] = parse_json(m.config, m.name);
    models.back()["like_parameters"] = m.like_parameters;
  }
  for (const Sample& s : r.samples) {
    samples.push_back({{"model", s.model},
                       {"batch", s.batch},
                       {"round", s.round},
                       {"kind", kKinds[static_cast<size_t>(s.kind)]},
                       {"from", s.from},
                       {"to", s.to},
                       {"seconds", s.seconds}});
    if (s.joules > 0) samples.back()["joules"] = s.joules;
    if (s.experts > 0) samples.back()["experts"] = s.experts;
  }
  Json json{{"schema", kAuditSchema},
            {"version", r.version},
            {"date", r.date},
            {"complete", r.complete},
            {"budget_s", r.budget_s},
            {"machine",
             {{"cpu", r.cpu},
              {"level", r.level},
              {"threads", r.threads},
              {"limits",
               {{"read_bytes_per_s", r.limits.read_bytes_per_s},
                {"f32_ops_per_s", r.limits.f32_ops_per_s},
                {"int8_ops_per_s", r.limits.int8_ops_per_s},
                {"call_s", r.limits.call_s}}},
              {"profile", profile_json(r.profile)}}},
            {"models", models},
            {"samples", samples}};
  if (r.random_seed) json["random_seed"] = *r.random_seed;
  if (r.like_parameters > 0) json["like_parameters"] = r.like_parameters;
  return json;
}

Sample sample_from(const Json& json, const std::vector<AuditedModel>& models) {
  require(!models.empty(), "samples of no model");
  Sample s{.model = static_cast<size_t>(whole(json.at("model"), 0, static_cast<int64_t>(models.size()) - 1)),
           .batch = whole(json.at("batch"), 1, kMostContext),
           .round = whole(json.at("round")),
           .kind = Sample::Kind::kPrefill,
           .from = whole(json.at("from"), 0, kMostContext),
           .to = whole(json.at("to"), 1, kMostContext),
           .seconds = {},
           .joules = real(json.value("joules", Json(0))),
           .experts = real(json.value("experts", Json(0)))};
  for (const Json& seconds : json.at("seconds")) s.seconds.push_back(real(seconds, 1e-9));
  const std::string kind = json.at("kind");
  size_t i = 0;
  while (i < std::size(kKinds) && kind != kKinds[i]) ++i;
  require(i < std::size(kKinds), "a sample of kind {}", kind);
  s.kind = static_cast<Sample::Kind>(i);
  const auto& batches = models[s.model].anatomy.batches;
  require(batches.contains(s.batch) && s.to <= batches.at(s.batch).decode.knots.back() && !s.seconds.empty() &&
              (s.kind == Sample::Kind::kPrefill ? s.to > s.from : s.to == s.from),
          "a sample of {} sequences from {} to {}", s.batch, s.from, s.to);
  return s;
}

Report report_from(const Json& json) {
  Report r;
  require(json.at("schema") == kAuditSchema, "schema {}", dump_json(json.at("schema")));
  r.version = json.at("version");
  r.date = json.at("date");
  r.complete = json.at("complete");
  r.budget_s = real(json.at("budget_s"));
  const Json& machine = json.at("machine");
  const Json &limits = machine.at("limits"), &profile = machine.at("profile");
  r.cpu = machine.at("cpu");
  r.level = machine.at("level");
  r.threads = static_cast<int>(whole(machine.at("threads"), 0, 1 << 20));
  // Before they are measured they are 0.
  const double least = json.at("samples").empty() ? 0 : 1;
  r.limits.read_bytes_per_s = real(limits.at("read_bytes_per_s"), least);
  r.limits.f32_ops_per_s = real(limits.at("f32_ops_per_s"), least);
  r.limits.int8_ops_per_s = real(limits.at("int8_ops_per_s"));
  r.limits.call_s = real(limits.at("call_s"));
  r.profile = {.name = profile.at("name"),
               .currency = profile.at("currency"),
               .price = real(profile.at("price")),
               .life_years = real(profile.at("life_years"), 1e-9),
               .power_price = real(profile.at("power_price")),
               .watts_idle = real(profile.at("watts_idle")),
               .watts_busy = real(profile.at("watts_busy")),
               .utilisation = real(profile.at("utilisation"), 1e-9)};
  require(json.at("models").size() <= kMostAudited, "{} models", json.at("models").size());
  for (const Json& model : json.at("models")) {
    r.models.push_back({.name = model.at("name"),
                        .source = model.at("model"),
                        .weight_types = model.at("weight_types"),
                        .anatomy = anatomy_from(model.at("anatomy")),
                        .kernel_rates = {},
                        .left_out = model.at("left_out").get<std::vector<std::string>>(),
                        .predicted_bytes = whole(model.at("memory").at("predicted_bytes")),
                        .peak_bytes = whole(model.at("memory").at("peak_bytes"))});
    for (const auto& [op, rates] : model.at("kernel_ops_per_s").items())
      for (const auto& [rows, rate] : rates.items()) r.models.back().kernel_rates[op][whole_key(rows)] = real(rate, 1);
    if (!model.contains("config")) continue;
    require(model["config"].is_object(), "a model's config");
    r.models.back().config = dump_json(model["config"]);
    r.models.back().like_parameters = whole(model.at("like_parameters"), 1);
  }
  if (json.contains("random_seed")) r.random_seed = json["random_seed"].get<uint64_t>();
  if (json.contains("like_parameters")) r.like_parameters = real(json["like_parameters"], 1);
  for (const Json& sample : json.at("samples")) r.samples.push_back(sample_from(sample, r.models));
  return r;
}

/// The path of the first value that differs, numbers by more than their last digits; empty: none does.
std::string first_difference(const Json& a, const Json& b, const std::string& path) {
  if (a.is_number() && b.is_number()) {
    const double x = a, y = b;
    return std::abs(x - y) <= 1e-9 * std::max(std::abs(x), std::abs(y)) ? "" : path;
  }
  if (a.type() != b.type() || a.size() != b.size()) return path;
  if (!a.is_structured()) return a == b ? "" : path;
  if (a.is_array()) {
    for (size_t i = 0; i < a.size(); ++i)
      if (std::string at = first_difference(a[i], b[i], fmt::format("{}[{}]", path, i)); !at.empty()) return at;
    return "";
  }
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key)) return path + "." + key;
    if (std::string at = first_difference(value, b[key], path + "." + key); !at.empty()) return at;
  }
  return "";
}

}  // namespace

Json to_json(const Anatomy& a) {
  Json batches = Json::object();
  for (const auto& [batch, steps] : a.batches)
    batches[std::to_string(batch)] = {{"decode", step_json(steps.decode)}, {"chunk", step_json(steps.chunk)}};
  Json result{
      {"architecture", a.architecture},
      {"parameters", {{"total", a.n_params}, {"active", a.n_active_params}, {"embedding", a.n_embedding_params}}},
      {"weights_bytes", a.weights_bytes},
      {"context_length", a.context_length},
      {"state", {{"per_token_bytes", a.state_per_token_bytes}, {"per_sequence_bytes", a.state_per_sequence_bytes}}},
      {"int8_products", a.quantized},
      {"token", step_json(a.token)},
      {"batches", batches}};
  for (const ExpertLayers& e : a.experts)
    result["experts"].push_back({{"layers", e.layers}, {"all", e.all}, {"used", e.used}});
  return result;
}

Anatomy anatomy_from(const Json& json) {
  const Json& parameters = json.at("parameters");
  const Json& state = json.at("state");
  Anatomy a{.architecture = json.at("architecture"),
            .n_params = whole(parameters.at("total")),
            .n_active_params = whole(parameters.at("active")),
            .n_embedding_params = whole(parameters.at("embedding")),
            .weights_bytes = whole(json.at("weights_bytes")),
            .context_length = whole(json.at("context_length"), 1, kMostContext),
            .state_per_token_bytes = whole(state.at("per_token_bytes")),
            .state_per_sequence_bytes = whole(state.at("per_sequence_bytes")),
            .quantized = json.at("int8_products"),
            .token = step_from(json.at("token")),
            .batches = {}};
  for (const Json& e : json.value("experts", Json::array())) {
    const int64_t all = whole(e.at("all"), 1);
    a.experts.push_back({whole(e.at("layers"), 1), all, whole(e.at("used"), 1, all)});
  }
  require(a.n_active_params <= a.n_params && (a.experts.empty() ? !a.is_mixture() : true),
          "{} parameters of {} are active", a.n_active_params, a.n_params);
  for (const auto& [op, cost] : a.token.ops) require(!cost.flops.empty(), "{}: no operations", op);
  for (const auto& [batch, steps] : json.at("batches").items()) {
    Anatomy::Batch& b = a.batches[whole_key(batch)];
    b = {step_from(steps.at("decode")), step_from(steps.at("chunk"))};
    for (const auto& [op, cost] : b.decode.ops) require(!cost.flops.empty(), "{}: no operations", op);
    require(b.decode.knots.back() / (b.chunk.tokens / b.chunk.rows) <= kMostChunks, "chunks of {} sequences", batch);
    require(b.decode.knots.back() <= a.token.knots.back(), "knots of {} sequences", batch);
  }
  require(!a.batches.empty(), "an anatomy without batches");
  return a;
}

std::string report_text(const Report& report) {
  Json json = inputs_json(report);
  json["figures"] = figures_of(report);
  std::string text = dump_json(json);
  text.back() = ',';
  const std::string digest = sha256_hex(text);
  return text + std::string(kDigestKey) + digest + "\"}\n";
}

Report verified_report(const std::string& text, const std::string& source) {
  const Json json = parse_json(text, source);
  if (!json.is_object() || json.value("schema", Json()) != kAuditSchema)
    invalid("{}: no audit report: expected the schema {}", source, kAuditSchema);
  const size_t at = text.rfind(kDigestKey);
  const size_t end = at + kDigestKey.size() + kDigestDigits;
  if (at == std::string::npos || text.substr(std::min(end, text.size())) != "\"}\n")
    fail(ErrorKind::kCheck, "{}: digest: expected as the last key, as it was written", source);
  const std::string digest = sha256_hex(std::string_view(text).substr(0, at));
  if (text.compare(at + kDigestKey.size(), kDigestDigits, digest) != 0)
    fail(ErrorKind::kCheck, "{}: digest: the report was changed since it was written", source);
  Report report;
  std::string path;
  try {
    report = report_from(json);
    path = first_difference(json.at("figures"), figures_of(report), "figures");
  } catch (const std::exception& error) {
    fail(ErrorKind::kCheck, "{}: does not fit together: {}", source, printable(error.what(), 200));
  }
  if (!path.empty()) fail(ErrorKind::kCheck, "{}: {}: does not follow from the samples", source, path);
  return report;
}

}  // namespace godwit
