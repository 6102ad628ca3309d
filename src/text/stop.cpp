#include "text/stop.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace godwit {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  if (stops_.size() > kMaxStops) {
    fail(ErrorKind::kUsage, "stop: expected at most {} strings, got {}", kMaxStops, stops_.size());
  }
  for (const std::string& stop : stops_) {
    if (stop.empty()) fail(ErrorKind::kUsage, "stop: expected a string of at least one byte, got an empty one");
    if (stop.size() > kMaxStopBytes) {
      fail(ErrorKind::kUsage, "stop: {}: expected at most {} bytes, got {}", quoted(stop, 40), kMaxStopBytes,
           stop.size());
    }
  }
}

std::string StopMatcher::push(std::string_view text) {
  if (stopped_) return {};
  const size_t before = held_.size();
  held_ += text;
  for (size_t end = before + 1; end <= held_.size(); ++end) {
    const std::string_view so_far = std::string_view(held_).substr(0, end);
    for (size_t i = 0; i < stops_.size(); ++i) {
      if (!so_far.ends_with(stops_[i])) continue;
      if (which_ < 0 || stops_[i].size() > stops_[static_cast<size_t>(which_)].size()) which_ = static_cast<int>(i);
    }
    if (which_ >= 0) {
      stopped_ = true;
      std::string out = held_.substr(0, end - stops_[static_cast<size_t>(which_)].size());
      held_.clear();
      return out;
    }
  }
  size_t keep = 0;  // the longest end of the text that begins a stop string
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) keep = n;
    }
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string StopMatcher::flush() {
  std::string out;
  out.swap(held_);
  return out;
}

}  // namespace godwit
