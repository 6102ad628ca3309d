#include "cli/answer.h"

#include "base/json.h"

namespace godwit {

std::string answer_json(const std::string& schema, const AnswerFacts& facts, const Outcome& outcome) {
  return dump_json({{"schema", schema},
                    {"text", facts.text},
                    {"ids", facts.ids},
                    {"prompt_tokens", facts.prompt_tokens},
                    {"completion_tokens", facts.ids.size()},
                    {"finish_reason", facts.finish},
                    {"timing",
                     {{"load_s", facts.load_s},
                      {"prefill_s", outcome.prefill_s},
                      {"decode_s", outcome.decode_s},
                      {"ttft_s", outcome.ttft_s}}}});
}

}  // namespace godwit
