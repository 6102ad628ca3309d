// How tokenizer.json writes the pre-tokenizers.
#pragma once

#include <string>
#include <vector>

#include "text/pretokenize.h"

namespace godwit {

/// A pre-tokenizer as a chain of expressions (Split, isolated) that precede the step to the byte-level alphabet.
struct HfExpressions {
  const char* pre;  // the name in GGUF
  std::vector<std::string> expressions;
};

/// For the splitters of pretokenize.h that tokenizer.json has; where whole tokens go before merges there is an entry of
/// its own.
const std::vector<HfExpressions>& hf_expressions();

/// GPT-2's expression: what ByteLevel with use_regex does.
extern const char* const kGpt2Expression;

}  // namespace godwit
