#include "cli/chat_screen.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "cli/line_editor.h"

namespace godwit {
namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>", kSpace = " \t\r\n";

/// Bytes at the end of `text` that may begin `tag`.
size_t begun(std::string_view text, std::string_view tag) {
  for (size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n)
    if (tag.starts_with(text.substr(text.size() - n))) return n;
  return 0;
}

}  // namespace

bool may_style(int fd, bool no_color) {
  const char* wish = std::getenv("NO_COLOR");  // no-color.org
  return !no_color && (wish == nullptr || *wish == '\0') && ::isatty(fd) != 0;
}

bool ends_thinking(std::string_view prompt) {
  const size_t last = prompt.find_last_not_of(kSpace);
  return last != std::string_view::npos && prompt.substr(0, last + 1).ends_with(kThink);
}

std::string AnswerScreen::styled(std::string_view text, bool dim) {
  if (text.empty()) return "";
  std::string out;
  if (styled_ && dim != is_dim_) out = dim ? kDim : kUndim;
  is_dim_ = dim;
  return out + harmless(text);
}

/// What is held up to the end of the tag, if that has come; else what cannot be part of it.
std::string AnswerScreen::up_to(std::string_view tag, bool dim, State then) {
  const size_t at = held_.find(tag);
  const size_t size = at == std::string::npos ? held_.size() - begun(held_, tag) : at + tag.size();
  if (at != std::string::npos) state_ = then;
  std::string out = styled(std::string_view(held_).substr(0, size), dim);
  held_.erase(0, size);
  return out;
}

std::string AnswerScreen::push(std::string_view text) {
  held_ += text;
  std::string out;
  if (state_ == State::kBegins) {
    const size_t first = held_.find_first_not_of(kSpace);
    const std::string_view word = first == std::string::npos ? "" : std::string_view(held_).substr(first);
    if (word.starts_with(kThink)) {
      state_ = State::kThinks;
    } else if (!kThink.starts_with(word)) {
      state_ = State::kAnswers;
    } else {
      return "";
    }
  }
  if (state_ == State::kThinks) out = up_to(kThinkEnd, true, State::kAnswers);
  if (state_ == State::kAnswers) out += styled(std::exchange(held_, ""), false);
  return out;
}

std::string AnswerScreen::finish() {
  std::string out = styled(std::exchange(held_, ""), state_ == State::kThinks);
  if (styled_ && is_dim_) out += kUndim;
  is_dim_ = false;
  return out;
}

std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (size_t i = digits.size(); i > 3 && digits[i - 4] != '-';) digits.insert(i -= 3, ",");
  return digits;
}

}  // namespace godwit
