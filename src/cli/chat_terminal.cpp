// The conversation on a terminal: what is typed, what is answered, what is said about it.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "base/text.h"
#include "cli/chat_screen.h"
#include "cli/chat_session.h"
#include "cli/commands.h"
#include "cli/line_editor.h"
#include "cli/line_history.h"
#include "cli/streams.h"

namespace godwit {
namespace {

constexpr const char* kHelp =
    "  /help           this\n"
    "  /system TEXT    the system message from the next turn on; without TEXT: what it is; \"\": none\n"
    "  /retry          another answer to the last message\n"
    "  /undo           forget the last message and its answer\n"
    "  /reset          begin again; the system message stays\n"
    "  /save FILE      keep the conversation in a file\n"
    "  /load FILE      go on with a conversation from a file\n"
    "  /stats          what this session took\n"
    "  /exit           leave, as Ctrl-D does\n"
    "Enter sends. A backslash at a line's end goes on below it, as Alt-Enter does; \"\"\" opens and closes a text of\n"
    "several lines; pasted text keeps its lines. Arrows and Ctrl-R find what was typed before, Ctrl-C clears the line\n"
    "or stops the answer. A message that begins with / is written with two: //.\n";

class TerminalChat {
 public:
  explicit TerminalChat(const ChatOptions& o)
      : o_(o),
        styled_(may_style(STDOUT_FILENO, o.talk.no_color)),
        styled_talk_(may_style(STDERR_FILENO, o.talk.no_color)),
        session_(o, nullptr),
        editor_(stdin, stdout, "> ", styled_),
        history_file_(chat_history_path()) {
    if (!o.system.empty()) messages_.push_back({"system", o.system});
    if (!history_file_.empty())
      for (const std::string& entry : read_history(history_file_)) editor_.remember(harmless(entry));
  }

  void run();

 private:
  void remember(const std::string& text);
  /// False: leave.
  bool obey(const std::string& line);
  void set_system(const std::string& text);
  void save(const std::string& file);
  void load(const std::string& file);
  void undo();
  void retry();
  void stats();
  void ask(const std::string& text);
  bool answer_last();
  bool fits(const ChatPrompt& prompt);
  void keep(ChatAnswer answer);
  void say_dim(const std::string& text) const {
    flush_output();
    say("{}{}{}\n", styled_talk_ ? kDim : "", text, styled_talk_ ? kUndim : "");
  }
  bool has_system() const { return !messages_.empty() && messages_.front().role == "system"; }

  const ChatOptions& o_;
  const bool styled_, styled_talk_;  // answers, and what is said about them
  ChatSession session_;
  LineEditor editor_;
  const std::string history_file_;
  bool history_lost_ = false;
  std::vector<ChatMessage> messages_;
  ChatPast past_;          // of the last turn
  uint64_t attempts_ = 0;  // at the last message: each has a seed of its own
  struct {
    int64_t answers = 0, prompt = 0, reused = 0, completion = 0, context = 0;
    double prefill_s = 0, decode_s = 0;
  } total_;
};

void TerminalChat::run() {
  if (interrupted()) throw Interrupted("chat: interrupted");  // while loading
  const std::string name = std::filesystem::path(o_.model.model).filename().string();
  if (!o_.talk.quiet) {
    say_dim(fmt::format("{}: a context of {} tokens; /help says what can be typed, Ctrl-D leaves",
                        printable(name.empty() ? o_.model.model : name), grouped(session_.context())));
    say_dim("sampling, where no flag says else: " + session_.sampling_text());
  }
  outlive_interrupts();
  int interrupts = 0;  // on an empty line, in a row
  while (true) {
    const LineEditor::Line line = editor_.read();
    forget_interrupt();
    if (interrupted()) throw Interrupted("chat: interrupted");  // SIGTERM
    if (line.end == LineEditor::End::kClosed) {
      std::cout << '\n';
      return;
    }
    if (line.end == LineEditor::End::kInterrupted) {
      interrupts = line.text.empty() ? interrupts + 1 : 0;
      if (interrupts >= 2) say_dim("Ctrl-D or /exit leaves");
      continue;
    }
    interrupts = 0;
    if (line.text.find_first_not_of(" \t\n") == std::string::npos) continue;
    remember(line.text);
    try {
      if (!obey(line.text)) return;
    } catch (const Error& e) {
      complain(e.what());
    } catch (const std::bad_alloc&) {
      complain("out of memory: the system refuses more");
    }
  }
}

void TerminalChat::remember(const std::string& text) {
  editor_.remember(text);
  if (history_file_.empty() || history_lost_ || append_history(history_file_, text)) return;
  history_lost_ = true;
  complain(fmt::format("warning: {}: what is typed cannot be kept: {}", printable_path(history_file_),
                       std::strerror(errno)));
}

bool TerminalChat::obey(const std::string& line) {
  if (line[0] != '/') return ask(line), true;
  if (line.starts_with("//")) return ask(line.substr(1)), true;
  const size_t space = std::min(line.find_first_of(" \n\t"), line.size());
  const std::string command = line.substr(0, space);
  const size_t first = std::min(line.find_first_not_of(" \n\t", space), line.size());
  const std::string rest = line.substr(first, line.find_last_not_of(" \n\t") + 1 - first);
  const std::pair<std::string_view, std::function<void()>> commands[] = {
      {"/help", [&] { say_text(kHelp); }},
      {"/system", [&] { set_system(rest); }},
      {"/retry", [&] { retry(); }},
      {"/undo", [&] { undo(); }},
      {"/save", [&] { save(rest); }},
      {"/load", [&] { load(rest); }},
      {"/stats", [&] { stats(); }},
      {"/exit", {}},
      {"/quit", {}},
      {"/reset",
       [&] {
         messages_.resize(has_system() ? 1 : 0);
         say_dim("the conversation begins again");
       }},
  };
  std::vector<std::string_view> names;
  for (const auto& known : commands) {
    names.push_back(known.first);
    if (known.first != command) continue;
    if (known.second) known.second();
    return static_cast<bool>(known.second);
  }
  const std::string_view near = closest(command, names);
  fail(ErrorKind::kUsage, "{}: no such command{}; /help lists them; a message that begins with / is written //",
       printable(command, 40), near.empty() ? "" : fmt::format("; did you mean {}?", near));
}

void TerminalChat::set_system(const std::string& text) {
  if (text.empty()) return say_dim(has_system() ? harmless(messages_.front().content) : "no system message");
  if (has_system()) messages_.erase(messages_.begin());
  if (text == "\"\"") return say_dim("no system message from here on");
  messages_.insert(messages_.begin(), {"system", text});
  say_dim("the system message is set");
}

std::string home_expanded(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home != nullptr ? home + path.substr(1) : path;
}

void TerminalChat::save(const std::string& file) {
  if (file.empty()) fail(ErrorKind::kUsage, "/save: into which file?");
  save_conversation(home_expanded(file), messages_);
  say_dim(fmt::format("{} messages saved", grouped(static_cast<int64_t>(messages_.size()))));
}

void TerminalChat::load(const std::string& file) {
  if (file.empty()) fail(ErrorKind::kUsage, "/load: from which file?");
  messages_ = load_conversation(home_expanded(file));
  say_dim(fmt::format("{} messages loaded", grouped(static_cast<int64_t>(messages_.size()))));
}

/// Drops the last message of the user's and all after it.
void TerminalChat::undo() {
  size_t last = messages_.size();
  while (last > 0 && messages_[last - 1].role != "user") --last;
  if (last == 0) fail(ErrorKind::kUsage, "/undo: nothing was said yet");
  messages_.resize(last - 1);
  say_dim("the last message and its answer are forgotten");
}

void TerminalChat::retry() {
  std::vector<ChatMessage> before = messages_;
  while (!messages_.empty() && messages_.back().role != "user") messages_.pop_back();
  if (messages_.empty()) {
    messages_ = std::move(before);
    fail(ErrorKind::kUsage, "/retry: nothing was said yet");
  }
  ++attempts_;
  try {
    if (answer_last()) return;
  } catch (...) {
    messages_ = std::move(before);
    throw;
  }
  messages_ = std::move(before);
}

void TerminalChat::stats() {
  const auto per_s = [](int64_t n, double s) { return static_cast<double>(n) / std::max(1e-9, s); };
  const int64_t fed = total_.prompt - total_.reused;
  std::string text = fmt::format("{} answers; prompts {} tokens, {} of them reused", grouped(total_.answers),
                                 grouped(total_.prompt), grouped(total_.reused));
  if (total_.prefill_s > 0) text += fmt::format(", the others at {:.1f} tok/s", per_s(fed, total_.prefill_s));
  text += fmt::format("; answers {} tokens", grouped(total_.completion));
  // The first token of each answer came out of its prompt's pass.
  if (total_.decode_s > 0)
    text += fmt::format(" at {:.1f} tok/s", per_s(total_.completion - total_.answers, total_.decode_s));
  text +=
      fmt::format("\nthe conversation: {} messages; context after the last answer: {} of {} tokens; loaded in {:.2f} s",
                  grouped(static_cast<int64_t>(messages_.size())), grouped(total_.context), grouped(session_.context()),
                  session_.load_s());
  say_dim(text);
}

void TerminalChat::ask(const std::string& text) {
  messages_.push_back({"user", text});
  attempts_ = 0;
  try {
    if (answer_last()) return;
  } catch (...) {
    messages_.pop_back();
    throw;
  }
  messages_.pop_back();
}

/// A conversation that is too long is said to be so: nothing of it is left out for the model to see the rest.
bool TerminalChat::fits(const ChatPrompt& prompt) {
  const auto n = static_cast<int64_t>(prompt.ids.size()), context = session_.context();
  if (n < context) return true;
  const std::string room = context < session_.whole_context() ? fmt::format(", or start with a larger -c (up to {})",
                                                                            grouped(session_.whole_context()))
                                                              : "";
  complain(
      fmt::format("the conversation is {} tokens too long: it has {}, the context {}, and one must be free for "
                  "an answer; the message was not sent. /reset begins again, /undo takes back a turn{}",
                  grouped(n - context + 1), grouped(n), grouped(context), room));
  return false;
}

/// Answers the user's message at the end. False: no answer came, and the message goes.
bool TerminalChat::answer_last() {
  const ChatPrompt prompt = session_.prompt(messages_, &past_);
  if (!fits(prompt)) return false;
  AnswerScreen screen(styled_, ends_thinking(prompt.text));
  const auto print = [](const std::string& text) {
    std::cout << text;
    flush_output();
  };
  bool at_line_begin = true;
  const auto emit = [&](const std::string& piece) {
    if (piece.empty()) return;
    print(screen.push(piece));
    at_line_begin = piece.ends_with('\n');
  };
  ChatAnswer answer;
  try {
    answer = session_.answer(prompt, o_.sampling.seed + attempts_, emit);
  } catch (...) {
    print(screen.finish() + "\n");
    throw;
  }
  forget_interrupt();
  print(screen.finish() + (at_line_begin ? "" : "\n"));
  if (interrupted()) throw Interrupted("chat: interrupted");  // SIGTERM
  const bool stopped = answer.finish == "cancelled";
  if (answer.ids.empty() && stopped) {
    say_dim("stopped before the answer began; the message is taken back");
    return false;
  }
  keep(std::move(answer));
  return true;
}

void TerminalChat::keep(ChatAnswer answer) {
  const Outcome& outcome = answer.outcome;
  ++total_.answers;
  total_.prompt += answer.prompt_tokens;
  total_.reused += outcome.reused_tokens;
  total_.completion += static_cast<int64_t>(answer.ids.size());
  total_.prefill_s += outcome.prefill_s;
  total_.decode_s += outcome.decode_s;
  total_.context = answer.prompt_tokens + static_cast<int64_t>(answer.ids.size());
  const bool full = total_.context >= session_.context();
  if (!o_.talk.quiet || full) {
    const char* why = answer.finish == "cancelled" ? "; stopped"
                      : full                       ? "; the context is full: /reset begins again"
                      : answer.finish == "length"  ? "; ended by -n"
                                                   : "";
    say_dim(fmt::format("[{}; context {} of {} ({} %){}]", speeds_text(answer), grouped(total_.context),
                        grouped(session_.context()), 100 * total_.context / session_.context(), why));
  }
  messages_.push_back({"assistant", std::move(answer.text)});
  past_ = std::move(answer.past);
}

}  // namespace

void chat_on_terminal(const ChatOptions& options) { TerminalChat(options).run(); }

}  // namespace godwit
