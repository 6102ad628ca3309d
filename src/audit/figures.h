// What follows from a report's inputs: speeds, costs, break-evens, growth, each with interval and method. Definitions
// and formulas: docs/audit.md.
#pragma once

#include <string>
#include <vector>

#include "audit/report.h"
#include "audit/statistics.h"

namespace godwit {

/// A request that people make: tokens in, tokens out.
struct Workload {
  const char* name;
  int64_t in, out;
};
inline constexpr Workload kWorkloads[] = {{"chat", 1000, 250}, {"document", 6000, 500}, {"reasoning", 1000, 4000}};

/// What one model does at one number of sequences, in seconds by context; empty where nothing was measured.
struct Costs {
  Curve prefill;      // to absorb so many tokens of each sequence
  Curve first_token;  // the same with the logits of the last
  Curve decode;       // a step: one token of each sequence
};

/// By the model's anatomy and its kernels' rates: the sum over ops of operations / rate (where there is none, the
/// longer of what the machine's limits allow) and the call.
double predicted_decode_s(const AuditedModel& model, const Limits& limits, int64_t batch, double context);
double predicted_prefill_s(const AuditedModel& model, const Limits& limits, int64_t batch, double context);
/// By these, at contexts from 1 to `most`; no prefill.
Costs predicted_costs(const AuditedModel& model, const Limits& limits, int64_t batch, double most);

/// Everything that is computed, as the JSON has it. Throws Bug where the report's parts do not fit together.
Json figures_of(const Report& report);

}  // namespace godwit
