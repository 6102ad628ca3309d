#include "ops/batch.h"

#include <cmath>

namespace godwit {

bool RopeSpec::same(const RopeSpec& o) const {
  return n_pairs == o.n_pairs && interleaved == o.interleaved && inv_freq == o.inv_freq && scale == o.scale &&
         long_after == o.long_after && long_inv_freq == o.long_inv_freq && dynamic_after == o.dynamic_after &&
         base == o.base && factor == o.factor;
}

int64_t RopeSpec::choice(int64_t length) const {
  if (long_after > 0 && length > long_after) return 1;
  return dynamic_after > 0 && length > dynamic_after ? length : 0;
}

const std::vector<float>& RopeSpec::frequencies(int64_t length, std::vector<float>& storage) const {
  if (long_after > 0 && length > long_after) return long_inv_freq;
  if (dynamic_after > 0 && length > dynamic_after) {
    const double n = 2.0 * static_cast<double>(n_pairs);
    const double grown = factor * static_cast<double>(length) / static_cast<double>(dynamic_after) - (factor - 1.0);
    const double b = base * std::pow(grown, n / (n - 2.0));
    storage.clear();
    for (int64_t i = 0; i < n_pairs; ++i)
      storage.push_back(static_cast<float>(std::pow(b, -2.0 * static_cast<double>(i) / n)));
    return storage;
  }
  return inv_freq;
}

Step::Step(Context& cx, const Batch& b, const StateLayout& l, const std::vector<RopeSpec>& ropes)
    : batch(b), layout(l) {
  int32_t next = 0;
  for (const Row& row : batch.rows) {
    CHECK(row.first == next && row.count > 0 && row.past >= 0, "row {}+{} after token {}", row.first, row.count, next);
    next += row.count;
    for (int32_t i = 0; i < row.count; ++i) positions_.push_back(row.past + i);
  }
  CHECK(next == static_cast<int32_t>(batch.tokens.size()), "rows cover {} of {} tokens", next, batch.tokens.size());

  for (const Row& row : batch.rows) {
    if (cx.dry || layout.record_bytes == 0) continue;
    const SequenceState& s = *row.state;
    CHECK(s.record != nullptr && (s.now_at == row.past || s.now_at == last_edge(row.past)),
          "{} tokens before the row, a record as of {}", row.past, s.record == nullptr ? -1 : s.now_at);
  }

  for (size_t g = 0; g < layout.groups.size(); ++g) {
    std::vector<KvRow>& rows = rows_.emplace_back();
    for (const Row& row : batch.rows) {
      const std::byte* const* pages = nullptr;
      if (!cx.dry) {
        const auto& table = row.state->pages[g];
        CHECK(static_cast<int64_t>(table.size()) * kPageTokens >= row.past + row.count, "{} pages for {} tokens",
              table.size(), row.past + row.count);
        pages = table.data();
      }
      rows.push_back({row.first, row.count, row.past, pages});
    }
  }

  for (const RopeSpec& spec : ropes) {
    Tensor table = empty(cx, {n_tokens(), spec.n_pairs, 2});
    for (const Row& row : batch.rows) {
      std::vector<float> storage;
      const auto& inv_freq = spec.frequencies(row.state != nullptr ? row.state->rope_length : 0, storage);
      run(cx, "rope_table", cx.kernels.rope_table,
          RopeTableArgs{.table = table.slice(row.first, row.count).f32(),
                        .positions = positions_.data() + row.first,
                        .inv_freq = inv_freq.data(),
                        .tokens = row.count,
                        .n_pairs = spec.n_pairs,
                        .scale = spec.scale},
          {});
    }
    tables_.push_back(table);
  }
}

Tensor Step::query_temperature(Context& cx, double beta, int64_t length) const {
  CHECK(length > 0, "query temperature over {} tokens", length);
  Tensor factors = empty(cx, {n_tokens()});
  for (size_t i = 0; !cx.dry && i < positions_.size(); ++i) {
    const int64_t lengths = positions_[i] / length;
    factors.f32()[i] =
        lengths == 0 ? 1.0f : static_cast<float>(1.0 + beta * std::log(1.0 + static_cast<double>(lengths)));
  }
  return factors;
}

float* StepInput::in_record(const Row& row, size_t part, bool at_edge) const {
  const PlacedPart& p = step.layout.places[static_cast<size_t>(place)][part];
  DCHECK(p.part.keep != Keep::kPerToken && (!at_edge || p.part.keep != Keep::kSinceEdge), "part {}", p.part.name);
  return reinterpret_cast<float*>(row.state->record + (at_edge ? p.edge_offset : p.offset));
}

float* StepInput::now(const Row& row, size_t part) const { return in_record(row, part, false); }

float* StepInput::edge(const Row& row, size_t part) const { return in_record(row, part, true); }

float* StepInput::since_edge(const Row& row, size_t part, int64_t position) const {
  const int64_t width = step.layout.places[static_cast<size_t>(place)][part].part.shape.count();
  return in_record(row, part, false) + position % kEdgeTokens * width;
}

}  // namespace godwit
