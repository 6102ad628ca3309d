// Editing on a pseudo-terminal: what is typed and pasted, and the line that comes of it.
#include "cli/line_editor.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string_view>
#include <thread>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/pseudo_terminal.h"

namespace godwit {
namespace {

/// Reads lines until the terminal is closed, and prints each quoted: got="..." or dropped="...".
void print_lines() {
  watch_interrupts();
  outlive_interrupts();
  LineEditor editor(stdin, stdout, "> ", false);
  while (true) {
    const LineEditor::Line line = editor.read();
    if (line.end == LineEditor::End::kClosed) break;
    const bool entered = line.end == LineEditor::End::kEntered;
    std::printf("%s=%s %zu bytes\n", entered ? "got" : "dropped", quoted(line.text, 200).c_str(), line.text.size());
    std::fflush(stdout);
    if (entered) editor.remember(line.text);
  }
  std::printf("closed%s\n", interrupted() ? " by a signal" : "");
  std::fflush(stdout);
}

class LineEditorTest : public testing::Test {
 protected:
  /// Types keys at a new prompt and finds the line that they give.
  void expect_line(const std::string& keys, const std::string& line) {
    terminal_.expect("> ");
    terminal_.type(keys);
    terminal_.expect("got=" + quoted(line, 200) + " ", 10);
  }
  PseudoTerminal terminal_{print_lines};
};

TEST_F(LineEditorTest, KeysAndWhatTheyDo) {
  expect_line("hello\r", "hello");
  expect_line("hell\033[Dxl\r", "helxll");         // left
  expect_line("bc\001a\005d\r", "abcd");           // Ctrl-A, Ctrl-E
  expect_line("ac\033[D\033[3~b\r", "ab");         // Delete
  expect_line("one two\027three\r", "one three");  // Ctrl-W
  expect_line("ab\177c\r", "ac");                  // backspace
  expect_line("a\tb\r", "a\tb");                   // no completion
  expect_line(
      "gr\xC3\xB6\xC3\x9F"
      "e \xE6\x9D\xB1\xE4\xBA\xAC \xF0\x9F\x98\x80\177!\r",
      "gr\xC3\xB6\xC3\x9F"
      "e \xE6\x9D\xB1\xE4\xBA\xAC !");
  expect_line(
      "a\xFF\xE6\x9D"
      "b\r",
      "a\xEF\xBF\xBD\xEF\xBF\xBD"
      "b");  // not UTF-8
}

TEST_F(LineEditorTest, HistoryByArrowsAndSearch) {
  expect_line("first line\r", "first line");
  expect_line("second line\r", "second line");
  expect_line("\033[A\r", "second line");
  expect_line("\033[A\033[A!\r", "first line!");         // equal ones in a row are kept once
  expect_line("\033OA\033OA\033OB?\r", "first line!?");  // arrows as application keys
  expect_line("\022second\r", "second line");            // Ctrl-R
}

TEST_F(LineEditorTest, PastedTextIsTextWhateverIsInIt) {
  terminal_.expect("\033[?2004h");
  terminal_.expect("> ");
  terminal_.type("say: ");
  terminal_.paste("one\r\ntwo\rthree\n\033[31mred\003\004\032\tend\302\233");
  terminal_.type("!\r");
  terminal_.expect("got=" + quoted("say: one\ntwo\nthree\n\xE2\x90\x9B[31mred\xE2\x90\x83\xE2\x90\x84\xE2\x90\x9A\tend"
                                   "\xEF\xBF\xBD!",
                                   200));
  // All of its lines come back as one.
  expect_line("\033[A?\r",
              "say: one\ntwo\nthree\n\xE2\x90\x9B[31mred\xE2\x90\x83\xE2\x90\x84\xE2\x90\x9A\tend"
              "\xEF\xBF\xBD!?");
  // Nothing of it was obeyed by the terminal.
  EXPECT_EQ(terminal_.shown().find("\033[31m"), std::string::npos);
}

TEST_F(LineEditorTest, PasteOfManyLines) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "line " + std::to_string(i) + " of a long text\n";
  terminal_.expect("> ");
  std::thread person([&] { terminal_.paste(text), terminal_.type("\r"); });
  terminal_.expect(std::to_string(text.size()) + " bytes", 30);
  person.join();
}

TEST_F(LineEditorTest, TextOfSeveralLines) {
  expect_line("one\\\rtwo\\\rthree\r", "one\ntwo\nthree");
  expect_line("one\033\rtwo\r", "one\ntwo");  // Alt-Enter
  expect_line("\"\"\"\rdef f():\r  return \"\"\r\"\"\"\r", "def f():\n  return \"\"");
  expect_line("\"\"\"one line\"\"\"\r", "one line");
  expect_line("a \"\"\" within\r", "a \"\"\" within");
}

TEST_F(LineEditorTest, CtrlCDropsTheLine) {
  terminal_.expect("> ");
  terminal_.type("not this\003");
  terminal_.expect("dropped=\"not this\"");
  terminal_.expect("> ");
  terminal_.type("\003");
  terminal_.expect("dropped=\"\"");
  terminal_.expect("> ");
  terminal_.type("nor that");
  terminal_.expect("nor that");
  ::kill(terminal_.pid(), SIGINT);  // from elsewhere
  terminal_.expect("dropped=\"nor that\"");
  expect_line("this\r", "this");
}

TEST_F(LineEditorTest, CtrlDOnAnEmptyLineAndSigtermClose) {
  terminal_.expect("> ");
  terminal_.type("a\004b\r");  // within a line it deletes what follows
  terminal_.expect("got=\"ab\"");
  terminal_.expect("> ");
  terminal_.type("\004");
  terminal_.expect("\033[?2004l");  // pasting is as it was
  terminal_.expect("closed");
  EXPECT_EQ(terminal_.wait_for_end(), 0);
  PseudoTerminal other(print_lines);
  other.expect("> ");
  ::kill(other.pid(), SIGTERM);
  other.expect("closed by a signal");
  EXPECT_EQ(other.wait_for_end(), 0);
}

TEST_F(LineEditorTest, DrawnAnewWhenTheWindowChanges) {
  terminal_.expect("> ");
  terminal_.type("a line of more than twenty characters");
  terminal_.expect("characters");
  terminal_.resize(24, 20);
  terminal_.expect("> a line of more tha");  // as wide as the window
  terminal_.resize(24, 60);
  terminal_.expect("> a line of more than twenty characters");
  terminal_.type(", and more\r");
  terminal_.expect("got=\"a line of more than twenty characters, and more\"");
}

TEST(Harmless, NothingThatATerminalObeys) {
  EXPECT_EQ(harmless("plain \xC3\xA4\n\ttext"), "plain \xC3\xA4\n\ttext");
  EXPECT_EQ(harmless("\033[31mred\033[0m"), "\xE2\x90\x9B[31mred\xE2\x90\x9B[0m");
  EXPECT_EQ(harmless("\033]0;title\a"), "\xE2\x90\x9B]0;title\xE2\x90\x87");
  EXPECT_EQ(harmless(std::string_view("a\0b", 3)),
            "a\xE2\x90\x80"
            "b");
  EXPECT_EQ(harmless("a\r\nb\rc\b\177"), "a\nbc\xE2\x90\x88\xE2\x90\xA1");
  EXPECT_EQ(harmless("\xC2\x9B"
                     "2J"),  // CSI in one character
            "\xEF\xBF\xBD"
            "2J");
  EXPECT_EQ(harmless("\xC0\x9B \xED\xA0\x80 \xF5"),
            "\xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD");
  // Of all texts of two bytes none keeps a control character, and all that comes is a fixed point.
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const char bytes[] = {static_cast<char>(a), static_cast<char>(b)};
      const std::string text = harmless(std::string_view(bytes, 2));
      EXPECT_EQ(harmless(text), text);
      EXPECT_EQ(find_invalid_utf8(text), std::string::npos);
      for (const char c : text)
        EXPECT_TRUE(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 32) << a << " " << b;
    }
  }
}

}  // namespace
}  // namespace godwit
