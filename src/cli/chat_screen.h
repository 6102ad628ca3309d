// An answer on a terminal: nothing that the terminal would obey, and what the model thinks before it answers dim.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace godwit {

/// What dims and undims text on a terminal.
inline constexpr const char* kDim = "\033[2m";
inline constexpr const char* kUndim = "\033[0m";

/// Whether what goes to this terminal may be dim: neither --no-color nor NO_COLOR says otherwise. False for what is no
/// terminal.
bool may_style(int fd, bool no_color);

/// Whether a prompt ends within the model's thoughts: its last line is "<think>".
bool ends_thinking(std::string_view prompt);

/// Turns the texts of one answer into what to print. Thoughts are what stands between <think> and </think> where the
/// answer begins with it, or up to </think> where the prompt ended within them.
class AnswerScreen {
 public:
  AnswerScreen(bool styled, bool thinking) : styled_(styled), state_(thinking ? State::kThinks : State::kBegins) {}

  std::string push(std::string_view text);
  /// What was held back, and the end of what is dim.
  std::string finish();

 private:
  enum class State { kBegins, kThinks, kAnswers };
  std::string styled(std::string_view text, bool dim);
  std::string up_to(std::string_view tag, bool dim, State then);

  bool styled_, is_dim_ = false;
  State state_;
  std::string held_;
};

/// "12,345".
std::string grouped(int64_t number);

}  // namespace godwit
