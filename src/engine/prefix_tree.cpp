#include "engine/prefix_tree.h"

#include <algorithm>
#include <new>

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
  for (; node->parent != nullptr; node = node->parent) {
    node->used = now_;
    order_.splice(order_.begin(), order_, node->in_order);
  }
}

// Of all children, for the one on the path need not be the one that has the record: several may begin alike.
void PrefixTree::add_reaches(const Node& node, std::span<const TokenId> run, int64_t first,
                             std::vector<Reach>& reaches) const {
  for (const auto& [tokens, child] : node.children) {
    if (child->snapshots.empty()) continue;
    const int64_t n = common(tokens, run);
    for (const auto& snapshot : child->snapshots)
      if (n >= last_edge(snapshot->length))
        reaches.push_back({first + last_edge(snapshot->length), first + std::min(n, snapshot->length), &*snapshot});
  }
}

void PrefixTree::use(const Snapshot& snapshot) {
  for (const auto& it : snapshot.node->snapshots) {
    if (&*it != &snapshot) continue;
    it->used = now_;
    snapshots_.splice(snapshots_.begin(), snapshots_, it);
  }
  touch(snapshot.node);
}

PrefixTree::Match PrefixTree::find(const CacheKey& key, std::span<const TokenId> tokens) {
  ++now_;
  Match match;
  const auto root = roots_.find(key);
  if (root == roots_.end()) return match;
  Node* node = &root->second;
  while (true) {
    const auto run = tokens.first(std::min<size_t>(tokens.size(), kPageTokens));
    if (!snapshots_.empty()) add_reaches(*node, run, match.tokens, match.reaches);
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
  std::list<std::unique_ptr<Node>> owned;  // moved to the order when nothing can fail any more
  owned.push_back(std::make_unique<Node>());
  Node* node = owned.back().get();
  node->pages.resize(n_groups_);
  node->parent = &parent;
  node->in_parent = parent.children.emplace(std::vector<TokenId>(run.begin(), run.end()), node).first;
  node->in_order = owned.begin();
  order_.splice(order_.end(), owned);
  return node;
}

void PrefixTree::add_snapshot(Node& node, int64_t length, std::byte* record, int64_t now_at) {
  std::list<Snapshot> added(1);
  node.snapshots.reserve(node.snapshots.size() + 1);
  // From here on nothing can fail.
  std::erase_if(node.snapshots, [&](const auto& other) {
    if (other->length > length || other->length < last_edge(length)) return false;
    store_.drop(n_groups_, other->record, Holder::kTree);
    snapshots_.erase(other);
    return true;
  });
  store_.hold(n_groups_, record, Holder::kTree);
  Snapshot& snapshot = added.front();
  snapshot.record = record;
  snapshot.now_at = now_at;
  snapshot.node = &node;
  snapshot.length = length;
  snapshot.used = now_;
  node.snapshots.push_back(added.begin());
  snapshots_.splice(snapshots_.begin(), added);
}

void PrefixTree::insert(const CacheKey& key, std::span<const TokenId> tokens,
                        const std::vector<std::vector<std::byte*>>& pages, std::byte* record, int64_t now_at) {
  ++now_;
  // A leaf without any page or record would only take up room.
  while (record == nullptr && !tokens.empty()) {
    const size_t last = (tokens.size() - 1) / kPageTokens;
    if (std::any_of(pages.begin(), pages.end(), [&](const auto& group) { return group[last] != nullptr; })) break;
    tokens = tokens.first(last * kPageTokens);
  }
  if (tokens.empty()) return;
  Node* node = &roots_[key];
  try {
    add_path(node, tokens, pages);
    if (record != nullptr)
      add_snapshot(*node, static_cast<int64_t>((tokens.size() - 1) % kPageTokens) + 1, record, now_at);
  } catch (const std::bad_alloc&) {
    prune(node);  // the part that is there is right, but its end may hold nothing
    throw;
  }
  touch(node);
}

void PrefixTree::add_path(Node*& node, std::span<const TokenId> tokens,
                          const std::vector<std::vector<std::byte*>>& pages) {
  for (size_t i = 0; i * kPageTokens < tokens.size(); ++i) {
    const auto run =
        tokens.subspan(i * kPageTokens).first(std::min<size_t>(tokens.size() - i * kPageTokens, kPageTokens));
    const auto [near, n] = closest(*node, run);
    Node* child = near;
    const bool known = near != nullptr && n == static_cast<int64_t>(run.size());
    if (!known) {
      child = add_child(*node, run);
      // A leaf whose run this one continues says nothing more but for its snapshots.
      if (near != nullptr && n == static_cast<int64_t>(near->in_parent->first.size())) {
        std::swap(child->snapshots, near->snapshots);
        for (const auto& snapshot : child->snapshots) snapshot->node = child;
        remove(near);
      }
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
}

void PrefixTree::drop(std::list<Snapshot>::iterator snapshot) {
  Node* node = snapshot->node;
  store_.drop(n_groups_, snapshot->record, Holder::kTree);
  std::erase(node->snapshots, snapshot);
  snapshots_.erase(snapshot);
  prune(node);
}

bool PrefixTree::useless(const Node& node) {
  return node.children.empty() && node.snapshots.empty() &&
         std::all_of(node.pages.begin(), node.pages.end(), [](std::byte* page) { return page == nullptr; });
}

void PrefixTree::erase(Node* leaf) {
  CHECK(leaf->children.empty(), "a node with {} children is not a leaf", leaf->children.size());
  for (size_t g = 0; g < leaf->pages.size(); ++g) {
    if (leaf->pages[g] != nullptr) store_.drop(g, leaf->pages[g], Holder::kTree);
  }
  for (const auto& snapshot : leaf->snapshots) {
    store_.drop(n_groups_, snapshot->record, Holder::kTree);
    snapshots_.erase(snapshot);
  }
  leaf->parent->children.erase(leaf->in_parent);
  order_.erase(leaf->in_order);
}

void PrefixTree::prune(Node* node) {
  while (node->parent != nullptr && useless(*node)) {
    Node* parent = node->parent;
    erase(node);
    node = parent;
  }
  if (node->parent == nullptr && node->children.empty())
    std::erase_if(roots_, [&](const auto& root) { return &root.second == node; });
}

void PrefixTree::remove(Node* leaf) {
  Node* parent = leaf->parent;
  erase(leaf);
  prune(parent);
}

bool PrefixTree::frees_a_page(const Node& leaf) const {
  for (size_t g = 0; g < leaf.pages.size(); ++g) {
    const std::byte* page = leaf.pages[g];
    if (page != nullptr && store_.holds(g, page, Holder::kSequence) == 0 && store_.holds(g, page, Holder::kTree) == 1)
      return true;
  }
  return false;
}

bool PrefixTree::forget_one(uint64_t before) {
  Node* victim = nullptr;
  for (auto node = order_.rbegin(); node != order_.rend() && victim == nullptr; ++node)
    if ((*node)->children.empty() && frees_a_page(**node)) victim = node->get();
  if (!snapshots_.empty() && (victim == nullptr || snapshots_.back().used < victim->used)) {
    if (snapshots_.back().used >= before) return false;
    drop(std::prev(snapshots_.end()));
    return true;
  }
  if (victim == nullptr && !order_.empty()) victim = order_.back().get();
  if (victim == nullptr || victim->used >= before) return false;
  remove(victim);
  return true;
}

void PrefixTree::list(std::vector<std::vector<PageStore::Held>>& held_by_group) const {
  for (const auto& node : order_) {
    for (size_t g = 0; g < node->pages.size(); ++g) {
      if (node->pages[g] != nullptr) held_by_group[g].push_back({node->pages[g], Holder::kTree});
    }
  }
  for (const Snapshot& snapshot : snapshots_) held_by_group[n_groups_].push_back({snapshot.record, Holder::kTree});
}

}  // namespace godwit
