#include "cli/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <cwchar>
#include <utility>

#include "base/error.h"
#include "cli/commands.h"
#include "text/unicode.h"

namespace godwit {
namespace {

constexpr int kHistoryLines = 1000;
constexpr size_t kMostPasted = size_t{4} << 20;  // characters
// Signals may reach another thread than the one that waits for keys: it looks after this time at the latest.
constexpr int kLook_ms = 200;
constexpr int kPasteEnds_ms = 5000;  // a paste whose end was lost
constexpr wchar_t kReplacement = 0xFFFD, kInterruptKey = 3;
constexpr const wchar_t* kPasteEnd = L"\033[201~";

std::atomic<bool> resized{false};
void on_resize(int) { resized = true; }

wchar_t harmless_char(wchar_t c) {
  if (c == L'\n' || c == L'\t') return c;
  if (c >= 0 && c < 0x20) return static_cast<wchar_t>(0x2400 + c);
  if (c == 0x7F) return 0x2421;
  return c >= 0x80 && c < 0xA0 ? kReplacement : c;
}

/// Line ends of all kinds become newlines.
std::wstring pasted_text(const std::wstring& raw) {
  std::wstring text;
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == L'\r' && i + 1 < raw.size() && raw[i + 1] == L'\n') continue;
    text += harmless_char(raw[i] == L'\r' ? L'\n' : raw[i]);
  }
  return text;
}

/// The character that begins at `at` (UTF-8), which goes behind it. U+FFFD for a byte that begins none.
wchar_t next_char(std::string_view text, size_t& at) {
  const Decoded d = decode_utf8(text, at);
  at += d.length;
  return d.code == kInvalidByte ? kReplacement : static_cast<wchar_t>(d.code);
}

std::wstring to_wide(std::string_view text) {
  std::wstring wide;
  for (size_t at = 0; at < text.size();) wide += next_char(text, at);
  return wide;
}

std::string to_utf8(std::wstring_view wide) {
  std::string text;
  for (const wchar_t c : wide) append_utf8(text, static_cast<uint32_t>(c));
  return text;
}

std::wstring_view trimmed(std::wstring_view text) {
  const size_t first = text.find_first_not_of(L" \t\n");
  if (first == std::wstring_view::npos) return {};
  return text.substr(first, text.find_last_not_of(L" \t\n") - first + 1);
}

bool opens_quotes(std::wstring_view text) { return trimmed(text).starts_with(L"\"\"\""); }
bool closes_quotes(std::wstring_view text) { return trimmed(text).size() >= 6 && trimmed(text).ends_with(L"\"\"\""); }

/// What stands between the quotes, without the line ends next to them.
std::wstring_view unquoted(std::wstring_view text) {
  if (!opens_quotes(text) || !closes_quotes(text)) return text;
  text = trimmed(text);
  text = text.substr(3, text.size() - 6);
  if (text.starts_with(L'\n')) text.remove_prefix(1);
  if (text.ends_with(L'\n')) text.remove_suffix(1);
  return text;
}

bool obeys_sequences() {
  const char* term = std::getenv("TERM");
  const std::string_view name = term == nullptr ? "" : term;
  return !name.empty() && name != "dumb" && name != "emacs";
}

}  // namespace

std::string harmless(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const wchar_t c = next_char(text, at);
    if (c != L'\r') append_utf8(out, static_cast<uint32_t>(harmless_char(c)));
  }
  return out;
}

struct LineEditor::State {
  std::FILE* out;
  int fd;
  std::wstring prompt;  // with markers around what has no width
  size_t prompt_width;
  bool sequences;
  EditLine* edit = nullptr;
  HistoryW* history = nullptr;
  bool was_interrupted = false;
  int pushed_back = -1;  // a byte that was read too early

  static State& of(EditLine* edit) {
    void* data = nullptr;
    el_wget(edit, EL_CLIENTDATA, &data);
    return *static_cast<State*>(data);
  }

  void write(const char* sequence) const {
    if (!sequences) return;
    std::fputs(sequence, out);
    std::fflush(out);
  }

  enum : int { kGone = -1, kNothing = -2 };
  /// The next byte; kNothing after `wait_ms` or a signal, kGone when no more can come.
  int next_byte(int wait_ms) {
    if (pushed_back >= 0) return std::exchange(pushed_back, -1);
    pollfd input{fd, POLLIN, 0};
    const int ready = ::poll(&input, 1, wait_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR)) return kNothing;
    if (ready < 0) return kGone;
    unsigned char byte = 0;
    const ssize_t n = ::read(fd, &byte, 1);
    if (n == 1) return byte;
    return n < 0 && (errno == EINTR || errno == EAGAIN) ? kNothing : kGone;
  }

  /// The character that `lead` begins. What is not UTF-8 becomes U+FFFD.
  wchar_t rest_of_char(int lead) {
    std::string bytes(1, static_cast<char>(lead));
    const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
    while (bytes.size() < size) {
      const int byte = next_byte(kLook_ms);
      if (byte < 0) break;
      if ((byte & 0xC0) != 0x80) {
        pushed_back = byte;
        break;
      }
      bytes += static_cast<char>(byte);
    }
    size_t at = 0;
    return next_char(bytes, at);
  }

  /// Rows that lie between the prompt's and the cursor's, at this width.
  int rows_to_cursor(int width) const {
    const LineInfoW* line = el_wline(edit);
    int row = 0, column = static_cast<int>(prompt_width);
    for (const wchar_t* p = line->buffer; p < line->cursor; ++p) {
      const int w = *p == L'\t' ? 8 - column % 8 : std::max(0, ::wcwidth(*p));
      if (*p == L'\n' || column + w > width) ++row, column = 0;
      if (*p != L'\n') column += w;
      if (column >= width) ++row, column = 0;
    }
    return row;
  }

  /// Draws the line anew. Terminals wrap what they show anew when their width changes, so the prompt is looked for as
  /// many rows up as there are at the new width.
  void redraw_resized() {
    el_resize(edit);
    int columns = 80;
    el_wget(edit, EL_GETTC, L"co", &columns);
    std::fputs("\r", out);
    if (sequences) {
      if (const int rows = rows_to_cursor(columns); rows > 0) std::fprintf(out, "\033[%dA", rows);
      std::fputs("\033[J", out);
    }
    el_wset(edit, EL_REFRESH);
  }

  void insert(const std::wstring& text) { el_winsertstr(edit, text.c_str()); }

  static int read_key(EditLine* edit, wchar_t* key) {
    State& s = of(edit);
    while (true) {
      if (resized.exchange(false)) s.redraw_resized();
      if (interrupted()) {
        forget_interrupt();
        if (interrupted()) return -1;  // SIGTERM
        *key = kInterruptKey;
        return 1;
      }
      const int byte = s.next_byte(kLook_ms);
      if (byte == kGone) return 0;
      if (byte == kNothing) continue;
      // A newline is what on_enter pushes to end the line; keys give carriage returns.
      *key = byte == '\n' ? L'\r' : s.rest_of_char(byte);
      return 1;
    }
  }

  static unsigned char on_enter(EditLine* edit, wint_t) {
    State& s = of(edit);
    const LineInfoW* line = el_wline(edit);
    const std::wstring_view text(line->buffer, static_cast<size_t>(line->lastchar - line->buffer));
    if (line->cursor == line->lastchar && text.ends_with(L'\\')) {
      el_wdeletestr(edit, 1);
      s.insert(L"\n");
      return CC_REFRESH;
    }
    if (opens_quotes(text) && !closes_quotes(text)) return on_newline(edit, 0);
    el_wpush(edit, L"\n");
    return CC_NORM;
  }

  static unsigned char on_newline(EditLine* edit, wint_t) {
    of(edit).insert(L"\n");
    return CC_REFRESH;
  }

  static unsigned char on_interrupt_key(EditLine* edit, wint_t) {
    of(edit).was_interrupted = true;
    el_wpush(edit, L"\n");
    return CC_NORM;
  }

  static unsigned char on_suspend(EditLine* edit, wint_t) {
    const State& s = of(edit);
    s.write("\033[?2004l");
    el_wset(edit, EL_PREP_TERM, 0);
    ::kill(0, SIGTSTP);  // until SIGCONT
    el_wset(edit, EL_PREP_TERM, 1);
    s.write("\033[?2004h");
    el_wset(edit, EL_REFRESH);
    return CC_NORM;
  }

  static unsigned char on_paste(EditLine* edit, wint_t) {
    State& s = of(edit);
    const size_t end_size = std::wcslen(kPasteEnd);
    std::wstring raw;
    bool complete = true;
    while (!raw.ends_with(kPasteEnd)) {
      const int byte = s.next_byte(kPasteEnds_ms);
      if (byte == kNothing && !interrupted()) {
        if (resized) continue;  // the poll ended for that
        complete = false;
        break;
      }
      if (byte < 0) break;
      raw += s.rest_of_char(byte);
      if (raw.size() > kMostPasted + end_size) raw.erase(kMostPasted, 1);  // the end still has to be seen
    }
    if (complete && raw.ends_with(kPasteEnd)) raw.resize(raw.size() - end_size);
    s.insert(pasted_text(raw));
    return raw.size() < kMostPasted ? CC_REFRESH : CC_REFRESH_BEEP;
  }

  static const wchar_t* show_prompt(EditLine* edit) { return of(edit).prompt.c_str(); }
};

LineEditor::LineEditor(std::FILE* in, std::FILE* out, const std::string& prompt, bool color)
    : state_(std::make_unique<State>()) {
  // All text here is UTF-8. The names are those of glibc, macOS and the BSDs.
  for (const char* name : {"C.UTF-8", "", "en_US.UTF-8", "UTF-8"})
    if (std::setlocale(LC_CTYPE, name) != nullptr && MB_CUR_MAX > 1) break;
  State& s = *state_;
  s.out = out;
  s.fd = ::fileno(in);
  s.sequences = obeys_sequences();
  s.prompt_width = prompt.size();
  s.prompt = to_wide(prompt);
  // libedit drops a sequence that ends the prompt: the last character, a space, comes after it.
  if (color && s.sequences && prompt.size() > 1)
    s.prompt = L"\1\033[1m\1" + s.prompt.substr(0, prompt.size() - 1) + L"\1\033[0m\1" + s.prompt.back();
  s.edit = el_init("godwit", in, out, stderr);
  s.history = history_winit();
  if (s.edit == nullptr || s.history == nullptr) {
    if (s.edit != nullptr) el_end(s.edit);
    if (s.history != nullptr) history_wend(s.history);
    fail(ErrorKind::kFailed, "the terminal cannot be edited on; give -p TEXT");
  }
  HistEventW event{};
  history_w(s.history, &event, H_SETSIZE, kHistoryLines);
  history_w(s.history, &event, H_SETUNIQUE, 1);
  el_wset(s.edit, EL_CLIENTDATA, static_cast<void*>(&s));
  el_wset(s.edit, EL_PROMPT_ESC, &State::show_prompt, 1);
  el_wset(s.edit, EL_EDITOR, L"emacs");
  el_wset(s.edit, EL_HIST, history_w, s.history);
  el_wset(s.edit, EL_GETCFN, &State::read_key);
  // Ctrl-C, Ctrl-Z and Ctrl-S are keys here, and pasted ones text.
  el_wset(s.edit, EL_SETTY, L"-d", L"-isig", L"-ixon", L"-icrnl", L"-inlcr", nullptr);
  const auto bind = [&](const wchar_t* key, const wchar_t* name) { el_wset(s.edit, EL_BIND, key, name, nullptr); };
  const auto add = [&](const wchar_t* name, unsigned char (*f)(EditLine*, wint_t)) {
    el_wset(s.edit, EL_ADDFN, name, L"", f);
  };
  add(L"godwit-enter", &State::on_enter);
  add(L"godwit-newline", &State::on_newline);
  add(L"godwit-interrupt", &State::on_interrupt_key);
  add(L"godwit-suspend", &State::on_suspend);
  add(L"godwit-paste", &State::on_paste);
  bind(L"\\n", L"ed-newline");
  bind(L"\\r", L"godwit-enter");
  bind(L"\033\\r", L"godwit-newline");
  bind(L"^C", L"godwit-interrupt");
  bind(L"^Z", L"godwit-suspend");
  bind(L"\033[200~", L"godwit-paste");
  bind(L"^I", L"ed-insert");
  bind(L"^R", L"em-inc-search-prev");
  bind(L"^W", L"ed-delete-prev-word");
  bind(L"\033[3~", L"ed-delete-next-char");
  bind(L"\033[H", L"ed-move-to-beg");
  bind(L"\033[F", L"ed-move-to-end");
  bind(L"\033[1~", L"ed-move-to-beg");
  bind(L"\033[4~", L"ed-move-to-end");
  bind(L"\033[1;5C", L"em-next-word");
  bind(L"\033[1;5D", L"ed-prev-word");
  struct sigaction action {};
  action.sa_handler = on_resize;
  ::sigaction(SIGWINCH, &action, nullptr);
}

LineEditor::~LineEditor() {
  el_end(state_->edit);
  history_wend(state_->history);
}

LineEditor::Line LineEditor::read() {
  State& s = *state_;
  s.was_interrupted = false;
  el_wset(s.edit, EL_PREP_TERM, 1);  // before the prompt: whoever sees it can type
  s.write("\033[?2004h");
  int n = 0;
  const wchar_t* line = el_wgets(s.edit, &n);
  s.write("\033[?2004l");
  if (line == nullptr || n <= 0) return {};
  std::wstring_view text(line, static_cast<size_t>(n));
  if (text.ends_with(L'\n')) text.remove_suffix(1);
  if (s.was_interrupted) return {.end = End::kInterrupted, .text = harmless(to_utf8(text))};
  return {.end = End::kEntered, .text = harmless(to_utf8(unquoted(text)))};
}

void LineEditor::remember(const std::string& text) {
  HistEventW event{};
  history_w(state_->history, &event, H_ENTER, to_wide(text).c_str());
}

}  // namespace godwit
