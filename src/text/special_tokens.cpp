#include "text/special_tokens.h"

#include <limits>
#include <utility>

#include "base/error.h"

namespace godwit {

bool reads_as_marker(std::string_view text) {
  const auto framed = [&](std::string_view open, std::string_view close) {
    return text.size() > open.size() + close.size() && text.starts_with(open) && text.ends_with(close);
  };
  return framed("<|", "|>") || framed("<\uFF5C", "\uFF5C>");
}

SpecialTokens::SpecialTokens(const std::vector<SpecialToken>& tokens) {
  nodes_.push_back(Node{.parent = 0, .byte = 0});
  uint32_t longest = 0;
  for (const auto& [text, id, control] : tokens) {
    if (text.empty()) continue;
    uint32_t node = 0;
    for (size_t i = text.size(); i > 0; --i) {
      const uint8_t byte = static_cast<uint8_t>(text[i - 1]);
      uint32_t next = edges_.find(edge(node, byte));
      if (next == IdMap::kNone) {
        next = static_cast<uint32_t>(nodes_.size());
        edges_.insert(edge(node, byte), next);
        nodes_.push_back(Node{.parent = node, .byte = byte});
      }
      node = next;
    }
    nodes_[node].id = id;
    nodes_[node].length = static_cast<uint32_t>(text.size());
    nodes_[node].control = control;
    longest = std::max(longest, nodes_[node].length);
  }
  // Failure links need the order of depth: nodes by depth, counted, then one pass.
  std::vector<uint32_t> depth(nodes_.size(), 0);
  std::vector<uint32_t> first(longest + 2, 0);
  for (size_t n = 1; n < nodes_.size(); ++n) ++first[(depth[n] = depth[nodes_[n].parent] + 1)];
  for (size_t d = 1, sum = 0; d < first.size(); ++d) sum += std::exchange(first[d], static_cast<uint32_t>(sum));
  std::vector<uint32_t> order(nodes_.size() - 1);
  for (uint32_t n = 1; n < nodes_.size(); ++n) order[first[depth[n]]++] = n;
  for (const uint32_t n : order) {
    Node& node = nodes_[n];
    if (node.parent != 0) node.fail = step(nodes_[node.parent].fail, node.byte);
    const Node& next = nodes_[node.fail];
    node.shorter = next.id >= 0 ? node.fail : next.shorter;
    node.user = node.id >= 0 && !node.control ? n : next.user;
  }
}

uint32_t SpecialTokens::step(uint32_t node, uint8_t byte) const {
  while (true) {
    const uint32_t next = edges_.find(edge(node, byte));
    if (next != IdMap::kNone) return next;
    if (node == 0) return 0;
    node = nodes_[node].fail;
  }
}

/// The node whose own string is the longest that may begin here: a control token needs `room` bytes. 0: none.
uint32_t SpecialTokens::longest(uint32_t node, size_t room) const {
  if (nodes_[node].id < 0) node = nodes_[node].shorter;
  if (room == 0) return nodes_[node].user;
  while (node != 0 && nodes_[node].control && nodes_[node].length > room) node = nodes_[node].shorter;
  return node;
}

std::vector<SpecialMatch> SpecialTokens::find(std::string_view text, bool control,
                                              std::span<const TextRange> plain) const {
  CHECK(text.size() < std::numeric_limits<uint32_t>::max(), "special tokens: {} bytes of text", text.size());
  std::vector<SpecialMatch> found;
  if (empty()) return found;
  // Read backwards, so `found` rises towards the front: the longest match at each place that has one.
  uint32_t node = 0;
  size_t range = plain.size();    // ranges from this one on begin behind the place
  size_t free_end = text.size();  // where the next of them begins
  for (size_t i = text.size(); i > 0; --i) {
    const size_t begin = i - 1;
    for (; range > 0 && plain[range - 1].end > begin; --range) {
      const TextRange& r = plain[range - 1];
      CHECK(r.begin <= r.end && (range < 2 || plain[range - 2].end <= r.begin), "special tokens: ranges out of order");
      if (r.begin < r.end) free_end = r.begin;
    }
    node = step(node, static_cast<uint8_t>(text[begin]));
    const uint32_t match = longest(node, control && begin < free_end ? free_end - begin : 0);
    if (match == 0) continue;
    found.push_back(
        {static_cast<uint32_t>(begin), static_cast<uint32_t>(begin) + nodes_[match].length, nodes_[match].id});
  }
  std::vector<SpecialMatch> kept;
  uint32_t at = 0;
  for (size_t i = found.size(); i > 0; --i) {
    if (found[i - 1].begin < at) continue;
    kept.push_back(found[i - 1]);
    at = kept.back().end;
  }
  return kept;
}

}  // namespace godwit
