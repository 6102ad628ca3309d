// godwit run --prompts: a file of requests in, a file of answers out.
#pragma once

#include <string>

#include "cli/options.h"

namespace godwit {

struct PromptsOptions {
  std::string file, output;  // JSONL; file "-": stdin; output empty: stdout
  int64_t parallel = 32;     // sequences at once
  bool resume = false;
};

/// Answers each line of the file with one line of the output, in order. What is wrong with a line becomes its error
/// object; the others go on. With `resume`, lines that the output has already are not answered again. Throws Error as
/// `run` does, and kUsage when the output exists and `resume` was not asked for.
void run_prompts(const ModelOptions& model, const TalkOptions& talk, const SamplingFlags& sampling,
                 const PromptsOptions& options);

}  // namespace godwit
