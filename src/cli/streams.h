// stdin, stdout and stderr: what can be lost on them, and what that means.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace godwit {

/// Opens /dev/null where stdin, stdout or stderr is closed, so that no file of ours gets their number. For reading
/// only: what is written there is lost, and that is noticed.
void open_standard_streams();

/// Writes to stderr. What cannot be written is lost: talk changes no exit code.
void say_text(const std::string& text) noexcept;
/// The formatted text to stderr, as say_text.
template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  say_text(fmt::format(format, std::forward<Args>(args)...));
}

/// A message as one line of UTF-8: what would leave the line becomes an escape, what goes beyond max_bytes "...".
std::string one_line(const std::string& message, size_t max_bytes);
/// One line on stderr, whatever the message holds: "godwit: MESSAGE", at most 512 bytes of UTF-8.
void complain(const std::string& message);

/// stdout's reader has gone (EPIPE): the command ends without a word.
struct ReaderGone {};
/// Hands on what was printed. Throws Error (kFailed) when any of it was lost since the start, ReaderGone as said.
void flush_output();

/// All bytes of a text: a file, a pipe, a terminal; "-" is stdin. Throws Error: kInvalid when it cannot be read or has
/// over max_bytes. Throws Interrupted at Ctrl-C.
std::string read_input(const std::string& path, uint64_t max_bytes);

}  // namespace godwit
