// What blocks remember of a sequence, as plain data: parts as they declare them, where the parts lie in a page or
// record, and the page tables of one sequence. The pool in engine/ manages them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "tensor/tensor.h"

namespace godwit {

/// Types in which keys and values are kept (--kv-type).
struct CacheTypes {
  DType k = DType::kF16;
  DType v = DType::kF16;
};

/// How a part is kept: per token in pages, or in the sequence's record (docs/numerics.md, Recurrences).
enum class Keep : uint8_t {
  kPerToken,   // rows in pages of kPageTokens
  kNow,        // one value, as of now and as of the last edge: diagonal states, tails of convolutions
  kEdge,       // one value, as of the last edge: matrix states
  kSinceEdge,  // rows of the at most kEdgeTokens tokens after the last edge: what a recurrence takes in
};

/// One thing that one place remembers.
struct StatePart {
  const char* name;  // "k", "v", "conv", "ssm"
  Keep keep = Keep::kPerToken;
  Shape shape;                // of one token's row ([n_kv_heads, head_dim]), or of the value
  DType dtype = DType::kF16;  // in records: kF32
  int64_t window = 0;         // per token: how many tokens stay readable; 0: all
};

/// Parts of equal window share pages.
struct StateGroup {
  int64_t window = 0;
  int64_t page_bytes = 0;  // of kPageTokens tokens, all places of the group
};

/// A part, and where it lies.
struct PlacedPart {
  StatePart part;
  int32_t group = 0;        // per token
  int64_t offset = 0;       // bytes from the start of the page or record; kSinceEdge: of row 0
  int64_t edge_offset = 0;  // kNow, kEdge: where the value as of the last edge lies
};

/// How attention finds what a place keeps per token: parts "k" and "v"; or, in multi-head latent attention, "k_pe" and
/// "latent", which is the value and the first channels of the key. Throws Bug for others.
KvLayout kv_layout(const std::vector<PlacedPart>& parts);

/// Where every part of every place lies.
struct StateLayout {
  std::vector<StateGroup> groups;
  std::vector<std::vector<PlacedPart>> places;  // by place number
  int64_t record_bytes = 0;                     // of one sequence, all places; 0: nothing is kept in records

  /// Adds a place and returns its number.
  int32_t add_place(const std::vector<StatePart>& parts);
  /// Bytes of state that one token adds, all groups, as if nothing were freed behind windows.
  int64_t bytes_per_token() const;
};

/// The memory of one sequence. Page i of a group holds positions [64 i, 64 i + 64); null: freed behind the window.
///
/// The record's values "as of the last edge" stand at last_edge(absorbed); those "as of now" stand at now_at, which is
/// `absorbed` but for a while after a rewind or a resume: then it is the last edge, and the next step first takes in
/// the rows since [now_at, absorbed) again. The row of position p is number p % kEdgeTokens.
struct SequenceState {
  int64_t absorbed = 0;                        // tokens that the state has taken in
  int64_t rope_length = 0;                     // tokens given at submission: what rotary scalings choose by, once
  std::vector<std::vector<std::byte*>> pages;  // by group
  std::byte* record = nullptr;
  int64_t now_at = 0;

  /// After a step: it has taken in so many more tokens.
  void advance(int64_t tokens) { now_at = absorbed += tokens; }
};

}  // namespace godwit
