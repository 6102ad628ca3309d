#include "text/detokenizer.h"

#include <algorithm>

#include "text/unicode.h"

namespace godwit {
namespace {

/// Appends `bytes` to `out` as valid UTF-8. Unless `last`, stops before a character that may still be completed.
/// Returns how many bytes were used.
size_t append_valid(std::string_view bytes, bool last, std::string& out) {
  size_t at = 0;
  while (at < bytes.size()) {
    const Utf8Start start = utf8_start(bytes, at);
    if (start.complete) {
      out += bytes.substr(at, start.length);
    } else if (start.length > 0 && at + start.length == bytes.size() && !last) {
      break;
    } else {
      out += "\uFFFD";
    }
    at += std::max<size_t>(1, start.length);
  }
  return at;
}

}  // namespace

std::string Detokenizer::push(int32_t id) {
  if (tokenizer_->is_special(id) && !show_special_) return {};
  held_ += tokenizer_->next_text(id, state_);
  std::string text;
  held_.erase(0, append_valid(held_, false, text));
  return text;
}

std::string Detokenizer::flush() {
  std::string text = replace_invalid_utf8(held_);
  held_.clear();
  return text;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  append_valid(bytes, true, text);
  return text;
}

}  // namespace godwit
