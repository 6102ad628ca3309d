// A conversation as the ids that a model is fed: its template rendered, tokenized, and joined to what is known already.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json_fwd.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace godwit {

/// A prompt and the answer that a model gave to it, as text and as the ids that it was fed and chose.
struct ChatPast {
  std::string text;
  std::vector<int32_t> ids;
};

struct ChatPrompt {
  std::string text;          // as rendered
  std::vector<int32_t> ids;  // with the begin token where the model wants one
  size_t past_ids = 0;       // so many of the ids are those of the past
};

/// Turns conversations into prompts for one model. Immutable; usable from any number of threads.
class ChatPrompter {
 public:
  /// Refers to the tokenizer, which must live longer. The template gets the texts of the vocabulary's bos, eos, unk and
  /// pad tokens by the names it knows them by (bos_token and so on).
  ChatPrompter(const Tokenizer& tokenizer, const Vocabulary& vocabulary, ChatTemplate chat_template);

  /// messages: an array of {role, content, ...}, the last of them not the model's. `more`: an object of further
  /// variables, which win over those that are set here: tools and documents (null) and add_generation_prompt (true).
  ///
  /// Bytes that come from messages or `more` become no control token. Where the rendered text goes on from `past` with
  /// a control token, the ids are those of the past and of what is new: the text of an answer, tokenized again, need
  /// not give the ids that the model chose, and what it was fed would have to be fed again. Throws Error (kInvalid) as
  /// ChatTemplate::render.
  ChatPrompt prompt(const Json& messages, const Json& more, const ChatPast* past = nullptr) const;

  const ChatTemplate& chat_template() const { return template_; }

 private:
  const Tokenizer* tokenizer_;
  ChatTemplate template_;
  std::vector<std::pair<std::string, std::string>> tokens_;  // variable and text
};

}  // namespace godwit
