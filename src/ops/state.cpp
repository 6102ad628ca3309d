#include "ops/state.h"

namespace godwit {

int32_t StateLayout::add_place(const std::vector<StatePart>& parts) {
  std::vector<PlacedPart> placed;
  for (const StatePart& part : parts) {
    size_t g = 0;
    while (g < groups.size() && groups[g].window != part.window) ++g;
    if (g == groups.size()) groups.push_back({part.window, 0});
    placed.push_back({part, static_cast<int32_t>(g), groups[g].page_bytes});
    const int64_t bytes = part.shape[0] * kv_head_bytes(part.dtype, part.shape[1]);
    groups[g].page_bytes += (bytes + 63) & ~int64_t{63};
  }
  places.push_back(std::move(placed));
  return static_cast<int32_t>(places.size()) - 1;
}

int64_t StateLayout::bytes_per_token() const {
  int64_t bytes = 0;
  for (const StateGroup& group : groups) bytes += group.page_bytes;
  return bytes / kPageTokens;
}

}  // namespace godwit
