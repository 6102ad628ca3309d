// One model that is talked to: its template, its tokenizer and one engine for all turns.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/chat_conversation.h"
#include "cli/session.h"
#include "engine/engine.h"
#include "text/chat_prompt.h"

namespace godwit {

struct ChatOptions {
  ModelOptions model;
  TalkOptions talk;
  SamplingFlags sampling;
  std::string prompt, file, system;
  std::string chat_template;     // --template: a file or the name of a built-in; empty: the model's own
  std::vector<std::string> set;  // "key=value": variables of the template
  bool no_think = false;
};

/// An answer, and what it took.
struct ChatAnswer {
  std::string text;
  std::vector<TokenId> ids;
  std::string finish;  // as finish_reason
  int64_t prompt_tokens = 0;
  Outcome outcome;
  ChatPast past;  // prompt and answer, for the next prompt; empty where the text is not that of the ids
};

class ChatSession {
 public:
  /// Opens the model, its tokenizer and its template, and loads the weights. `first`: the only prompt that there will
  /// be, for which state is then measured; null: many turns. Without -c the context is the model's, or as much of it as
  /// memory allows. Throws Error, kInvalid where the model has no tokenizer or no template, or the template refuses.
  ChatSession(const ChatOptions& options, const std::vector<ChatMessage>* first);

  ChatPrompt prompt(const std::vector<ChatMessage>& messages, const ChatPast* past = nullptr) const;

  /// Answers; `emit` gets the text as it comes. The engine remembers prompt and answer where there may be more turns.
  /// Ctrl-C ends the answer. Throws Error, kUsage where the prompt leaves no room in the context.
  ChatAnswer answer(const ChatPrompt& prompt, uint64_t seed, const std::function<void(const std::string&)>& emit);

  int64_t context() const { return session_.runner->options().context; }
  int64_t whole_context() const { return session_.open->model->context_length(); }
  /// What unset flags of sampling stand for, and who says so: "temp 0.7, top-p 0.95 (generation_config.json)".
  const std::string& sampling_text() const { return sampling_text_; }
  double load_s() const { return session_.load_s; }

 private:
  void choose_context(const ChatOptions& options, const OpenModel& open, RunnerOptions& runner) const;

  SamplingFlags flags_;
  SamplingOptions sampling_;
  std::string sampling_text_;
  Json variables_ = Json::object();
  bool many_turns_;
  int64_t first_tokens_ = 0;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatPrompter> prompter_;
  Session session_;
  std::unique_ptr<Engine> engine_;
};

/// The template that --template names, a file or a built-in one; empty: the model's own. Throws Error (kInvalid).
ChatTemplate chat_template_for(const std::string& named, const OpenModel& open, const Vocabulary& vocabulary);

/// "52 tokens in (40 reused), 812 tok/s; 31 out, 95.0 tok/s".
std::string speeds_text(const ChatAnswer& answer);

/// The conversation with a person at a terminal (stdin and stdout), until they leave.
void chat_on_terminal(const ChatOptions& options);

}  // namespace godwit
