// The stages of a tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/json_fields.h"
#include "text/pipeline.h"

namespace godwit {

/// What the reader of the whole file knows by then.
struct PipelineSource {
  const Json& root;
  const JsonFields& fields;
  const Vocabulary& vocabulary;            // tokens and types
  const std::vector<std::string>& tokens;  // by id, as they stand in the file
  const std::vector<bool>& in_model;       // whether the model has a token, or only added_tokens
  const std::vector<std::pair<std::string, std::string>>& merges;
};

/// All stages. Throws Unsupported for what this build does not do, Error (kInvalid) for what contradicts itself.
std::shared_ptr<const Pipeline> read_pipeline(const PipelineSource& source);

/// The ids before and behind a text, of post_processor.
struct TextFrame {
  std::vector<int32_t> before, after;
};
TextFrame read_text_frame(const Json& post_processor, size_t n_tokens, const JsonFields& fields);

}  // namespace godwit
