#include "text/byte_trie.h"

#include <algorithm>

namespace godwit {

ByteTrie::ByteTrie(const std::vector<std::pair<std::string_view, int32_t>>& strings) : nodes_(1) {
  std::vector<uint32_t> order;
  for (size_t i = 0; i < strings.size(); ++i) {
    if (!strings[i].first.empty()) order.push_back(static_cast<uint32_t>(i));
  }
  const auto text = [&](uint32_t i) { return strings[order[i]].first; };
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return strings[a].first < strings[b].first; });

  // A node stands for the strings [begin, end) of `order`, which agree in their first `depth` bytes.
  struct Span {
    uint32_t node, begin, end;
  };
  std::vector<Span> level{{kRoot, 0, static_cast<uint32_t>(order.size())}};
  for (size_t depth = 0; !level.empty(); ++depth) {
    std::vector<Span> next;
    for (const Span& span : level) {
      uint32_t i = span.begin;
      while (i < span.end && text(i).size() == depth) nodes_[span.node].value = strings[order[i++]].second;
      nodes_[span.node].first_child = static_cast<uint32_t>(nodes_.size());
      while (i < span.end) {
        const uint8_t byte = static_cast<uint8_t>(text(i)[depth]);
        const uint32_t begin = i;
        while (i < span.end && static_cast<uint8_t>(text(i)[depth]) == byte) ++i;
        next.push_back({static_cast<uint32_t>(nodes_.size()), begin, i});
        nodes_.push_back({.byte = byte});
        ++nodes_[span.node].n_children;
      }
    }
    level = std::move(next);
  }
  first_bytes_.fill(kNone);
  for (uint32_t child = 0; child < nodes_[kRoot].n_children; ++child) {
    const uint32_t node = nodes_[kRoot].first_child + child;
    first_bytes_[nodes_[node].byte] = node;
  }
}

}  // namespace godwit
