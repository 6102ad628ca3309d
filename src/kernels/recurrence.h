// What the kernels of recurrences share: where a token's row lies, and which chunks of the sequence a row's tokens are
// in.
#pragma once

#include <cstring>

#include "kernels/kernels.h"

#ifndef GODWIT_LEVEL
#define GODWIT_LEVEL scalar
#endif

namespace godwit::GODWIT_LEVEL {

/// The row of a position among those since the edge.
inline float* row_since(float* rows, int64_t position, int64_t width) { return rows + position % kEdgeTokens * width; }

/// Copies tokens' rows from the last edge on, `width` floats each, to where they are kept: those of the positions
/// [past, past + count) lie at x, `step` apart.
inline void keep_since(float* rows, const float* x, int64_t step, int64_t width, int64_t past, int64_t count) {
  const int64_t edge = last_edge(past + count);
  for (int64_t p = edge > past ? edge : past; p < past + count; ++p)
    std::memcpy(row_since(rows, p, width), x + (p - past) * step, static_cast<size_t>(width) * sizeof(float));
}

/// Part of a row's tokens: those of one chunk of kEdgeTokens positions.
struct Chunk {
  int64_t start;     // position of the chunk's first token, an edge
  int64_t from, to;  // its tokens [from, to) of the chunk are this step's, numbered from the start
  bool complete() const { return to == kEdgeTokens; }
};

/// How many chunks the tokens [past, past + count) lie in.
inline int64_t n_chunks(int64_t past, int64_t count) {
  return (past + count + kEdgeTokens - 1) / kEdgeTokens - past / kEdgeTokens;
}

/// Chunk number i of them.
inline Chunk chunk_at(int64_t past, int64_t count, int64_t i) {
  const int64_t start = last_edge(past) + i * kEdgeTokens;
  const int64_t end = past + count;
  return {start, past > start ? past - start : 0, end - start < kEdgeTokens ? end - start : kEdgeTokens};
}

}  // namespace godwit::GODWIT_LEVEL
