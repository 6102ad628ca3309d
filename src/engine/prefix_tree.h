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
/// rows (null: it was gone behind a window), and snapshots of the record after some of them. Only leaves are shorter
/// than 64, and no child's run begins with another's. The tree holds its pages and records (Holder::kTree). Nodes and
/// snapshots are kept in the order of their last use, each apart: a snapshot that a longer one made needless sinks.
class PrefixTree {
 public:
  struct Node;
  /// A record as it was after some tokens; within a chunk of kEdgeTokens the longest serves for all.
  struct Snapshot {
    std::byte* record;
    int64_t now_at;  // as SequenceState's
   private:
    friend class PrefixTree;
    Node* node = nullptr;
    int64_t length = 0;  // tokens of the node's run
    uint64_t used = 0;
  };
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
    std::vector<std::list<Snapshot>::iterator> snapshots;
    uint64_t used = 0;
  };

  /// The store's groups [0, n_groups) are of pages; group n_groups, where there is one, is of records.
  PrefixTree(PageStore& store, size_t n_groups) : store_(store), n_groups_(n_groups) {}
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  /// From this record any of the positions [first, last] can be had. The tokens before `last` are those of the match.
  struct Reach {
    int64_t first, last;
    const Snapshot* snapshot;
  };
  /// The longest common prefix of `tokens` with what is remembered under the key.
  struct Match {
    int64_t tokens = 0;
    std::vector<const Node*> path;  // node i has the page of positions [64 i, 64 i + 64), as far as `tokens` reaches
    std::vector<Reach> reaches;
  };
  /// Counts as a use of the nodes, not of the snapshots.
  Match find(const CacheKey& key, std::span<const TokenId> tokens);
  void use(const Snapshot& snapshot);

  /// Remembers `tokens`, whose rows lie in pages[group][i]; null pages are gaps, which a later call may fill. `record`,
  /// unless null, is the record after them, and replaces shorter ones of the same chunk. May throw std::bad_alloc; then
  /// only the first pages may be remembered.
  void insert(const CacheKey& key, std::span<const TokenId> tokens, const std::vector<std::vector<std::byte*>>& pages,
              std::byte* record, int64_t now_at);

  /// Forgets what was used least recently: a snapshot, or a leaf of which a page becomes free, or if there is none, any
  /// leaf. False when nothing is remembered that was last used before `before`, a value of now().
  bool forget_one(uint64_t before = UINT64_MAX);
  /// Grows with every find and insert.
  uint64_t now() const { return now_; }

  /// Appends all that the tree holds, by group.
  void list(std::vector<std::vector<PageStore::Held>>& held_by_group) const;

 private:
  /// The child with the longest common prefix with `run`, and its length; null when none has a token in common.
  static std::pair<Node*, int64_t> closest(Node& node, std::span<const TokenId> run);
  Node* add_child(Node& parent, std::span<const TokenId> run);
  /// Goes down from a root along the tokens, with nodes where there are none yet; `node` is as far as it came.
  void add_path(Node*& node, std::span<const TokenId> tokens, const std::vector<std::vector<std::byte*>>& pages);
  void touch(Node* node);
  void add_reaches(const Node& node, std::span<const TokenId> run, int64_t first, std::vector<Reach>& reaches) const;
  void add_snapshot(Node& node, int64_t length, std::byte* record, int64_t now_at);
  void drop(std::list<Snapshot>::iterator snapshot);
  /// Whether it has no reason to be there.
  static bool useless(const Node& node);
  void erase(Node* leaf);
  /// Removes the node if it is useless, then its parent if that is, and so on to the root.
  void prune(Node* node);
  /// Removes a leaf, and what is useless without it.
  void remove(Node* leaf);
  bool frees_a_page(const Node& leaf) const;

  PageStore& store_;
  size_t n_groups_;
  uint64_t now_ = 0;
  std::map<CacheKey, Node> roots_;
  std::list<std::unique_ptr<Node>> order_;  // most recent first; a node always stands before its children
  std::list<Snapshot> snapshots_;           // most recent first
};

}  // namespace godwit
