// What commands do with an answer's tokens: text as it comes, and the end when a stop string is found.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/completion.h"
#include "text/detokenizer.h"
#include "text/stop.h"

namespace godwit {

class AnswerText {
 public:
  /// tokenizer: null when the model has none; the text is empty then. Throws Error (kUsage) as StopMatcher.
  AnswerText(const Tokenizer* tokenizer, std::vector<std::string> stops) : stops_(std::move(stops)) {
    if (tokenizer != nullptr) detokenizer_.emplace(*tokenizer);
  }

  /// The text that this id brings. Nothing may be pushed after a stop string was found.
  std::string push(TokenId id) {
    ids_.push_back(id);
    return detokenizer_ ? keep(stops_.push(detokenizer_->push(id))) : "";
  }
  /// What was held back, at the end of the answer.
  std::string finish() {
    return detokenizer_ && !stops_.stopped() ? keep(stops_.push(detokenizer_->flush()) + stops_.flush()) : "";
  }
  bool stopped() const { return stops_.stopped(); }
  const std::string& text() const { return text_; }
  const std::vector<TokenId>& ids() const { return ids_; }
  /// "stop", "length", "cancelled": how it ended, given how the engine ended it.
  const char* finish_name(Finish finish) const {
    if (stopped() || finish == Finish::kStop) return "stop";
    return finish == Finish::kLength ? "length" : finish == Finish::kCancelled ? "cancelled" : "failed";
  }

 private:
  std::string keep(std::string piece) {
    text_ += piece;
    return piece;
  }

  StopMatcher stops_;
  std::optional<Detokenizer> detokenizer_;
  std::string text_;
  std::vector<TokenId> ids_;
};

/// What --json says of an answer, besides what the engine knows.
struct AnswerFacts {
  std::string text;
  std::vector<TokenId> ids;
  size_t prompt_tokens;
  std::string finish;
  double load_s;
};
/// The object of `run` and `chat`, as a line of JSON.
std::string answer_json(const std::string& schema, const AnswerFacts& facts, const Outcome& outcome);

}  // namespace godwit
