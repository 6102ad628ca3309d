// Finds the tokens that are cut out of text before it is tokenized.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "text/id_map.h"

namespace godwit {

/// A special token in a text.
struct SpecialMatch {
  uint32_t begin, end;  // bytes
  int32_t id;
};

/// A set of strings with ids, searched in time linear in the text whatever the strings are: an Aho-Corasick automaton
/// (Aho and Corasick 1975) of the strings reversed runs over the text from its end, and so knows at every place the
/// longest string that begins there.
class SpecialTokens {
 public:
  /// Empty strings are ignored; of equal strings the last counts.
  explicit SpecialTokens(const std::vector<std::pair<std::string_view, int32_t>>& tokens = {});

  /// Matches from left to right, each the longest at its place; text must be under 4 GiB.
  std::vector<SpecialMatch> find(std::string_view text) const;

 private:
  struct Node {
    uint32_t parent;
    uint32_t fail = 0;
    int32_t id = -1;      // of the longest string that ends (read backwards) here
    uint32_t length = 0;  // of that string
    uint8_t byte;
  };

  static uint64_t edge(uint32_t node, uint8_t byte) { return uint64_t{node} << 8 | byte; }
  uint32_t step(uint32_t node, uint8_t byte) const;

  std::vector<Node> nodes_;  // a child comes after its parent; [0] is the root
  IdMap edges_;
};

}  // namespace godwit
