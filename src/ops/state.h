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

enum class Keep : uint8_t { kPerToken };  // rows in pages of kPageTokens

/// One thing that one place remembers.
struct StatePart {
  const char* name;  // "k", "v"
  Keep keep = Keep::kPerToken;
  Shape shape;  // of one token's row: [n_kv_heads, head_dim]
  DType dtype = DType::kF16;
  int64_t window = 0;  // how many tokens stay readable; 0: all
};

/// Parts of equal window share pages.
struct StateGroup {
  int64_t window = 0;
  int64_t page_bytes = 0;  // of kPageTokens tokens, all places of the group
};

struct PlacedPart {
  StatePart part;
  int32_t group = 0;
  int64_t offset = 0;  // bytes from the page's start
};

/// Where every part of every place lies.
struct StateLayout {
  std::vector<StateGroup> groups;
  std::vector<std::vector<PlacedPart>> places;  // by place number

  /// Adds a place and returns its number.
  int32_t add_place(const std::vector<StatePart>& parts);
  /// Bytes of state that one token adds, all groups, as if nothing were freed behind windows.
  int64_t bytes_per_token() const;
};

/// The memory of one sequence. Page i of a group holds positions [64 i, 64 i + 64); null: freed behind the window.
struct SequenceState {
  int64_t absorbed = 0;                        // tokens that the state has taken in
  int64_t rope_length = 0;                     // tokens given at submission: what rotary scalings choose by, once
  std::vector<std::vector<std::byte*>> pages;  // by group
};

}  // namespace godwit
