// Attention over vectors: query rows that share keys (some tokens, times the heads of one kv head) are computed
// together, segment by segment, so that each page is read and decoded once for all of them. Which rows share a tile,
// and which thread takes which segment, changes no bit: a row's sums never meet another row's, and segments always
// merge left to right. Source: Dao et al. 2022 (FlashAttention), in the order of docs/numerics.md.
#include <algorithm>

#include "kernels/attention_tile.h"
#include "kernels/levels.h"
#include "kernels/math.h"

namespace godwit::GODWIT_LEVEL {
namespace {

constexpr int64_t kMaxRows = 48;             // query rows of a tile
constexpr int64_t kMaxTiles = 1024;          // tiles handed to the pool at once
constexpr int64_t kWaveFloats = 256 * 1024;  // results of segments that wait to be merged
constexpr int64_t kMaxWave = 512;            // and how many segments
constexpr int64_t kSerialWork = 64 * 1024;   // fmas that do not outweigh waking another thread

int64_t padded(int64_t dim) { return (dim + kLanes - 1) / kLanes * kLanes; }
int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Query rows that share keys: row (t - tokens.first) * n_heads + h is head first_head + h of token t of the KvRow.
struct Tile {
  const KvRow* row;
  KeyRange tokens;  // of the KvRow, counted from its first
  int64_t kv_head;
  int64_t first_head, n_heads;
};

/// What a task works in.
struct Work {
  alignas(64) float block[kPageTokens * kMaxHeadDim];  // a page's keys or values, decoded
  alignas(64) float score[kMaxRows * kSegmentTokens];  // scores, then probabilities
};

/// What a segment gives each row of a tile: the largest score, the sum of p = exp(score - m), and p x V.
struct Partials {
  float* m;
  float* l;
  float* acc;  // [rows][padded(v_dim)]
};

KeyRange keys_of(const AttentionArgs& args, const Tile& tile, int64_t token) {
  return visible_keys(tile.row->past + token, args.window);
}
KeyRange keys_of(const AttentionArgs& args, const Tile& tile) {
  return {keys_of(args, tile, tile.tokens.first).first, keys_of(args, tile, tile.tokens.last - 1).last};
}

/// The tokens of the tile that see any of the keys [begin, begin + size); they lie side by side.
KeyRange tokens_seeing(const AttentionArgs& args, const Tile& tile, int64_t begin, int64_t size) {
  const int64_t past = tile.row->past;
  KeyRange tokens = tile.tokens;
  tokens.first = std::max(tokens.first, begin - past);
  if (args.window > 0) tokens.last = std::min(tokens.last, begin + size - 1 + args.window - past);
  return tokens;
}

int64_t first_row(const Tile& tile, int64_t token) { return (token - tile.tokens.first) * tile.n_heads; }

/// Index of a query head among [tokens][n_heads].
int64_t head_index(const AttentionArgs& args, const Tile& tile, int64_t token, int64_t head) {
  return (tile.row->first + token) * args.n_heads + tile.first_head + head;
}

/// Whether a page's part is decoded into scratch first: when several register tiles of rows will read it.
bool decodes_first(DType type, int64_t rows) { return type == DType::kQ8_0 || rows > kTileRows; }

/// What scores read first of a page.
const std::byte* scored_first(const KvLayout& layout, const Tile& tile, int64_t page) {
  return layout.shared_dim > 0 ? page_values(layout, *tile.row, page, tile.kv_head)
                               : page_keys(layout, *tile.row, page, tile.kv_head);
}

/// The part of q x K over the channels that keys share with values, which are turned, some at a time, so that lanes are
/// keys. Then p goes on with the keys' own channels.
void score_shared(const KvLayout& layout, const std::byte* values, TileProduct& p, Work& work) {
  p.b = reinterpret_cast<const std::byte*>(work.block);
  for (; p.a_first < layout.shared_dim; p.a_first += p.k) {
    p.k = std::min(kTurnedChannels, layout.shared_dim - p.a_first);
    turn_values({values, layout.v_type, layout.v_dim, p.a_first, p.k, p.ahead}, work.block);
    product<ScratchElements>(p);
    p.add = true;
  }
  p.ahead = nullptr;
}

/// Raw scores of one page's 64 keys for every row that sees any of them; those it does not see get garbage.
void score_page(const AttentionArgs& args, const Tile& tile, int64_t page, const std::byte* ahead, Work& work) {
  const KvLayout& layout = args.layout;
  const KeyRange tokens = tokens_seeing(args, tile, page, kPageTokens);
  const float* q[kMaxRows];
  int64_t rows = 0;
  for (int64_t t = tokens.first; t < tokens.last; ++t) {
    for (int64_t h = 0; h < tile.n_heads; ++h) q[rows++] = args.q + head_index(args, tile, t, h) * layout.k_dim;
  }
  const std::byte* keys = page_keys(layout, *tile.row, page, tile.kv_head);
  TileProduct p{.c = work.score + first_row(tile, tokens.first) * kSegmentTokens + page % kSegmentTokens,
                .c_step = kSegmentTokens,
                .a = q,
                .rows = rows,
                .b = keys,
                .b_step = kPageTokens,
                .k = 0,
                .columns = kPageTokens,
                .add = false,
                .ahead = ahead};
  if (layout.shared_dim > 0) score_shared(layout, page_values(layout, *tile.row, page, tile.kv_head), p, work);
  p.k = layout.own_k_dim();
  p.b = keys;
  if (!decodes_first(layout.k_type, rows)) return product_of(layout.k_type, p);
  decode_keys(keys, layout.k_type, layout.own_k_dim(), work.block);
  p.b = reinterpret_cast<const std::byte*>(work.block);
  product<ScratchElements>(p);
}

/// Scores of the keys in `range`, counted from the segment's start, to probabilities; the whole vectors around the
/// range get -infinity, and so +0, where a key is masked. Gives m and l.
void probabilities(const AttentionArgs& args, float* score, KeyRange range, float& m, float& l) {
  const int64_t begin = range.first / kLanes * kLanes;
  const int64_t end = padded(range.last);
  const Vec factor = set1(args.scale);
  for (int64_t j = begin; j < end; j += kLanes) store(score + j, load(score + j) * factor);
  if (args.softcap > 0) {
    const Vec cap = set1(args.softcap);
    for (int64_t j = begin; j < end; j += kLanes) store(score + j, cap * tanh(load(score + j) / cap));
  }
  for (int64_t j = begin; j < range.first; ++j) score[j] = -kInfinity;
  for (int64_t j = range.last; j < end; ++j) score[j] = -kInfinity;
  Vec largest = set1(-kInfinity);
  for (int64_t j = begin; j < end; j += kLanes) largest = max(load(score + j), largest);
  m = max_lane(largest);
  const Vec base = set1(m);
  Vec sum = zero();
  for (int64_t j = begin; j < end; j += kLanes) {
    const Vec p = exp(load(score + j) - base);
    store(score + j, p);
    sum = sum + p;
  }
  l = tree_sum(sum);
}

/// Adds p x V over one page, for each run of tokens that see the same part of it.
void add_values(const AttentionArgs& args, const Tile& tile, int64_t page, const std::byte* ahead, const Partials& out,
                Work& work) {
  const KvLayout& layout = args.layout;
  const int64_t step = padded(layout.v_dim);
  const KeyRange tokens = tokens_seeing(args, tile, page, kPageTokens);
  const std::byte* values = page_values(layout, *tile.row, page, tile.kv_head);
  const int64_t rows = (tokens.last - tokens.first) * tile.n_heads;
  const bool decoded = decodes_first(layout.v_type, rows) || layout.v_dim % kLanes != 0;
  if (decoded) {
    const KeyRange seen = clip(keys_of(args, tile), page, kPageTokens);
    decode_values(values, layout.v_type, layout.v_dim, {seen.first - page, seen.last - page}, work.block, step);
  }
  for (int64_t t = tokens.first; t < tokens.last;) {
    const KeyRange keys = clip(keys_of(args, tile, t), page, kPageTokens);
    const float* p_rows[kMaxRows];
    const int64_t row = first_row(tile, t);
    int64_t n = 0;
    for (; t < tokens.last; ++t) {
      const KeyRange same = clip(keys_of(args, tile, t), page, kPageTokens);
      if (same.first != keys.first || same.last != keys.last) break;
      for (int64_t h = 0; h < tile.n_heads; ++h, ++n) {
        p_rows[n] = work.score + (row + n) * kSegmentTokens + keys.first % kSegmentTokens;
      }
    }
    TileProduct p{.c = out.acc + row * step,
                  .c_step = step,
                  .a = p_rows,
                  .rows = n,
                  .b = nullptr,
                  .b_step = step,
                  .k = keys.last - keys.first,
                  .columns = step,
                  .add = true,
                  .ahead = ahead};
    const int64_t skipped = (keys.first - page) * step;
    if (decoded) {
      p.b = reinterpret_cast<const std::byte*>(work.block + skipped);
      product<ScratchElements>(p);
    } else {
      p.b = values + skipped * (layout.v_type == DType::kF32 ? 4 : 2);
      product_of(layout.v_type, p);
    }
  }
}

/// One segment, [segment, segment + 512), for the rows of the tile that see any of it; at least one does.
void attend_segment(const AttentionArgs& args, const Tile& tile, int64_t segment, const Partials& out, Work& work) {
  const KvLayout& layout = args.layout;
  const int64_t step = padded(layout.v_dim);
  const KeyRange all = keys_of(args, tile);
  const KeyRange keys = clip(all, segment, kSegmentTokens);
  const int64_t first_page = keys.first / kPageTokens * kPageTokens;
  for (int64_t page = first_page; page < keys.last; page += kPageTokens) {
    const int64_t next = page + kPageTokens;
    score_page(
        args, tile, page,
        next < keys.last ? scored_first(layout, tile, next) : page_values(layout, *tile.row, first_page, tile.kv_head),
        work);
  }
  const KeyRange tokens = tokens_seeing(args, tile, segment, kSegmentTokens);
  for (int64_t t = tokens.first; t < tokens.last; ++t) {
    const KeyRange range = clip(keys_of(args, tile, t), segment, kSegmentTokens);
    for (int64_t row = first_row(tile, t); row < first_row(tile, t + 1); ++row) {
      probabilities(args, work.score + row * kSegmentTokens, {range.first - segment, range.last - segment}, out.m[row],
                    out.l[row]);
      std::fill_n(out.acc + row * step, step, 0.0f);
    }
  }
  for (int64_t page = first_page; page < keys.last; page += kPageTokens) {
    const int64_t next = page + kPageTokens;
    add_values(args, tile, page,
               next < keys.last  ? page_values(layout, *tile.row, next, tile.kv_head)
               : next < all.last ? scored_first(layout, tile, next)
                                 : nullptr,
               out, work);
  }
}

/// Joins a row's segments so far (m, l and y) with the next one.
void merge_row(float* y, float& m, float& l, const float* acc, float next_m, float next_l, int64_t v_dim) {
  const float most = max(next_m, m);
  const float scale = exp(m - most);
  const float next_scale = exp(next_m - most);
  m = most;
  l = fma(next_l, next_scale, l * scale);
  for (int64_t d = 0; d < v_dim; ++d) y[d] = fma(acc[d], next_scale, y[d] * scale);
}

constexpr float kNothing[kMaxHeadDim] = {};

/// Joins a row's segments, of which l becomes whole, with its sink: a segment of maximum `sink`, sum 1 and acc 0.
void merge_sink(float* y, float m, float& l, float sink, int64_t v_dim) {
  merge_row(y, m, l, kNothing, sink, 1, v_dim);
}

/// Takes in a segment's results; segments come in ascending order. m and l are of the segments so far, their acc is in
/// args.y, which is complete after the row's last segment.
void merge_segment(const AttentionArgs& args, const Tile& tile, int64_t segment, const Partials& next, float* m,
                   float* l) {
  const int64_t v_dim = args.layout.v_dim;
  const KeyRange tokens = tokens_seeing(args, tile, segment, kSegmentTokens);
  for (int64_t t = tokens.first; t < tokens.last; ++t) {
    const KeyRange keys = keys_of(args, tile, t);
    for (int64_t h = 0; h < tile.n_heads; ++h) {
      const int64_t row = first_row(tile, t) + h;
      float* y = args.y + head_index(args, tile, t, h) * v_dim;
      const float* acc = next.acc + row * padded(v_dim);
      if (keys.first >= segment) {
        m[row] = next.m[row];
        l[row] = next.l[row];
        std::copy_n(acc, v_dim, y);
      } else {
        merge_row(y, m[row], l[row], acc, next.m[row], next.l[row], v_dim);
      }
      if (keys.last <= segment + kSegmentTokens) {
        if (args.sinks != nullptr) merge_sink(y, m[row], l[row], args.sinks[tile.first_head + h], v_dim);
        for (int64_t d = 0; d < v_dim; ++d) y[d] = y[d] / l[row];
      }
    }
  }
}

/// All segments of a tile, one after the other.
void attend_tile(const AttentionArgs& args, const Tile& tile) {
  Work work;
  alignas(64) float acc[kMaxRows * kMaxHeadDim];
  float next_m[kMaxRows], next_l[kMaxRows], m[kMaxRows], l[kMaxRows];
  const Partials next{next_m, next_l, acc};
  const KeyRange keys = keys_of(args, tile);
  for (int64_t segment = keys.first / kSegmentTokens * kSegmentTokens; segment < keys.last; segment += kSegmentTokens) {
    attend_segment(args, tile, segment, next, work);
    merge_segment(args, tile, segment, next, m, l);
  }
}

// ---------------------------------------------------------------- tasks

/// How the work is cut into tasks.
struct Plan {
  int64_t heads;    // query heads of a tile, at most
  int64_t tokens;   // tokens of a tile, at most
  bool by_segment;  // a task is a segment of a tile
  bool serial;      // too little work to wake anybody
};

Plan cut(const AttentionArgs& args, int64_t n_threads) {
  const int64_t group = args.n_heads / args.layout.n_kv_heads;
  Plan plan{.heads = divide_up(group, divide_up(group, kMaxRows)),
            .tokens = 0,
            .by_segment = false,
            .serial = n_threads <= 1};
  plan.tokens = kMaxRows / plan.heads;
  int64_t pieces = 0;  // segments of tiles
  int64_t longest = 0;
  int64_t work = 0;
  for (const KvRow* row = args.rows; row < args.rows + args.n_rows; ++row) {
    if (row->count == 0) continue;
    const KeyRange keys = visible_keys(row->past + row->count - 1, args.window);
    const int64_t segments = divide_up(keys.last, kSegmentTokens) - keys.first / kSegmentTokens;
    const int64_t tiles = divide_up(row->count, plan.tokens) * args.layout.n_kv_heads * divide_up(group, plan.heads);
    pieces += tiles * segments;
    longest = std::max(longest, segments);
    work += (keys.last - keys.first) * row->count * args.n_heads * (args.layout.k_dim + args.layout.v_dim);
  }
  plan.serial = plan.serial || work < kSerialWork;
  if (plan.serial) return plan;
  plan.by_segment = longest > 1 && longest * 4 * n_threads > pieces;
  if (pieces < 2 * n_threads) {  // few keys and few kv heads: the heads of a group part, though each reads the keys
    const int64_t parts = pieces < n_threads ? divide_up(n_threads, std::max<int64_t>(pieces, 1)) : 2;
    plan.heads = divide_up(plan.heads, std::min(parts, plan.heads));
  }
  if (plan.by_segment) {  // so that each thread's results have room in a wave
    const int64_t at_once = std::min(pieces, n_threads) * padded(args.layout.v_dim);
    plan.heads = std::min(plan.heads, std::max<int64_t>(kWaveFloats / at_once, 1));
    plan.tokens = std::min(plan.tokens, std::max<int64_t>(kWaveFloats / (at_once * plan.heads), 1));
  }
  return plan;
}

/// Calls f(tile) for every tile, of each row those with the most keys first.
template <class F>
void for_each_tile(const AttentionArgs& args, const Plan& plan, const F& f) {
  const int64_t group = args.n_heads / args.layout.n_kv_heads;
  for (const KvRow* row = args.rows; row < args.rows + args.n_rows; ++row) {
    for (int64_t i = divide_up(row->count, plan.tokens) - 1; i >= 0; --i) {
      const KeyRange tokens{i * plan.tokens, std::min<int64_t>((i + 1) * plan.tokens, row->count)};
      for (int64_t kv_head = 0; kv_head < args.layout.n_kv_heads; ++kv_head) {
        for (int64_t h = 0; h < group; h += plan.heads) {
          f(Tile{row, tokens, kv_head, kv_head * group + h, std::min(plan.heads, group - h)});
        }
      }
    }
  }
}

/// A task is a tile.
void attend_by_tile(const AttentionArgs& args, const Plan& plan, Launch& launch) {
  if (plan.serial) return for_each_tile(args, plan, [&](const Tile& tile) { attend_tile(args, tile); });
  Tile tiles[kMaxTiles];
  int64_t n = 0;
  const auto flush = [&] {
    launch.parallel(n, [&](int64_t i) { attend_tile(args, tiles[i]); });
    n = 0;
  };
  for_each_tile(args, plan, [&](const Tile& tile) {
    tiles[n++] = tile;
    if (n == kMaxTiles) flush();
  });
  flush();
}

/// A task is a segment of a tile. Their results wait in a buffer of fixed size; whenever it is full they are merged.
void attend_by_segment(const AttentionArgs& args, const Plan& plan, Launch& launch) {
  struct Piece {
    Tile tile;
    int64_t segment;
    Partials partials;
  };
  alignas(64) float buffer[kWaveFloats];
  Piece pieces[kMaxWave];
  int64_t n = 0;
  int64_t used = 0;
  float m[kMaxRows], l[kMaxRows];  // of the tile whose segments are being merged
  const auto flush = [&] {
    launch.parallel(n, [&](int64_t i) {
      Work work;
      attend_segment(args, pieces[i].tile, pieces[i].segment, pieces[i].partials, work);
    });
    for (int64_t i = 0; i < n; ++i) merge_segment(args, pieces[i].tile, pieces[i].segment, pieces[i].partials, m, l);
    n = 0;
    used = 0;
  };
  for_each_tile(args, plan, [&](const Tile& tile) {
    const KeyRange keys = keys_of(args, tile);
    const int64_t rows = (tile.tokens.last - tile.tokens.first) * tile.n_heads;
    const int64_t size = rows * padded(args.layout.v_dim) + 2 * padded(rows);
    for (int64_t s = keys.first / kSegmentTokens * kSegmentTokens; s < keys.last; s += kSegmentTokens) {
      if (n == kMaxWave || used + size > kWaveFloats) flush();
      float* at = buffer + used;
      pieces[n++] = {tile, s, {at, at + padded(rows), at + 2 * padded(rows)}};
      used += size;
    }
  });
  flush();
}

void attention(const AttentionArgs& args, Launch& launch) {
  const Plan plan = cut(args, launch.n_threads);
  plan.by_segment ? attend_by_segment(args, plan, launch) : attend_by_tile(args, plan, launch);
}

}  // namespace

void add_attention(Kernels& kernels) { kernels.attention = attention; }

}  // namespace godwit::GODWIT_LEVEL
