// A report made up for tests: two models whose times follow known formulas.
#pragma once

#include <cmath>

#include "audit/report.h"

namespace godwit {

inline StepCost step(int64_t tokens, int64_t rows, int64_t flops, int64_t flops_more, int64_t bytes, int64_t bytes_more,
                     int64_t last) {
  return {.tokens = tokens,
          .rows = rows,
          .wanted = 0,
          .knots = {0, last},
          .ops = {{"linear q8_0x16",
                   {.calls = 10, .flops = {flops, flops}, .weight_bytes = {bytes, bytes}, .state_bytes = {0, 0}}},
                  {"attention",
                   {.calls = 5,
                    .flops = {0, flops_more * last},
                    .weight_bytes = {0, 0},
                    .state_bytes = {0, bytes_more * last}}}}};
}

inline Anatomy made_up_anatomy(int64_t weights, int64_t per_token, int64_t context = 16384) {
  Anatomy a{.architecture = "made-up",
            .n_params = weights,
            .n_active_params = weights,
            .n_embedding_params = 10,
            .weights_bytes = weights,
            .context_length = context,
            .state_per_token_bytes = per_token,
            .state_per_sequence_bytes = 0,
            .quantized = true,
            .token = step(1, 1, 2 * weights, per_token, weights, per_token, context - 1),
            .batches = {}};
  for (int64_t batch : {1, 8})
    a.batches[batch] = {
        step(batch, batch, 2 * weights * batch, per_token * batch, weights, per_token * batch, context - 1),
        step(512, batch, 0, 0, weights, per_token, context - 512 / batch)};
  return a;
}

/// Seconds of model 0: a decoding step takes 2 ms + 1 us a token of context; of model 1: 5 ms throughout. A prompt's
/// token takes a tenth of that. `noise`: relative, alternating from round to round.
inline double made_up_s(size_t model, double context) { return model == 0 ? 0.002 + 1e-6 * context : 0.005; }

inline Report made_up_report(double noise = 0.01, int64_t rounds = 5) {
  Report r;
  r.version = "0 (test)";
  r.date = "2026-01-01T00:00:00Z";
  r.cpu = "a CPU";
  r.level = "scalar";
  r.threads = 2;
  r.budget_s = 100;
  r.limits = {.read_bytes_per_s = 1e10, .f32_ops_per_s = 1e11, .int8_ops_per_s = 3e11, .call_s = 1e-6};
  r.models = {{.name = "rising",
               .source = "a",
               .weight_types = "",
               .anatomy = made_up_anatomy(10000000, 20000),
               .kernel_rates = {},
               .left_out = {}},
              {.name = "flat",
               .source = "b",
               .weight_types = "",
               .anatomy = made_up_anatomy(40000000, 10),
               .kernel_rates = {},
               .left_out = {}}};
  for (int64_t round = 0; round < rounds; ++round)
    for (size_t m = 0; m < 2; ++m) {
      const double factor = 1 + noise * (static_cast<double>((round * 7 + static_cast<int64_t>(m) * 3) % 5) - 2) / 2;
      for (int64_t from = 0; from < 8192; from += 512) {
        double sum = 0;
        for (int64_t i = 0; i < 512; ++i) sum += made_up_s(m, static_cast<double>(from + i)) / 10;
        r.samples.push_back({m, 1, round, Sample::Kind::kPrefill, from, from + 512, {factor * sum}, 0});
      }
      for (int64_t c = 512; c <= 8192; c *= 2) {
        const double t = factor * made_up_s(m, static_cast<double>(c));
        r.samples.push_back({m, 1, round, Sample::Kind::kDecode, c, c, {t, t * 1.5, t * 0.9}, 0});
        r.samples.push_back({m, 1, round, Sample::Kind::kLayers, c, c, {t - 0.001}, 0});
      }
    }
  return r;
}

}  // namespace godwit
