// The notation of Godwit's own architecture: which mixer and which feed-forward network each layer has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace godwit {

/// One layer; an empty name is "none", at most one of the two.
struct LayerParts {
  std::string mixer, feed_forward;
  bool operator==(const LayerParts&) const = default;
};

/// The words that a pattern may use besides "none".
struct PatternWords {
  std::vector<std::string> mixers, feed_forwards;
};

inline constexpr int64_t kMostLayers = 1024;
inline constexpr int kMostPatternDepth = 32;  // of parentheses

/// The layers that `text` stands for, in order (docs/godwit-patterns.md):
///   pattern = item {"," item};  item = [number "*"] ("(" pattern ")" | layer)
///   layer = mixer ["+" feed-forward] | feed-forward
/// where a repeated layer of two parts stands in parentheses. Takes time linear in the text, and memory for no more
/// than kMostLayers layers. Throws Error (kInvalid): "<where>: <the text, or what is near>: at <byte, from 1>: <what is
/// wrong>".
std::vector<LayerParts> parse_pattern(std::string_view text, const PatternWords& words, const std::string& where);

}  // namespace godwit
