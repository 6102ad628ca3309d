// Stop strings in text that comes in parts.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace godwit {

inline constexpr size_t kMaxStops = 16;
inline constexpr size_t kMaxStopBytes = 256;

/// Looks for the stop string that is complete first; of those that end together, the one that begins first. What might
/// still become a stop string is held back. All texts in a row, and whether it stopped, do not depend on how the text
/// was cut into parts.
class StopMatcher {
 public:
  /// Throws Error (kUsage): more than kMaxStops, an empty string, one over kMaxStopBytes.
  explicit StopMatcher(std::vector<std::string> stops);

  /// The text that can no longer belong to a stop string; after one was found, what came before it, then nothing.
  std::string push(std::string_view text);

  /// The text held back, when no more comes; nothing after a stop.
  std::string flush();

  bool stopped() const { return stopped_; }
  /// Which of the stops was found; -1 for none.
  int which() const { return which_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;  // shorter than the longest stop between calls
  bool stopped_ = false;
  int which_ = -1;
};

}  // namespace godwit
