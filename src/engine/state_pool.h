// StatePool: the memory of all sequences. It gives them pages, takes them back behind windows, shares them between
// sequences with a common prefix, and remembers prefixes for requests to come as long as nobody needs the room.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/page_store.h"
#include "engine/prefix_tree.h"
#include "ops/state.h"

namespace godwit {

/// One engine's pool; for its thread only. A SequenceState starts empty, as `SequenceState{}`, and must be released
/// before it goes away. After a step the caller adds the step's tokens to `absorbed`; everything else is changed here
/// only.
///
/// A page with free rows is written by one sequence alone: fork and resume copy such a page, and reserve does so when
/// the page is still remembered, or shared since a rewind. A state is written in [absorbed, absorbed + tokens) of the
/// last reserve, nowhere else.
class StatePool {
 public:
  /// `chunk`: most tokens that a step absorbs of one sequence. The budget is a hard limit of all pages together; memory
  /// is taken when pages are first used. Throws Error (kMemory) when the system refuses the address space.
  StatePool(const StateLayout& layout, int64_t budget_bytes, int64_t chunk);

  /// Most bytes that a sequence of up to `tokens` tokens takes, when reserve is called for at most `chunk` at a time.
  static int64_t bytes_for(const StateLayout& layout, int64_t tokens, int64_t chunk);

  /// Makes room for positions [absorbed, absorbed + tokens) in every group, at the cost of remembered prefixes where
  /// need be. Behind a window it lets pages go: what remains when the tokens are absorbed is window + max(chunk, 256)
  /// rows, in whole pages, and during the step always the window. False: full; then nothing has changed.
  bool reserve(SequenceState& state, int64_t tokens);

  /// Takes back absorbed tokens, so that at most `to` remain, and what was reserved beyond. Returns how many remain:
  /// `to`, unless a window needs rows that are gone, then 0. Within max(chunk, 256) tokens of the most that was
  /// reserved for it is always `to`. From 0, what is remembered of the sequence's tokens can be had from resume.
  int64_t rewind(SequenceState& state, int64_t to);

  /// A second sequence with the same past: shares full pages, copies one that is partly filled. nullopt: full.
  std::optional<SequenceState> fork(const SequenceState& state);

  /// A state that has absorbed the longest remembered prefix of `tokens` from which every part can go on: behind it
  /// each window is there whole. Never all of `tokens`: at least the last is left to compute, as its logits are wanted.
  /// A page that matches in part is copied, unless there is no room. Empty when nothing is found. The caller sets
  /// rope_length.
  SequenceState resume(std::span<const TokenId> tokens, const CacheKey& key);

  /// Remembers the state after `tokens`, the first of those that it absorbed (all of them, or fewer). Shares its pages
  /// and takes no further memory from the budget.
  void remember(const SequenceState& state, std::span<const TokenId> tokens, const CacheKey& key);

  /// Gives everything back. The state is empty then and may be used again.
  void release(SequenceState& state);

  /// free + used (held by sequences) + cached (only remembered) = total.
  int64_t total_bytes() const { return store_.total_bytes(); }
  int64_t used_bytes() const { return store_.used_bytes(); }
  int64_t cached_bytes() const { return store_.cached_bytes(); }
  int64_t free_bytes() const { return store_.free_bytes(); }
  int64_t resident_bytes() const { return store_.resident_bytes(); }

  /// Throws Bug unless the books agree with the given states, which must be all that live.
  void check(std::span<const SequenceState* const> live) const;

 private:
  size_t n_groups() const { return windows_.size(); }
  int64_t slack() const;
  /// The first position whose row is kept when a step takes the state from `absorbed` to `absorbed + tokens`.
  int64_t first_kept(size_t group, int64_t absorbed, int64_t tokens) const;
  /// Whether the page that the next token is written to is shared: with sequences, or with anyone.
  bool last_page_shared(size_t group, const SequenceState& state, bool with_tree) const;
  int64_t bytes_needed(const SequenceState& state, int64_t tokens, bool copy_remembered) const;
  int64_t bytes_behind_windows(const SequenceState& state, int64_t tokens) const;
  void drop_behind_windows(SequenceState& state, int64_t tokens);
  /// Forgets prefixes until so many bytes are free; false when not even all of them are enough, and then keeps them.
  bool make_room(int64_t bytes);
  std::byte* copy_of(size_t group, const std::byte* page);
  /// The longest prefix of the match with every window whole.
  int64_t usable(const PrefixTree::Match& match) const;

  std::vector<int64_t> windows_;  // by group; 0: none
  int64_t chunk_;
  PageStore store_;
  PrefixTree tree_;
};

}  // namespace godwit
