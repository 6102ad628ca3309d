#include "audit/rounds.h"

#include <algorithm>
#include <cmath>

#include "audit/statistics.h"

namespace godwit {
namespace {

double median_of(const std::map<int64_t, double>& by_round) {
  std::vector<double> values;
  for (const auto& [round, value] : by_round) values.push_back(value);
  return median(std::move(values));
}

void add_noise(const std::map<int64_t, double>& by_round, std::vector<double>& noise) {
  if (by_round.size() < 2) return;
  const double middle = median_of(by_round);
  // Few rounds lie closer to their own middle than to that of all there could be (Bessel's correction).
  const auto n = static_cast<double>(by_round.size());
  const double wider = std::sqrt(n / (n - 1));
  for (const auto& [round, value] : by_round) noise.push_back(1 + (value / middle - 1) * wider);
}

// Of prompts that end where decoding was measured, or at the last step: rounds that absorbed all of one.
void add_prompt_noise(Rounds& rounds) {
  std::map<int64_t, double> sums;  // by round, of the rounds that have every step so far
  for (auto at = rounds.prefill.begin(); at != rounds.prefill.end(); ++at) {
    std::map<int64_t, double> longer;
    for (const auto& [round, seconds] : at->second.seconds.by_round) {
      const bool first = at == rounds.prefill.begin();
      if (first || sums.contains(round)) longer[round] = seconds + (first ? 0 : sums[round]);
    }
    sums = std::move(longer);
    if (rounds.decode.contains(at->second.to) || std::next(at) == rounds.prefill.end())
      add_noise(sums, rounds.prefill_noise);
  }
}

Rounds rounds_of(const Report& report, SampleKey key) {
  Rounds rounds;
  for (const Sample& s : report.samples) {
    if (s.model != key.model || s.batch != key.batch) continue;
    double sum = 0;
    for (double t : s.seconds) sum += t;
    if (s.kind == Sample::Kind::kPrefill) {
      rounds.prefill[s.from].to = s.to;
      rounds.prefill[s.from].seconds.by_round[s.round] = sum;
    } else {
      (s.kind == Sample::Kind::kDecode ? rounds.decode : rounds.layers)[s.from].by_round[s.round] = median(s.seconds);
    }
    if (s.joules > 0) {
      rounds.joules += s.joules;
      rounds.metered_s += sum;
    }
  }
  add_prompt_noise(rounds);
  for (const auto& [context, values] : rounds.decode) add_noise(values.by_round, rounds.decode_noise);
  for (const auto& [context, values] : rounds.layers) add_noise(values.by_round, rounds.layers_noise);
  // Once, not for every draw.
  for (auto& [from, piece] : rounds.prefill) piece.seconds.middle = median_of(piece.seconds.by_round);
  for (auto* kind : {&rounds.decode, &rounds.layers})
    for (auto& [context, values] : *kind) values.middle = median_of(values.by_round);
  return rounds;
}

// By how much the median of n rounds might as well be off, for things of one kind at one place.
double drawn(size_t n, const std::vector<double>& noise, SampleKey key, int64_t place, uint64_t kind, uint64_t draw) {
  if (draw == 0 || noise.empty()) return 1;
  const uint64_t seed =
      (static_cast<uint64_t>(place) * 8 + kind) * 65536 + key.model * 256 + static_cast<uint64_t>(key.batch);
  return resampled_median(noise, n, seed, draw);
}

}  // namespace

std::map<SampleKey, Rounds> all_rounds(const Report& report) {
  std::map<SampleKey, Rounds> all;
  for (const Sample& s : report.samples) {
    const SampleKey key{s.model, s.batch};
    if (!all.contains(key)) all[key] = rounds_of(report, key);
  }
  for (auto& [key, rounds] : all) {
    for (auto noise : {&Rounds::prefill_noise, &Rounds::decode_noise, &Rounds::layers_noise}) {
      std::vector<double>& mine = rounds.*noise;
      for (const auto& [other, theirs] : all)
        if (mine.empty() && other.model == key.model) mine = theirs.*noise;
    }
  }
  return all;
}

Costs costs_of(const Rounds& rounds, SampleKey key, uint64_t draw) {
  Costs costs;
  double at = 0, sum = 0;
  size_t n = SIZE_MAX;
  for (const auto& [from, piece] : rounds.prefill) {
    if (static_cast<double>(from) != at) break;  // a gap: what comes after has no beginning
    if (from == 0) {
      costs.prefill.x.push_back(0);
      costs.prefill.y.push_back(0);
    }
    at = static_cast<double>(piece.to);
    n = std::min(n, piece.seconds.size());
    sum += piece.seconds.middle;
    // Prompts of like length are off alike.
    const int64_t octave = std::ilogb(at);
    costs.prefill.x.push_back(at);
    costs.prefill.y.push_back(sum * drawn(n, rounds.prefill_noise, key, octave, 0, draw));
  }
  std::vector<double> heads;
  for (const auto& [context, values] : rounds.decode) {
    costs.decode.x.push_back(static_cast<double>(context));
    costs.decode.y.push_back(values.middle * drawn(values.size(), rounds.decode_noise, key, context, 1, draw));
    const auto layers = rounds.layers.find(context);
    if (layers == rounds.layers.end()) continue;
    const double without =
        layers->second.middle * drawn(layers->second.size(), rounds.layers_noise, key, context, 2, draw);
    heads.push_back(std::max(0.0, costs.decode.y.back() - without));
  }
  if (heads.empty()) return costs;  // without a step that decodes, nothing is known of logits
  const double head = median(heads);
  for (size_t i = 1; i < costs.prefill.x.size(); ++i) {
    costs.first_token.x.push_back(costs.prefill.x[i]);
    costs.first_token.y.push_back(costs.prefill.y[i] + head);
  }
  return costs;
}

}  // namespace godwit
