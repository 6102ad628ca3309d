// StatePool: the memory of all sequences. It gives them pages and records, takes pages back behind windows, shares them
// between sequences with a common prefix, and remembers prefixes for requests to come as long as nobody needs the room.
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
/// before it goes away. After a step the caller advances it by the step's tokens; everything else is changed here only.
///
/// A page with free rows is written by one sequence alone: fork and resume copy such a page, and reserve does so when
/// the page is still remembered, or shared since a rewind. A state is written in [absorbed, absorbed + tokens) of the
/// last reserve, nowhere else.
///
/// Where a model keeps a record, each sequence has one of its own: zeroed when it gets it, filled with 0xff (NaN) in
/// debug builds when it lets it go. Remembering copies it (a snapshot), resuming copies it back.
///
/// The lists of pages are taken from the system, so all but rewind and release may throw std::bad_alloc. The books are
/// right after it: a state may hold pages beyond what it has absorbed, and can be used again or released; fork and
/// resume have given back what they had taken; of what was to be remembered some may be missing.
class StatePool {
 public:
  /// `chunk`: most tokens that a step absorbs of one sequence. The budget is a hard limit of all pages together; memory
  /// is taken when pages are first used. Throws Error (kMemory) when the system refuses the address space.
  StatePool(const StateLayout& layout, int64_t budget_bytes, int64_t chunk);

  /// While the budget allows, a prompt should be remembered at least every so many tokens, as a state with records can
  /// only go on from where it was: so steps should end at multiples of this. 0: no matter (no records).
  int64_t snapshot_every() const { return has_records() ? 256 : 0; }

  /// Most bytes that a sequence of up to `tokens` tokens takes, when reserve is called for at most `chunk` at a time.
  static int64_t bytes_for(const StateLayout& layout, int64_t tokens, int64_t chunk);

  /// Makes room for positions [absorbed, absorbed + tokens) in every group, and for a record, at the cost of remembered
  /// prefixes where need be. Behind a window it lets pages go: what remains when the tokens are absorbed is window +
  /// max(chunk, 256) rows, in whole pages, and during the step always the window. False: full; then nothing has
  /// changed.
  bool reserve(SequenceState& state, int64_t tokens);

  /// Takes back absorbed tokens, so that at most `to` remain, and what was reserved beyond. Returns how many remain:
  /// `to`, unless a window needs rows that are gone, or there is a record and its last edge lies after `to`; then 0.
  /// Within max(chunk, 256) tokens of the most that was reserved for it is always `to` but for the record. From 0, what
  /// is remembered of the sequence's tokens can be had from resume.
  int64_t rewind(SequenceState& state, int64_t to);

  /// A second sequence with the same past: shares full pages, copies one that is partly filled, and the record.
  /// nullopt: full.
  std::optional<SequenceState> fork(const SequenceState& state);

  /// A state that has absorbed the longest remembered prefix of `tokens` from which every part can go on: behind it
  /// each window is there whole, and a snapshot is of it or of up to 31 tokens more, in the same chunk. Never all of
  /// `tokens`: at least the last is left to compute, as its logits are wanted. A page that matches in part is copied,
  /// unless there is no room. Empty when nothing is found, or there is no room for a record. The caller sets
  /// rope_length.
  SequenceState resume(std::span<const TokenId> tokens, const CacheKey& key);

  /// Remembers the state after `tokens`, the first of those that it absorbed (all of them, or fewer). Shares its pages
  /// and takes no further memory from the budget but for a snapshot, where a record reaches back to there: it is kept
  /// when there is room, or can be made by forgetting what was not used since.
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
  size_t n_groups() const { return layout_.groups.size(); }
  int64_t window(size_t group) const { return layout_.groups[group].window; }
  bool has_records() const { return layout_.record_bytes > 0; }
  size_t record_group() const { return n_groups(); }
  int64_t record_bytes() const { return has_records() ? store_.page_bytes(record_group()) : 0; }
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
  /// What fork and resume return, made in place: when memory runs out, what is there already can be released.
  void fill_fork(SequenceState& copy, const SequenceState& state);
  void fill_resumed(SequenceState& state, std::span<const TokenId> tokens, const CacheKey& key);
  /// Makes a record in which the values of now stand at now_at one in which they stand at `to` or its edge: `to` lies
  /// in the same chunk.
  void set_back(std::byte* record, int64_t& now_at, int64_t to) const;
  /// A copy of the state's record as after `to` tokens for the tree, or null when it does not reach back to there, the
  /// tree has it, or there is no room.
  std::byte* snapshot(const SequenceState& state, std::span<const TokenId> tokens, const CacheKey& key,
                      int64_t& now_at);
  /// The longest prefix of the match, of at most `length` tokens, with every window whole.
  int64_t whole(const PrefixTree::Match& match, int64_t length) const;
  /// The same with a snapshot from which it can go on; `snapshot` gets it.
  int64_t usable(const PrefixTree::Match& match, const PrefixTree::Snapshot*& snapshot) const;

  StateLayout layout_;
  int64_t chunk_;
  PageStore store_;
  PrefixTree tree_;
};

}  // namespace godwit
