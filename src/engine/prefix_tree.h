// PrefixTree: token sequences whose state is remembered, so that a request which begins with the same tokens goes on
// from there. Radix tree over page-sized runs, as in Zheng et al. 2024 (SGLang) and Kwon et al. 2023 (vLLM), but tokens
// are compared, never hashes.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/page_store.h"
#include "ops/batch.h"

namespace godwit {

/// Prefixes are shared only between sequences of equal key: what a state depends on beside the tokens, and whose it is.
struct CacheKey {
  std::string tenant;   // the salt: sequences of different tenants never share
  int32_t adapter = 0;  // Row's adapter; 0: none
  int64_t rope = 0;     // which rotary frequencies were chosen at submission, where a model chooses by length
  auto operator<=>(const CacheKey&) const = default;
};

/// Each node is a run of up to 64 tokens that begins at a page's start, with the page of every group that holds their
/// rows (null: it was gone behind a window). Only leaves are shorter than 64, and no child's run begins with another's.
/// The tree holds its pages (Holder::kTree). Its nodes are kept in the order of their last use.
class PrefixTree {
 public:
  struct Node {
    std::vector<std::byte*> pages;  // by group
   private:
    friend class PrefixTree;
    struct Before {  // compares runs in place, without copying them to vectors
      using is_transparent = void;
      bool operator()(std::span<const TokenId> a, std::span<const TokenId> b) const;
    };
    using Children = std::map<std::vector<TokenId>, Node*, Before>;
    Children children;
    Node* parent = nullptr;        // a root, or another node; null for roots
    Children::iterator in_parent;  // holds the run
    std::list<std::unique_ptr<Node>>::iterator in_order;
  };

  explicit PrefixTree(PageStore& store) : store_(store) {}
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  /// The longest common prefix of `tokens` with what is remembered under the key.
  struct Match {
    int64_t tokens = 0;
    std::vector<const Node*> path;  // node i has the page of positions [64 i, 64 i + 64), as far as `tokens` reaches
  };
  /// Counts as a use of the nodes.
  Match find(const CacheKey& key, std::span<const TokenId> tokens);

  /// Remembers `tokens`, whose rows lie in pages[group][i]; null pages are gaps, which a later call may fill.
  void insert(const CacheKey& key, std::span<const TokenId> tokens, const std::vector<std::vector<std::byte*>>& pages);

  /// Forgets the least recently used leaf of which a page becomes free, or if there is none, the least recently used.
  /// False when nothing is remembered.
  bool forget_one();

  /// Appends all that the tree holds, by group.
  void list(std::vector<std::vector<PageStore::Held>>& held_by_group) const;

 private:
  /// The child with the longest common prefix with `run`, and its length; null when none has a token in common.
  static std::pair<Node*, int64_t> closest(Node& node, std::span<const TokenId> run);
  Node* add_child(Node& parent, std::span<const TokenId> run);
  void touch(Node* node);
  void remove(Node* leaf);
  bool frees_a_page(const Node& leaf) const;

  PageStore& store_;
  std::map<CacheKey, Node> roots_;
  std::list<std::unique_ptr<Node>> order_;  // most recent first; a node always stands before its children
};

}  // namespace godwit
