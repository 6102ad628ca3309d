#include "ops/state.h"

#include <string_view>

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

KvLayout kv_layout(const std::vector<PlacedPart>& parts) {
  CHECK(parts.size() == 2 && parts[0].part.keep == Keep::kPerToken && parts[1].part.keep == Keep::kPerToken &&
            parts[0].group == parts[1].group && parts[0].part.shape[0] == parts[1].part.shape[0],
        "attention at a place of {} parts", parts.size());
  const StatePart &k = parts[0].part, &v = parts[1].part;
  const bool latent = std::string_view(v.name) == "latent";
  CHECK(!latent || v.shape[0] == 1, "{} latents a token", v.shape[0]);
  const int64_t shared = latent ? v.shape[1] : 0;
  return {.k_offset = parts[0].offset,
          .v_offset = parts[1].offset,
          .n_kv_heads = v.shape[0],
          .k_dim = shared + k.shape[1],
          .v_dim = v.shape[1],
          .k_type = k.dtype,
          .v_type = v.dtype,
          .shared_dim = shared};
}

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
