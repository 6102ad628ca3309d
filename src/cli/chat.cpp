// godwit chat: a conversation through the model's own template; on a terminal with history, else one answer.
#include <unistd.h>

#include <iostream>

#include "base/error.h"
#include "cli/answer.h"
#include "cli/chat_screen.h"
#include "cli/chat_session.h"
#include "cli/commands.h"
#include "cli/streams.h"

namespace godwit {
namespace {

std::string one_message(const ChatOptions& o, bool has_prompt) {
  if (has_prompt) return o.prompt;
  std::string text = read_input(o.file.empty() ? "-" : o.file, uint64_t{1} << 30);
  // The end of a text's last line is not part of what is said.
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

void answer_once(const ChatOptions& o, bool has_prompt) {
  std::vector<ChatMessage> messages;
  if (!o.system.empty()) messages.push_back({"system", o.system});
  messages.push_back({"user", one_message(o, has_prompt)});
  ChatSession session(o, &messages);
  const ChatPrompt prompt = session.prompt(messages);
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  AnswerScreen screen(may_style(STDOUT_FILENO, o.talk.no_color), ends_thinking(prompt.text));
  const auto print = [&](const std::string& text) {
    if (o.talk.json || text.empty()) return;
    std::cout << text;
    flush_output();
  };
  const ChatAnswer answer = session.answer(
      prompt, o.sampling.seed, [&](const std::string& piece) { print(terminal ? screen.push(piece) : piece); });
  const Outcome& outcome = answer.outcome;
  if (o.talk.json) {
    const auto prompt_tokens = static_cast<size_t>(answer.prompt_tokens);
    std::cout << answer_json("godwit.chat/1", {answer.text, answer.ids, prompt_tokens, answer.finish, session.load_s()},
                             outcome)
              << '\n';
  } else {
    print(terminal ? screen.finish() + "\n" : "\n");
    if (!o.talk.quiet) say("load {:.2f} s; {}; finish: {}\n", session.load_s(), speeds_text(answer), answer.finish);
  }
  if (outcome.finish == Finish::kCancelled && interrupted()) throw Interrupted("chat: interrupted");
}

void chat_command(const ChatOptions& o, bool has_prompt) {
  if (has_prompt && !o.file.empty()) fail(ErrorKind::kUsage, "chat: -p and -f both say what to answer; give one");
  const bool terminal = ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
  if (has_prompt || !o.file.empty() || !terminal) return answer_once(o, has_prompt);
  if (o.talk.json) fail(ErrorKind::kUsage, "chat: --json is for one answer; give -p TEXT, -f FILE or a pipe");
  chat_on_terminal(o);
}

}  // namespace

void add_chat(CLI::App& app) {
  auto o = std::make_shared<ChatOptions>();
  Command command = add_command(app, "chat",
                                "talk with a model through its chat template\n\n"
                                "  godwit chat model.gguf\n"
                                "  godwit chat model.gguf --system 'Answer in one sentence.' -c 8192\n"
                                "  echo 'Why is the sky blue?' | godwit chat model.gguf -n 200\n"
                                "  godwit chat base.gguf --template chatml -p 'Hello'\n\n"
                                "On a terminal: a conversation; /help says what can be typed, Ctrl-C stops an answer,\n"
                                "Ctrl-D leaves. Elsewhere, or with -p or -f: one answer on stdout, speeds on stderr.");
  add_model_options(command, o->model);
  const Flag prompt = command.flag("-p,--prompt", o->prompt, "a message to answer once");
  command.flag("-f,--file", o->file, "a file with that message; - is stdin");
  command.flag("--system", o->system, "the system message");
  command.flag("--template", o->chat_template, "a chat template instead of the model's own: a file, or a built-in one");
  command.flag("--set", o->set, "KEY=VALUE, a variable of the template (repeatable); VALUE is JSON, or else a text");
  command.flag("--no-think", o->no_think, "ask the template for an answer without thoughts: enable_thinking=false");
  add_sampling_options(command, o->sampling);
  add_talk_options(command, o->talk);
  command.runs([o, prompt] { chat_command(*o, prompt.given()); });
}

}  // namespace godwit
