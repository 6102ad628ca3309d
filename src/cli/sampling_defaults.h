// What a model's authors say about sampling from it.
#pragma once

#include <optional>
#include <string>

#include "engine/sampler.h"

namespace godwit {

struct OpenModel;

/// Values that are there, and where they come from, for people.
struct SamplingDefaults {
  std::optional<double> temp, top_p, min_p, repeat_penalty;
  std::optional<int64_t> top_k;
  std::string source;

  bool empty() const { return !temp && !top_p && !min_p && !repeat_penalty && !top_k; }
  /// "temp 0.7, top-p 0.95".
  std::string text() const;
};

/// From general.sampling.* of a GGUF file, or generation_config.json of a folder (temperature, top_k, top_p, min_p,
/// repetition_penalty; do_sample false is temperature 0, where it is said). Throws Error (kInvalid) naming file and key
/// for a value out of its range.
SamplingDefaults sampling_defaults_of(const OpenModel& open);

/// What `chat` takes where the model says nothing: temperature 0.7 and top-p 0.95, as most models are published for.
/// Neutral sampling makes small models wander.
SamplingDefaults chat_sampling_defaults();

}  // namespace godwit
