// The report of an audit: what was assumed, counted and measured, as it stands in the JSON (godwit.audit/1). Every
// figure follows from it alone (audit/figures.h), so whoever has the file can compute them again.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "audit/anatomy.h"
#include "audit/limits.h"
#include "audit/machine_profile.h"
#include "base/json_fwd.h"

namespace godwit {

inline constexpr const char* kAuditSchema = "godwit.audit/1";
inline constexpr size_t kMostAudited = 26;  // models in a report: each gets a letter

/// Times of one kind, all in one round.
struct Sample {
  enum class Kind {
    kPrefill,  // a step that takes each sequence from `from` to `to` tokens, no logits
    kDecode,   // steps of one token for every sequence, from `from` tokens on, logits and choice included
    kLayers    // the same without logits
  };
  size_t model = 0;  // index into Report::models
  int64_t batch = 1, round = 0;
  Kind kind = Kind::kPrefill;
  int64_t from = 0, to = 0;
  std::vector<double> seconds;  // of each step, in nanoseconds' digits
  double joules = 0;            // of all of them together; 0: not measured
  double experts = 0;           // distinct ones that a step read, the mean over steps and layers; 0: there are none
};

struct AuditedModel {
  std::string name, source;  // short, and as it was given
  std::string weight_types;  // "Q4_1 70.0 MiB, ..."
  Anatomy anatomy;
  /// Operations a second that the kernel of an op reaches on this model, by rows of activations: with weights and keys
  /// from memory; of a whole chunk, where that is no matter, from the caches.
  std::map<std::string, std::map<int64_t, double>> kernel_rates = {};
  std::vector<std::string> left_out;            // points that were not measured, and why
  int64_t predicted_bytes = 0, peak_bytes = 0;  // of memory, for what was measured; 0: nothing was
  // Of a model that was made to be like the others; else empty and 0.
  std::string config = {};      // its config.json
  int64_t like_parameters = 0;  // active ones without embedding and output head
};

struct Report {
  std::string version, date, cpu, level;  // of the program, the run, the machine
  int threads = 0;
  bool complete = true;  // false: it was interrupted
  double budget_s = 0;
  double like_parameters = 0;           // active ones that all models were to have; 0: they are as they were given
  std::optional<uint64_t> random_seed;  // of the weights; none: they are real
  MachineProfile profile;
  Limits limits;
  std::vector<AuditedModel> models;
  std::vector<Sample> samples;
};

/// The report's JSON with its figures and, as its last key, a digest over every other byte.
std::string report_text(const Report& report);

/// Checks a report's digest and computes every figure again. Throws Error: kCheck saying what differs, kInvalid when
/// the text is no report.
Report verified_report(const std::string& text, const std::string& source);

Json to_json(const Anatomy& anatomy);
Anatomy anatomy_from(const Json& json);

}  // namespace godwit
