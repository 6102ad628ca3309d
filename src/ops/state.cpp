#include "ops/state.h"

#include "base/error.h"

namespace godwit {
namespace {

constexpr int64_t aligned(int64_t bytes) { return (bytes + 63) & ~int64_t{63}; }

void place_in_pages(StateLayout& layout, PlacedPart& p) {
  auto& groups = layout.groups;
  size_t g = 0;
  while (g < groups.size() && groups[g].window != p.part.window) ++g;
  if (g == groups.size()) groups.push_back({p.part.window, 0});
  p.group = static_cast<int32_t>(g);
  p.offset = groups[g].page_bytes;
  groups[g].page_bytes += aligned(p.part.shape[0] * kv_head_bytes(p.part.dtype, p.part.shape[1]));
}

void place_in_record(StateLayout& layout, PlacedPart& p) {
  CHECK(p.part.dtype == DType::kF32 && p.part.window == 0, "part {} of a record: {}, window {}", p.part.name,
        name(p.part.dtype), p.part.window);
  const int64_t value_bytes = p.part.shape.count() * static_cast<int64_t>(sizeof(float));
  const auto take = [&](int64_t bytes) {
    const int64_t offset = layout.record_bytes;
    layout.record_bytes += aligned(bytes);
    return offset;
  };
  p.offset = take(p.part.keep == Keep::kSinceEdge ? kEdgeTokens * value_bytes : value_bytes);
  p.edge_offset = p.part.keep == Keep::kNow ? take(value_bytes) : p.offset;
}

}  // namespace

int32_t StateLayout::add_place(const std::vector<StatePart>& parts) {
  std::vector<PlacedPart> placed;
  for (const StatePart& part : parts) {
    PlacedPart& p = placed.emplace_back(PlacedPart{.part = part});
    part.keep == Keep::kPerToken ? place_in_pages(*this, p) : place_in_record(*this, p);
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
