#include "engine/prefix_tree.h"

#include <algorithm>

#include "base/error.h"

namespace godwit {
namespace {

int64_t common(std::span<const TokenId> a, std::span<const TokenId> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

}  // namespace

bool PrefixTree::Node::Before::operator()(std::span<const TokenId> a, std::span<const TokenId> b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

PrefixTree::~PrefixTree() {
  while (!order_.empty()) remove(order_.back().get());
}

std::pair<PrefixTree::Node*, int64_t> PrefixTree::closest(Node& node, std::span<const TokenId> run) {
  // In the order of runs, the longest common prefix is had with a neighbour.
  std::pair<Node*, int64_t> best{nullptr, 0};
  const auto after = node.children.lower_bound(run);
  const auto consider = [&](Node::Children::iterator child) {
    const int64_t n = common(child->first, run);
    if (n > best.second) best = {child->second, n};
  };
  if (after != node.children.end()) consider(after);
  if (after != node.children.begin()) consider(std::prev(after));
  return best;
}

void PrefixTree::touch(Node* node) {
  // From the leaf up, so that parents come to stand before their children.
  for (; node->parent != nullptr; node = node->parent) order_.splice(order_.begin(), order_, node->in_order);
}

PrefixTree::Match PrefixTree::find(const CacheKey& key, std::span<const TokenId> tokens) {
  Match match;
  const auto root = roots_.find(key);
  if (root == roots_.end()) return match;
  Node* node = &root->second;
  while (!tokens.empty()) {
    const auto run = tokens.first(std::min<size_t>(tokens.size(), kPageTokens));
    const auto [child, n] = closest(*node, run);
    if (child == nullptr) break;
    match.path.push_back(child);
    match.tokens += n;
    node = child;
    if (n < kPageTokens) break;
    tokens = tokens.subspan(kPageTokens);
  }
  touch(node);
  return match;
}

PrefixTree::Node* PrefixTree::add_child(Node& parent, std::span<const TokenId> run) {
  auto owned = std::make_unique<Node>();
  Node* node = owned.get();
  node->pages.resize(store_.n_groups());
  node->parent = &parent;
  node->in_parent = parent.children.emplace(std::vector<TokenId>(run.begin(), run.end()), node).first;
  node->in_order = order_.insert(order_.end(), std::move(owned));
  return node;
}

void PrefixTree::insert(const CacheKey& key, std::span<const TokenId> tokens,
                        const std::vector<std::vector<std::byte*>>& pages) {
  // A leaf without any page would only take up room.
  while (!tokens.empty()) {
    const size_t last = (tokens.size() - 1) / kPageTokens;
    if (std::any_of(pages.begin(), pages.end(), [&](const auto& group) { return group[last] != nullptr; })) break;
    tokens = tokens.first(last * kPageTokens);
  }
  if (tokens.empty()) return;
  Node* node = &roots_[key];
  for (size_t i = 0; i * kPageTokens < tokens.size(); ++i) {
    const auto run =
        tokens.subspan(i * kPageTokens).first(std::min<size_t>(tokens.size() - i * kPageTokens, kPageTokens));
    const auto [near, n] = closest(*node, run);
    Node* child = near;
    const bool known = near != nullptr && n == static_cast<int64_t>(run.size());
    if (!known) {
      child = add_child(*node, run);
      // A leaf whose run this one continues says nothing more.
      if (near != nullptr && n == static_cast<int64_t>(near->in_parent->first.size())) remove(near);
    }
    // The page of a longer run holds rows that this sequence may not have, so only equal runs fill each other's gaps.
    if (child->in_parent->first.size() == run.size()) {
      for (size_t g = 0; g < pages.size(); ++g) {
        if (child->pages[g] != nullptr || pages[g][i] == nullptr) continue;
        store_.hold(g, pages[g][i], Holder::kTree);
        child->pages[g] = pages[g][i];
      }
    }
    node = child;
  }
  touch(node);
}

void PrefixTree::remove(Node* leaf) {
  while (true) {
    CHECK(leaf->children.empty(), "a node with {} children is not a leaf", leaf->children.size());
    for (size_t g = 0; g < leaf->pages.size(); ++g) {
      if (leaf->pages[g] != nullptr) store_.drop(g, leaf->pages[g], Holder::kTree);
    }
    Node* parent = leaf->parent;
    parent->children.erase(leaf->in_parent);
    order_.erase(leaf->in_order);
    if (!parent->children.empty()) return;
    if (parent->parent == nullptr) {
      std::erase_if(roots_, [&](const auto& root) { return &root.second == parent; });
      return;
    }
    // The same holds for a parent that is a leaf now.
    if (std::any_of(parent->pages.begin(), parent->pages.end(), [](std::byte* page) { return page != nullptr; }))
      return;
    leaf = parent;
  }
}

bool PrefixTree::frees_a_page(const Node& leaf) const {
  for (size_t g = 0; g < leaf.pages.size(); ++g) {
    const std::byte* page = leaf.pages[g];
    if (page != nullptr && store_.holds(g, page, Holder::kSequence) == 0 && store_.holds(g, page, Holder::kTree) == 1)
      return true;
  }
  return false;
}

bool PrefixTree::forget_one() {
  if (order_.empty()) return false;
  Node* victim = order_.back().get();
  for (auto node = order_.rbegin(); node != order_.rend(); ++node) {
    if (!(*node)->children.empty() || !frees_a_page(**node)) continue;
    victim = node->get();
    break;
  }
  remove(victim);
  return true;
}

void PrefixTree::list(std::vector<std::vector<PageStore::Held>>& held_by_group) const {
  for (const auto& node : order_) {
    for (size_t g = 0; g < node->pages.size(); ++g) {
      if (node->pages[g] != nullptr) held_by_group[g].push_back({node->pages[g], Holder::kTree});
    }
  }
}

}  // namespace godwit
