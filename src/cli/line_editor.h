// Lines from a person at a terminal: editing, history and pasted text. The editing itself is libedit's.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace godwit {

/// `text` (UTF-8) without what a terminal would obey: control characters but for tab and newline become pictures of
/// themselves (U+2400 to U+2421), those of U+0080 to U+009F U+FFFD; carriage returns are left out.
std::string harmless(std::string_view text);

/// One at a time. Text goes on after a backslash at a line's end, between """ and """, with Alt-Enter and where it is
/// pasted (bracketed paste, xterm's control sequences); else Enter ends it. Arrows and Ctrl-R look through the history.
class LineEditor {
 public:
  enum class End { kEntered, kInterrupted, kClosed };
  struct Line {
    End end = End::kClosed;
    std::string text;  // UTF-8, harmless, perhaps of several lines; kInterrupted: what was dropped
  };

  /// in and out are a terminal, and outlive this. `prompt` is ASCII. Sets LC_CTYPE to UTF-8. Throws Error (kFailed)
  /// where the terminal cannot be edited on.
  LineEditor(std::FILE* in, std::FILE* out, const std::string& prompt, bool color);
  /// Leaves the terminal as it was.
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// Waits for a line. kInterrupted at Ctrl-C (as a key or as SIGINT), kClosed at Ctrl-D on an empty line, when the
  /// terminal has gone and at SIGTERM.
  Line read();

  /// What the arrows bring back, latest first.
  void remember(const std::string& text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace godwit
