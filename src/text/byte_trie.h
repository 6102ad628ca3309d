// A prefix tree of byte strings: which tokens begin at a place in the text.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace godwit {

/// Nodes in breadth-first order, so that the children of a node lie side by side, sorted by byte.
class ByteTrie {
 public:
  static constexpr uint32_t kRoot = 0;
  static constexpr uint32_t kNone = 0;  // no edge leads to the root

  /// Strings with their values (at least 0). Empty strings are ignored; of equal strings the last counts. The strings
  /// are not needed afterwards.
  explicit ByteTrie(const std::vector<std::pair<std::string_view, int32_t>>& strings = {});

  /// The node that a byte leads to, kNone when there is none.
  uint32_t step(uint32_t node, uint8_t byte) const {
    if (node == kRoot) return first_bytes_[byte];
    const Node& n = nodes_[node];
    uint32_t low = n.first_child, high = n.first_child + n.n_children;
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (nodes_[middle].byte < byte) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < n.first_child + n.n_children && nodes_[low].byte == byte ? low : kNone;
  }

  /// The value of the string that ends at a node; -1 when none does.
  int32_t value(uint32_t node) const { return nodes_[node].value; }

  /// The longest string that `text` begins with.
  struct Match {
    int32_t value = -1;
    size_t length = 0;
  };
  Match longest(std::string_view text) const {
    Match found;
    uint32_t node = kRoot;
    for (size_t i = 0; i < text.size(); ++i) {
      node = step(node, static_cast<uint8_t>(text[i]));
      if (node == kNone) break;
      if (value(node) >= 0) found = {value(node), i + 1};
    }
    return found;
  }

  bool empty() const { return nodes_.size() == 1; }

 private:
  struct Node {
    uint32_t first_child = 0;
    int32_t value = -1;
    uint16_t n_children = 0;
    uint8_t byte = 0;
  };

  std::vector<Node> nodes_;
  std::array<uint32_t, 256> first_bytes_;
};

}  // namespace godwit
