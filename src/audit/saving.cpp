#include "audit/saving.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "audit/statistics.h"
#include "base/json.h"

namespace godwit {
namespace {

constexpr double kConfidentSaving = 0.95;  // of the resamplings must agree that there is such a place

// The share of a dense model's cost that a mixture saves, by sequences at once, in one resampling.
using Savings = std::map<int64_t, double>;

Savings savings(const DecodingCost& mixture, const DecodingCost& dense, size_t draw) {
  Savings all;
  for (const auto& [batch, costs] : mixture.per_million) {
    const auto other = dense.per_million.find(batch);
    if (other != dense.per_million.end()) all[batch] = 1 - costs.at(draw) / other->second.at(draw);
  }
  return all;
}

// Where the saving has come down to half of the first one.
std::optional<double> half_of(const Savings& all) {
  const double half = all.begin()->second / 2;
  for (auto at = all.begin(), next = std::next(at); next != all.end(); at = next++) {
    if (next->second > half) continue;
    const double share = (at->second - half) / (at->second - next->second);
    const auto from = static_cast<double>(at->first), to = static_cast<double>(next->first);
    return from * std::pow(to / from, share);
  }
  return {};
}

Json figure_of(const std::vector<double>& draws) {
  Json result{{"value", draws[0]}, {"low", nullptr}, {"high", nullptr}, {"unit", "share"}, {"method", "derived"}};
  const std::vector<double> rest(draws.begin() + 1, draws.end());
  if (rest.empty()) return result;
  const double low = quantile(rest, 0.025), high = quantile(rest, 0.975);
  if (low < high) {
    result["low"] = low;
    result["high"] = high;
  }
  return result;
}

Json half_json(const std::vector<Savings>& draws) {
  const Savings& central = draws[0];
  if (central.empty() || central.begin()->first != 1)
    return {{"state", "undetermined"}, {"why", "one sequence at once was not measured for both"}};
  Json result{{"from", 1}, {"to", central.rbegin()->first}, {"saving_of_one", central.begin()->second}};
  if (central.begin()->second <= 0) {
    result["state"] = "none";
    result["why"] = "there is no saving at one sequence";
    return result;
  }
  const auto at = half_of(central);
  std::vector<double> places;
  for (size_t draw = 1; draw < draws.size(); ++draw)
    if (const auto place = half_of(draws[draw])) places.push_back(*place);
  const auto n = static_cast<double>(draws.size() - 1), found = static_cast<double>(places.size());
  if (at) result["batch"] = *at;
  result["state"] = at ? "at" : "none";
  if (n > 0 && (at ? found : n - found) < kConfidentSaving * n) {
    result["state"] = "undetermined";
    result["why"] = "it lies too close to the end of what was measured for these samples";
  }
  if (at && !places.empty()) {
    const double low = quantile(places, 0.025), high = quantile(places, 0.975);
    if (low < high) {
      result["low"] = low;
      result["high"] = high;
    }
  }
  return result;
}

// Beside one dense model.
Json beside(const DecodingCost& mixture, const DecodingCost& dense, int64_t mixture_size, bool with_half) {
  const size_t n_draws = mixture.per_million.begin()->second.size();
  std::vector<Savings> draws;
  for (size_t draw = 0; draw < n_draws; ++draw) draws.push_back(savings(mixture, dense, draw));
  Json rows = Json::array();
  for (const auto& [batch, central] : draws[0]) {
    std::vector<double> values;
    for (const Savings& all : draws) values.push_back(all.at(batch));
    rows.push_back({{"batch", batch}, {"saving", figure_of(values)}});
  }
  Json result{{"model", dense.name},
              {"size_ratio", static_cast<double>(dense.n_params) / static_cast<double>(mixture_size)},
              {"rows", rows}};
  if (with_half) result["half"] = half_json(draws);
  return result;
}

}  // namespace

int64_t nearest_dense(const std::vector<DecodingCost>& models, int64_t n_params) {
  int64_t nearest = -1;
  double least = std::log(1 + kEqualSize);
  for (size_t m = 0; m < models.size(); ++m) {
    if (models[m].is_mixture() || models[m].n_params <= 0 || n_params <= 0) continue;
    const double off = std::abs(std::log(static_cast<double>(models[m].n_params) / static_cast<double>(n_params)));
    if (off > least) continue;
    least = off;
    nearest = static_cast<int64_t>(m);
  }
  return nearest;
}

Json savings_of(const std::vector<DecodingCost>& models) {
  Json list = Json::array();
  for (const DecodingCost& mixture : models) {
    if (!mixture.is_mixture() || mixture.per_million.empty()) continue;
    Json row{{"model", mixture.name}};
    for (const bool total : {true, false}) {
      const int64_t size = total ? mixture.n_params : mixture.n_active_params;
      const int64_t dense = nearest_dense(models, size);
      row[total ? "equal_total" : "equal_active"] =
          dense < 0 ? Json{{"not", fmt::format("no dense model of {:.0f} M parameters within {:.0f} %",
                                               static_cast<double>(size) / 1e6, 100 * kEqualSize)}}
                    : beside(mixture, models[static_cast<size_t>(dense)], size, total);
    }
    list.push_back(row);
  }
  return list;
}

}  // namespace godwit
