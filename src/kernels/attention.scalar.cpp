// Attention and the key/value cache at the scalar level: the order of docs/numerics.md, Attention, performed literally.
#include <cmath>
#include <limits>

#include "kernels/attention_layout.h"
#include "kernels/levels.h"
#include "kernels/math.h"
#include "tensor/float16.h"

namespace godwit::scalar {
namespace {

uint16_t half_at(const std::byte* p, int64_t index) {
  return reinterpret_cast<const uint16_t*>(p)[index];  // pages are aligned to 64 bytes
}

/// Element `index` of a head's keys or values, decoded; `scale` is the index of its scale where the type has one.
float decode(const std::byte* p, DType type, int64_t dim, int64_t index, int64_t scale) {
  switch (type) {
    case DType::kF32:
      return reinterpret_cast<const float*>(p)[index];
    case DType::kF16:
      return f16_to_f32(half_at(p, index));
    case DType::kBF16:
      return bf16_to_f32(half_at(p, index));
    default:
      return static_cast<float>(reinterpret_cast<const int8_t*>(p)[index]) *
             f16_to_f32(half_at(p + dim * kPageTokens, scale));
  }
}

/// Channel d of the head's own part of the key in `slot`, and of the value.
float key_at(const KvLayout& layout, const std::byte* keys, int64_t d, int64_t slot) {
  return decode(keys, layout.k_type, layout.own_k_dim(), d * kPageTokens + slot,
                d / kScaleChannels * kPageTokens + slot);
}
float value_at(const KvLayout& layout, const std::byte* values, int64_t d, int64_t slot) {
  return decode(values, layout.v_type, layout.v_dim, slot * layout.v_dim + d,
                slot * (layout.v_dim / kScaleChannels) + d / kScaleChannels);
}

/// What a stretch of keys gives one query: the maximum score, the sum of exp(score - m), and of that times the values.
struct Partial {
  float m, l;
  float acc[kMaxHeadDim];
};

/// A query head of a token, with what it reads.
struct Query {
  const KvLayout& layout;
  const KvRow& row;
  const float* q;  // [k_dim]
  float scale;
  float softcap;      // 0: none
  const float* sink;  // or null
  int64_t kv_head;
};

float larger(float a, float b) { return b > a ? b : a; }  // a NaN b is passed over; a is never NaN

/// q.k of key j: its shared channels, then its own.
float dot(const Query& query, int64_t j) {
  const KvLayout& layout = query.layout;
  const std::byte* keys = page_keys(layout, query.row, j, query.kv_head);
  const std::byte* values = page_values(layout, query.row, j, query.kv_head);
  float sum = 0;
  for (int64_t d = 0; d < layout.shared_dim; ++d) {
    sum = std::fma(query.q[d], value_at(layout, values, d, j % kPageTokens), sum);
  }
  for (int64_t d = 0; d < layout.own_k_dim(); ++d) {
    sum = std::fma(query.q[layout.shared_dim + d], key_at(layout, keys, d, j % kPageTokens), sum);
  }
  return sum;
}

/// Scores of the keys in `range`, which lies in one segment; score[j % 512] is key j's.
void score_keys(const Query& query, KeyRange range, float* score) {
  for (int64_t j = range.first; j < range.last; ++j) {
    const float x = dot(query, j) * query.scale;
    score[j % kSegmentTokens] = query.softcap > 0 ? query.softcap * tanh(x / query.softcap) : x;
  }
}

/// The visible keys of one segment: not empty.
void attend_segment(const Query& query, KeyRange range, Partial& out) {
  float score[kSegmentTokens];
  score_keys(query, range, score);
  out.m = -std::numeric_limits<float>::infinity();
  for (int64_t j = range.first; j < range.last; ++j) out.m = larger(out.m, score[j % kSegmentTokens]);
  float lanes[16] = {};
  for (int64_t d = 0; d < query.layout.v_dim; ++d) out.acc[d] = 0;
  for (int64_t j = range.first; j < range.last; ++j) {
    const float p = exp(score[j % kSegmentTokens] - out.m);
    lanes[j % 16] += p;
    const std::byte* values = page_values(query.layout, query.row, j, query.kv_head);
    for (int64_t d = 0; d < query.layout.v_dim; ++d) {
      out.acc[d] = std::fma(p, value_at(query.layout, values, d, j % kPageTokens), out.acc[d]);
    }
  }
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  out.l = lanes[0];
}

/// Joins the segments so far, `a`, with the next one.
void merge(Partial& a, const Partial& b, int64_t v_dim) {
  const float m = larger(a.m, b.m);
  const float scale_a = exp(a.m - m);
  const float scale_b = exp(b.m - m);
  a.m = m;
  a.l = std::fma(b.l, scale_b, a.l * scale_a);
  for (int64_t d = 0; d < v_dim; ++d) a.acc[d] = std::fma(b.acc[d], scale_b, a.acc[d] * scale_a);
}

void attend(const Query& query, KeyRange visible, float* y) {
  Partial total;
  Partial next;
  bool first = true;
  for (int64_t segment = visible.first / kSegmentTokens * kSegmentTokens; segment < visible.last;
       segment += kSegmentTokens) {
    attend_segment(query, clip(visible, segment, kSegmentTokens), first ? total : next);
    if (!first) merge(total, next, query.layout.v_dim);
    first = false;
  }
  if (query.sink != nullptr) {
    next.m = *query.sink;
    next.l = 1;
    for (int64_t d = 0; d < query.layout.v_dim; ++d) next.acc[d] = 0;
    merge(total, next, query.layout.v_dim);
  }
  for (int64_t d = 0; d < query.layout.v_dim; ++d) y[d] = total.acc[d] / total.l;
}

void attention(const AttentionArgs& args, Launch& launch) {
  const KvLayout& layout = args.layout;
  for (int64_t r = 0; r < args.n_rows; ++r) {
    const KvRow& row = args.rows[r];
    launch.parallel(row.count * args.n_heads, [&](int64_t task) {
      const int64_t token = task / args.n_heads;
      const int64_t head = task % args.n_heads;
      const int64_t at = (row.first + token) * args.n_heads + head;
      const Query query{.layout = layout,
                        .row = row,
                        .q = args.q + at * layout.k_dim,
                        .scale = args.scale,
                        .softcap = args.softcap,
                        .sink = args.sinks == nullptr ? nullptr : args.sinks + head,
                        .kv_head = head / (args.n_heads / layout.n_kv_heads)};
      attend(query, visible_keys(row.past + token, args.window), args.y + at * layout.v_dim);
    });
  }
}

// ---------------------------------------------------------------- kv_store

/// One token's keys or values of one head, and where their elements go: element d at d * step, its scale (Q8_0) at
/// (d / 32) * scale_step of `scales`.
struct Store {
  const float* x;  // [dim]
  int64_t dim;
  std::byte* base;  // of the head
  int64_t first, step;
  int64_t scale_first, scale_step;
};

/// d = max / 127 as a half, code = round-half-away(x * (127 / max)). A maximum under 2^-100 gives zeros; a group that
/// is not finite gets scale NaN.
void store_q8_0(const Store& s) {
  auto* codes = reinterpret_cast<int8_t*>(s.base);
  auto* scales = reinterpret_cast<uint16_t*>(s.base + s.dim * kPageTokens);
  for (int64_t group = 0; group < s.dim / kScaleChannels; ++group) {
    const float* x = s.x + group * kScaleChannels;
    float max = 0;
    bool finite = true;
    for (int64_t i = 0; i < kScaleChannels; ++i) {
      max = larger(max, std::fabs(x[i]));
      finite = finite && std::isfinite(x[i]);
    }
    const float factor = finite && max >= 0x1p-100f ? 127.0f / max : 0.0f;
    for (int64_t i = 0; i < kScaleChannels; ++i) {
      codes[s.first + (group * kScaleChannels + i) * s.step] =
          factor > 0 ? static_cast<int8_t>(std::round(x[i] * factor)) : int8_t{0};
    }
    scales[s.scale_first + group * s.scale_step] = !finite ? 0x7e00 : factor > 0 ? f32_to_f16(max / 127.0f) : 0;
  }
}

void store(const Store& s, DType type) {
  switch (type) {
    case DType::kF32:
      for (int64_t d = 0; d < s.dim; ++d) reinterpret_cast<float*>(s.base)[s.first + d * s.step] = s.x[d];
      return;
    case DType::kF16:
      for (int64_t d = 0; d < s.dim; ++d) {
        reinterpret_cast<uint16_t*>(s.base)[s.first + d * s.step] = f32_to_f16(s.x[d]);
      }
      return;
    case DType::kBF16:
      for (int64_t d = 0; d < s.dim; ++d) {
        reinterpret_cast<uint16_t*>(s.base)[s.first + d * s.step] = f32_to_bf16(s.x[d]);
      }
      return;
    default:
      store_q8_0(s);
  }
}

void kv_store(const KvStoreArgs& args, Launch& launch) {
  const KvLayout& layout = args.layout;
  for (int64_t r = 0; r < args.n_rows; ++r) {
    const KvRow& row = args.rows[r];
    launch.parallel(row.count, [&](int64_t token) {
      const int64_t position = row.past + token;
      const int64_t slot = position % kPageTokens;
      for (int64_t head = 0; head < layout.n_kv_heads; ++head) {
        const int64_t at = (row.first + token) * layout.n_kv_heads + head;
        store({.x = args.k + at * layout.own_k_dim(),
               .dim = layout.own_k_dim(),
               .base = const_cast<std::byte*>(page_keys(layout, row, position, head)),
               .first = slot,
               .step = kPageTokens,
               .scale_first = slot,
               .scale_step = kPageTokens},
              layout.k_type);
        store({.x = args.v + at * layout.v_dim,
               .dim = layout.v_dim,
               .base = const_cast<std::byte*>(page_values(layout, row, position, head)),
               .first = slot * layout.v_dim,
               .step = 1,
               .scale_first = slot * (layout.v_dim / kScaleChannels),
               .scale_step = 1},
              layout.v_type);
      }
    });
  }
}

}  // namespace

void add_attention(Kernels& kernels) {
  kernels.kv_store = kv_store;
  kernels.attention = attention;
}

}  // namespace godwit::scalar
