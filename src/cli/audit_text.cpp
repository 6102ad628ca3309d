#include "cli/audit_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "base/json.h"
#include "base/text.h"

namespace godwit {
namespace {

constexpr int kPlotColumns = 64, kPlotRows = 14;

class Text {
 public:
  explicit Text(const Json& report) : r_(report), f_(report["figures"]) {
    for (const Json& m : r_["models"]) {
      letters_[m["name"]] = static_cast<char>('A' + letters_.size());
      names_.push_back(m["name"]);
    }
  }

  std::string all() {
    head();
    models();
    points();
    costs();
    if (f_.contains("savings")) savings();
    break_even();
    growth();
    plot();
    out_ += "\nWhat these figures mean, and what they cannot tell: docs/audit.md\n";
    return out_;
  }

 private:
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...);
    out_ += '\n';
  }
  std::string letter(const Json& name) const { return std::string(1, letters_.at(name.get<std::string>())); }

  // 3 significant digits.
  static std::string short_number(double x) {
    const double size = std::abs(x);
    const int decimals = size == 0 ? 0 : std::clamp(2 - static_cast<int>(std::floor(std::log10(size))), 0, 9);
    return fmt::format("{:.{}f}", x, decimals);
  }
  static std::string with_unit(double x) {
    constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
    size_t i = 0;
    while (std::abs(x) >= 999.5 && i + 1 < std::size(kPrefixes)) x /= 1000, ++i;
    return short_number(x) + " " + kPrefixes[i];
  }
  // Of what has no unit: "15.3 M ".
  static std::string count(double x) {
    const std::string text = with_unit(x);
    return text.ends_with(' ') ? text : text + " ";
  }
  // "153 ±2%": half of the interval, where several rounds gave one.
  static std::string value(const Json& figure) {
    const double x = figure["value"];
    if (figure["low"].is_null()) return short_number(x) + " ±? ";
    const double half = 0.5 * (figure["high"].get<double>() - figure["low"].get<double>());
    return fmt::format("{} ±{:.0f}%", short_number(x), x > 0 ? 100 * half / x : 0);
  }
  // Left-aligned to a width in characters; fmt would count bytes of ± alike, but not of all terminals.
  static std::string cell(const std::string& text, size_t width) {
    size_t shown = 0;
    for (char c : text) shown += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    return std::string(width > shown ? width - shown : 0, ' ') + text;
  }

  void head() {
    const Json &machine = r_["machine"], &limits = machine["limits"], &p = machine["profile"];
    line("godwit {} on {}, {}, {} threads, {}{}", r_["version"].get<std::string>(), machine["cpu"].get<std::string>(),
         machine["level"].get<std::string>(), machine["threads"].get<int>(), r_["date"].get<std::string>(),
         r_["complete"].get<bool>() ? "" : " (INTERRUPTED: what was measured until then)");
    line("limits   reads {}B/s, 8-bit products {}op/s, f32 {}flop/s (measured in this run)",
         with_unit(limits["read_bytes_per_s"]), with_unit(limits["int8_ops_per_s"]),
         with_unit(limits["f32_ops_per_s"]));
    line("assumed  {}: {} {} for {} years, {:.0f} % used, {} W busy, {} W idle, {} {} a kWh (--machine FILE.toml)",
         p["name"].get<std::string>(), short_number(p["price"]), p["currency"].get<std::string>(),
         p["life_years"].get<double>(), 100 * p["utilisation"].get<double>(), p["watts_busy"].get<double>(),
         p["watts_idle"].get<double>(), p["power_price"].get<double>(), p["currency"].get<std::string>());
    if (r_.contains("like_parameters"))
      line("alike    {}active parameters without embeddings", count(r_["like_parameters"]));
    if (r_.contains("random_seed"))
      line("quality  not measured: random weights (seed {})", r_["random_seed"].get<uint64_t>());
  }

  // "0.27 Gflop, +23 k a token of context" of a piecewise linear figure.
  static std::string linear(const Json& knots, const char* unit) {
    std::string text = with_unit(knots[0][1]) + unit;
    for (size_t i = 1; i < knots.size(); ++i) {
      const double from = knots[i - 1][0], to = knots[i][0];
      const double slope = (knots[i][1].get<double>() - knots[i - 1][1].get<double>()) / (to - from);
      text += fmt::format(", {}+{}{} each{}", i == 1 ? "" : "then ", with_unit(slope), unit,
                          i + 1 < knots.size() ? fmt::format(" to {}", to + 1) : "");
    }
    return text;
  }

  void models() {
    for (size_t m = 0; m < names_.size(); ++m) {
      const Json &model = r_["models"][m], &a = model["anatomy"], &f = f_["anatomy"][m];
      const Json& parameters = a["parameters"];
      line("\n{}  {}: {}, {}parameters, {}active, {}in the embedding; {}", letter(names_[m]), names_[m],
           a["architecture"].get<std::string>(), count(parameters["total"]),
           parameters["active"] == parameters["total"] ? "all " : count(parameters["active"]),
           count(parameters["embedding"]), model["weight_types"].get<std::string>());
      if (model.contains("config")) pattern_of(model);
      line("   a token, decoding: {}; by context", linear(f["decode_flops_per_token"], "flop"));
      line("                      {}; by context", linear(f["decode_bytes_per_token"], "B"));
      if (f_.contains("experts")) experts_of(names_[m]);
      line("   a token of a prompt: {}", linear(f["prefill_flops_per_token"], "flop"));
      const auto overtakes = [&](const char* what) {
        const Json& at = f["attention_overtakes"][what];
        return at.is_null()
                   ? std::string("never within the context of ") + std::to_string(a["context_length"].get<int64_t>())
                   : fmt::format("at {:.0f}", at.get<double>());
      };
      line("   attention costs more than all else: {} in operations, {} in bytes", overtakes("flops"),
           overtakes("bytes"));
      line("   state: {}B a token, {}B a sequence besides", with_unit(a["state"]["per_token_bytes"]),
           with_unit(a["state"]["per_sequence_bytes"]));
      for (const Json& memory : f_["memory"])
        if (memory["model"] == names_[m])
          line("   memory: {:.1f} MiB at most (predicted {:.1f})", memory["peak"]["value"].get<double>() / (1 << 20),
               memory["predicted"]["value"].get<double>() / (1 << 20));
      for (const Json& why : model["left_out"]) line("   not measured: {}", why.get<std::string>());
    }
  }

  // How a model that was made to be like the others came out.
  void pattern_of(const Json& model) {
    const Json& config = model["config"];
    const double active = model["like_parameters"], target = r_["like_parameters"];
    const std::string layers = config["layers"];
    const bool feeds = layers.find("mlp") != std::string::npos || layers.find("moe") != std::string::npos;
    const std::string d_ff =
        feeds ? fmt::format(", feed-forward {}", config["intermediate_size"].get<int64_t>()) : std::string();
    const double off = std::round(1000 * (active / target - 1)) / 10 + 0.0;  // no -0.0
    line("   layers {}, width {}{}; {}active without embeddings, {:+.1f} % of what was aimed at", layers,
         config["hidden_size"].get<int64_t>(), d_ff, count(active), off);
  }

  // What a step reads of a mixture, by how many tokens it has.
  void experts_of(const std::string& name) {
    for (const Json& e : f_["experts"]) {
      if (e["model"] != name) continue;
      const Json& bytes = e["decode_weight_bytes_per_token"];
      line("   weights a token reads, {:>2} at once: {}B expected, {}B to {}B; {} distinct experts a layer expected{}",
           e["batch"].get<int64_t>(), with_unit(bytes["expected"]), with_unit(bytes["least"]), with_unit(bytes["most"]),
           short_number(e["expected"]["value"]),
           e.contains("measured") ? ", " + short_number(e["measured"]["value"]) + " measured" : "");
    }
  }

  void points() {
    int64_t batch = 0;
    for (const Json& p : f_["points"]) batches_.push_back(p["batch"]);
    std::sort(batches_.begin(), batches_.end());
    batches_.erase(std::unique(batches_.begin(), batches_.end()), batches_.end());
    for (int64_t b : batches_) {
      batch = b;
      line(
          "\nmeasured, {} sequence{} at once (medians; ± half of the interval that holds 95 %, ±?: one round; share of "
          "the limit)",
          batch, batch == 1 ? "" : "s");
      line("   context {} {} {} {}", cell("prefill tok/s", 24), cell("first token s", 17), cell("decode tok/s", 24),
           cell("predicted", 12));
      for (const std::string& name : names_)
        for (const Json& p : f_["points"]) {
          if (p["batch"] != batch || p["model"] != name) continue;
          const auto with_share = [&](const char* figure, const char* limit) {
            if (!p.contains(figure)) return std::string("-");
            const Json& share = p[limit];
            return value(p[figure]) + (share.is_null()
                                           ? ""
                                           : fmt::format(" {:>3.0f}% {:<4}", 100 * share["value"].get<double>(),
                                                         share["of"].get<std::string>()));
          };
          line("{} {:>8} {} {} {} {}", letter(name), p["context"].get<int64_t>(),
               cell(with_share("prefill", "prefill_limit"), 24),
               cell(p.contains("first_token") ? value(p["first_token"]) : "-", 17),
               cell(with_share("decode", "decode_limit"), 24),
               cell(short_number(static_cast<double>(batch) / p["decode_step_predicted"]["value"].get<double>()), 12));
        }
    }
  }

  void costs() {
    const std::string money = r_["machine"]["profile"]["currency"];
    bool measured_energy = false;
    for (const Json& c : f_["cost"])
      measured_energy = measured_energy || (c.contains("energy") && c["energy"]["method"] == "measured");
    line("\ncost in {}, from seconds measured and the machine assumed; energy {}", money,
         measured_energy ? "measured (the CPU's own count)" : "an ESTIMATE: watts assumed x seconds measured");
    line("             workload        at once {} {} {} {}", cell("a million in", 14), cell("a million out", 16),
         cell("a request", 14), cell("J a request", 14));
    for (const Json& c : f_["cost"]) {
      const std::string workload =
          fmt::format("{} {}/{}", c["workload"].get<std::string>(), c["in"].get<int64_t>(), c["out"].get<int64_t>());
      if (c.contains("not")) {
        line("{}  {:<26} {:>7}   {}", letter(c["model"]), workload, c["batch"].get<int64_t>(),
             c["not"].get<std::string>());
        continue;
      }
      line("{}  {:<26} {:>7} {} {} {} {}", letter(c["model"]), workload, c["batch"].get<int64_t>(),
           cell(value(c["per_million_in"]), 14), cell(value(c["per_million_out"]), 16),
           cell(fmt::format("{:.2e}", c["per_request"]["value"].get<double>()), 14), cell(value(c["energy"]), 14));
    }
  }

  const Json* find(const Json& list, const Json& model, int64_t batch) const {
    for (const Json& entry : list)
      if (entry["model"] == model && entry["batch"] == batch) return &entry;
    return nullptr;
  }

  // "62%", "62% ±1": of what a dense model costs.
  static std::string share(const Json& figure) {
    const double x = figure["value"];
    if (figure["low"].is_null()) return fmt::format("{:.0f}%", 100 * x);
    const double half = 0.5 * (figure["high"].get<double>() - figure["low"].get<double>());
    return fmt::format("{:.0f}% ±{:.0f}", 100 * x, 100 * half);
  }
  static const Json* row_of(const Json& beside, int64_t batch) {
    if (beside.contains("rows"))
      for (const Json& row : beside["rows"])
        if (row["batch"] == batch) return &row["saving"];
    return nullptr;
  }

  void savings() {
    if (f_["savings"].empty()) return;
    line("\na million tokens decoded at context {:.0f}, in {}, by sequences at once",
         f_["cost_by_batch"][0]["context"].get<double>(), f_["cost_by_batch"][0]["currency"].get<std::string>());
    std::string head = " at once";
    for (const std::string& name : names_) head += cell(letter(name), 14);
    line("{}", head);
    for (int64_t batch : batches_) {
      std::string row = fmt::format("{:>8}", batch);
      for (const std::string& name : names_) {
        const Json* cost = find(f_["cost_by_batch"], name, batch);
        row += cell(cost == nullptr ? "-" : value((*cost)["per_million"]), 14);
      }
      line("{}", row);
    }
    for (const Json& s : f_["savings"]) saving(s);
  }

  // Of one mixture.
  void saving(const Json& s) {
    line("\n{}  saving over dense models of about its size (within 25 % by count of parameters)", letter(s["model"]));
    for (const char* size : {"equal_total", "equal_active"}) {
      const Json& beside = s[size];
      const char* what = std::string_view(size) == "equal_total" ? "total" : "active";
      if (beside.contains("not")) {
        line("   equal {} size: {}", what, beside["not"].get<std::string>());
      } else {
        line("   equal {} size: {}, {:.2f} times as many parameters", what, letter(beside["model"]),
             beside["size_ratio"].get<double>());
      }
    }
    line(" at once {} {} {}", cell("over equal total", 18), cell("over equal active", 18), cell("experts a layer", 20));
    for (int64_t batch : batches_) {
      const Json *total = row_of(s["equal_total"], batch), *active = row_of(s["equal_active"], batch);
      const Json* e = find(f_["experts"], s["model"], batch);
      if (e == nullptr || (total == nullptr && active == nullptr)) continue;
      const std::string measured = e->contains("measured") ? short_number((*e)["measured"]["value"]) : "-";
      line("{:>8} {} {} {}", batch, cell(total == nullptr ? "-" : share(*total), 18),
           cell(active == nullptr ? "-" : share(*active), 18),
           cell(fmt::format("{} ({})", measured, short_number((*e)["expected"]["value"])), 20));
    }
    if (s["equal_total"].contains("half"))
      line("   half of the saving of one sequence is left at: {}", half(s["equal_total"]["half"]));
  }

  static std::string half(const Json& h) {
    const std::string state = h["state"], why = h.value("why", "");
    if (state == "none") return why.empty() ? "none in range" : "none in range: " + why;
    if (state == "undetermined") return "undetermined: " + why;
    std::string text = fmt::format("{:.1f} at once", h["batch"].get<double>());
    if (h.contains("low")) text += fmt::format(" [{:.1f} to {:.1f}]", h["low"].get<double>(), h["high"].get<double>());
    return text;
  }

  std::string answer(const Json& b, const char* which) const {
    const Json& m = b[which];
    const std::string state = m["state"];
    if (state == "none")
      return fmt::format("none from {} to {}, {} is cheaper throughout", m["from"].get<double>(), m["to"].get<double>(),
                         letter(m["cheaper"]));
    if (state == "undetermined") {
      std::string text = "undetermined: " + m.value("why", "");
      if (m.contains("low"))
        text += fmt::format(" (between {:.0f} and {:.0f})", m["low"].get<double>(), m["high"].get<double>());
      return text;
    }
    std::string text = fmt::format("{:.0f} tokens", m["context"].get<double>());
    if (m.contains("low")) text += fmt::format(" [{:.0f} to {:.0f}]", m["low"].get<double>(), m["high"].get<double>());
    return text + fmt::format(", beyond it {} is cheaper", letter(m["cheaper_above"]));
  }

  void break_even() {
    if (f_["break_even"].empty()) return;
    line("\nbreak-even in context");
    for (const Json& b : f_["break_even"]) {
      line("{} {}  {:<12} {} at once: {}", letter(b["a"]), letter(b["b"]),
           b["metric"] == "decode" ? "decoding" : "first token", b["batch"].get<int64_t>(), answer(b, "measured"));
      line("{:>28} {}", "predicted:", answer(b, "predicted"));
    }
  }

  void growth() {
    if (f_["growth"].empty()) return;
    line("\ngrowth with context: time ~ context ^ exponent (0: constant, 1: linear, 2: quadratic)");
    for (const Json& g : f_["growth"]) {
      const std::string what = g["metric"] == "first_token" ? "first token"
                               : g["metric"] == "answer"    ? "whole answer"
                                                            : "one step";
      if (g.contains("not")) {
        line("{}  {:<13} {} at once: {}", letter(g["model"]), what, g["batch"].get<int64_t>(),
             g["not"].get<std::string>());
        continue;
      }
      const Json& e = g["exponent"];
      if (e["low"].is_null()) {
        line("{}  {:<13} {} at once: {:.2f} (one round) from {} to {}", letter(g["model"]), what,
             g["batch"].get<int64_t>(), e["value"].get<double>(), g["from"].get<double>(), g["to"].get<double>());
        continue;
      }
      line("{}  {:<13} {} at once: {:.2f} [{:.2f} to {:.2f}] from {} to {}", letter(g["model"]), what,
           g["batch"].get<int64_t>(), e["value"].get<double>(), e["low"].get<double>(), e["high"].get<double>(),
           g["from"].get<double>(), g["to"].get<double>());
    }
  }

  // Cost of a million tokens out against context, one sequence at once, both axes logarithmic.
  void plot() {
    std::map<std::string, std::vector<std::pair<double, double>>> curves;
    double left = 1e300, right = 0, low = 1e300, high = 0;
    if (batches_.empty()) return;
    const double per_s = r_["figures"]["per_busy_second"]["value"];
    for (const Json& p : f_["points"]) {
      if (p["batch"] != batches_.front()) continue;
      const double x = p["context"], y = 1e6 * per_s / p["decode"]["value"].get<double>();
      curves[p["model"]].emplace_back(x, y);
      left = std::min(left, x), right = std::max(right, x), low = std::min(low, y), high = std::max(high, y);
    }
    if (curves.empty() || left >= right) return;
    if (high < low * 1.01) high = low * 1.01;
    std::vector<std::string> rows(kPlotRows, std::string(kPlotColumns, ' '));
    for (const auto& [name, points] : curves)
      for (int column = 0; column < kPlotColumns; ++column) {
        const double x = left * std::pow(right / left, static_cast<double>(column) / (kPlotColumns - 1));
        for (size_t i = 1; i < points.size(); ++i) {
          const auto [x0, y0] = points[i - 1];
          const auto [x1, y1] = points[i];
          if (x < x0 * (1 - 1e-9) || x > x1 * (1 + 1e-9)) continue;
          const double y = y0 + (x - x0) / (x1 - x0) * (y1 - y0);
          const double share = std::log(y / low) / std::log(high / low);
          const int row = std::clamp(static_cast<int>(std::lround((1 - share) * (kPlotRows - 1))), 0, kPlotRows - 1);
          char& mark = rows[static_cast<size_t>(row)][static_cast<size_t>(column)];
          mark = mark == ' ' || mark == letters_.at(name) ? letters_.at(name) : '*';
          break;
        }
      }
    line("\na million tokens out, in {}, against context, {} sequence{} at once (both axes logarithmic; *: both)",
         r_["machine"]["profile"]["currency"].get<std::string>(), batches_.front(), batches_.front() == 1 ? "" : "s");
    for (int row = 0; row < kPlotRows; ++row) {
      const double y = low * std::pow(high / low, 1 - static_cast<double>(row) / (kPlotRows - 1));
      line("{} |{}", row % 4 == 0 || row == kPlotRows - 1 ? cell(short_number(y), 10) : std::string(10, ' '),
           rows[static_cast<size_t>(row)]);
    }
    line("{:>10} +{}", "", std::string(kPlotColumns, '-'));
    std::string axis(kPlotColumns + 8, ' ');
    for (double x = left; x <= right * 1.001; x *= 2) {
      const auto at =
          static_cast<size_t>(std::lround(std::log(x / left) / std::log(right / left) * (kPlotColumns - 1)));
      const std::string label = fmt::format("{:.0f}", x);
      axis.replace(at, label.size(), label);
    }
    line("{:>10}  {}", "context", axis.substr(0, axis.find_last_not_of(' ') + 1));
  }

  const Json& r_;
  const Json& f_;
  std::map<std::string, char> letters_;
  std::vector<std::string> names_;
  std::vector<int64_t> batches_;
  std::string out_;
};

}  // namespace

std::string audit_text(const Json& report) { return Text(report).all(); }

}  // namespace godwit
