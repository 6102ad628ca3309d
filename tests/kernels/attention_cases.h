// Sequences to attend over, a paged cache that holds them, and attention as its definition says, in double.
#pragma once

#include <algorithm>

#include "kernels/harness.h"
#include "kernels/math.h"

namespace godwit::test {

/// One place's attention: shapes, cache types, window, and what becomes of scores.
struct Shape {
  int64_t n_heads, n_kv_heads, k_dim, v_dim;
  DType k_type, v_type;
  int64_t window;
  float scale;
  int64_t shared_dim = 0;
  float softcap = 0;
  std::vector<float> sinks = {};

  int64_t own_k_dim() const { return k_dim - shared_dim; }
};

inline constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0};

inline Shape make(int64_t n_heads, int64_t n_kv_heads, int64_t dim, DType type, int64_t window = 0) {
  return {n_heads, n_kv_heads, dim, dim, type, type, window, 1.0f / std::sqrt(static_cast<float>(dim))};
}

/// Multi-head latent attention: a latent of `rank` and a rotary part of `rope` channels.
inline Shape latent(int64_t n_heads, int64_t rank, int64_t rope, DType rope_type, DType latent_type) {
  Shape shape = make(n_heads, 1, rank + rope, rope_type);
  shape.v_dim = shape.shared_dim = rank;
  shape.v_type = latent_type;
  return shape;
}

inline std::vector<float> some_sinks(Random& random, const Shape& shape) {
  return filled(static_cast<size_t>(shape.n_heads), [&] { return 3 * random.normal(); });
}

inline std::string describe(const Shape& s) {
  return std::to_string(s.n_heads) + "/" + std::to_string(s.n_kv_heads) + " heads of " + std::to_string(s.k_dim) + "/" +
         std::to_string(s.v_dim) + ", cache " + std::string(name(s.k_type)) + "/" + std::string(name(s.v_type)) +
         ", window " + std::to_string(s.window) + ", shared " + std::to_string(s.shared_dim) + ", cap " +
         std::to_string(s.softcap) + (s.sinks.empty() ? "" : ", sinks");
}

inline Shape random_shape(Random& random) {
  constexpr int64_t kRatios[] = {1, 3, 4, 8};
  constexpr int64_t kWindows[] = {0, 0, 1, 7, 64, 600};
  const int64_t n_kv_heads = 1 + random.below(3);
  Shape shape = make(n_kv_heads * kRatios[random.below(4)], n_kv_heads, 1 + random.below(256), kTypes[random.below(4)],
                     kWindows[random.below(6)]);
  shape.v_dim = 1 + random.below(256);
  shape.v_type = kTypes[random.below(4)];
  if (shape.k_type == DType::kQ8_0) shape.k_dim = 32 * (1 + random.below(8));
  if (shape.v_type == DType::kQ8_0) shape.v_dim = 32 * (1 + random.below(8));
  if (random.below(3) == 0) {
    shape.n_kv_heads = 1;
    shape.shared_dim = shape.v_dim;
    shape.k_dim = shape.v_dim + (shape.k_type == DType::kQ8_0 ? 32 : 1 + random.below(64));
  }
  if (random.below(3) == 0) shape.softcap = random.uniform(0.5f, 50);
  if (random.below(3) == 0) shape.sinks = some_sinks(random, shape);
  return shape;
}

/// A sequence's queries, keys (their own channels) and values, as if computed before: [tokens][heads][dim].
struct Tokens {
  Tokens(const Shape& shape, int64_t n, uint64_t seed) : count(n) {
    Random random(seed);
    const auto normal = [&] { return random.normal(); };
    q = filled(static_cast<size_t>(n * shape.n_heads * shape.k_dim), normal);
    k = filled(static_cast<size_t>(n * shape.n_kv_heads * shape.own_k_dim()), normal);
    v = filled(static_cast<size_t>(n * shape.n_kv_heads * shape.v_dim), normal);
  }
  int64_t count;
  std::vector<float> q, k, v;
};

/// The pages of one sequence that starts at position `base` (a multiple of 64; before it no page exists). Unwritten
/// slots hold NaN, other places' bytes surround this one's, and a page ends at a fence.
class Cache {
 public:
  explicit Cache(const Shape& shape, int64_t base = 0)
      : window_(shape.window), pages_(static_cast<size_t>(base / kPageTokens)), pointers_(pages_.size()) {
    layout_ = {.k_offset = 128,
               .v_offset = 0,
               .n_kv_heads = shape.n_kv_heads,
               .k_dim = shape.k_dim,
               .v_dim = shape.v_dim,
               .k_type = shape.k_type,
               .v_type = shape.v_type,
               .shared_dim = shape.shared_dim};
    layout_.v_offset = layout_.k_offset + shape.n_kv_heads * kv_head_bytes(shape.k_type, shape.own_k_dim()) + 192;
    page_bytes_ = layout_.v_offset + shape.n_kv_heads * kv_head_bytes(shape.v_type, shape.v_dim);
  }

  const KvLayout& layout() const { return layout_; }

  /// The row that feeds tokens [past, past + count): pages up to its end exist, those behind every token's window do
  /// not.
  KvRow row(int64_t first, int64_t count, int64_t past) {
    while (static_cast<int64_t>(pages_.size()) * kPageTokens < past + count) {
      pages_.push_back(std::make_unique<Fenced<std::byte>>(static_cast<size_t>(page_bytes_)));
      std::memset(pages_.back()->data(), 0xff, static_cast<size_t>(page_bytes_));
      pointers_.push_back(pages_.back()->data());
    }
    for (int64_t i = 0; window_ > 0 && (i + 1) * kPageTokens <= past - window_ + 1; ++i) {
      pages_[static_cast<size_t>(i)] = nullptr;
      pointers_[static_cast<size_t>(i)] = nullptr;
    }
    return {static_cast<int32_t>(first), static_cast<int32_t>(count), past, pointers_.data()};
  }

  /// All bytes that are still held.
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> all;
    for (const auto& page : pages_) {
      if (page != nullptr) all.insert(all.end(), page->span().begin(), page->span().end());
    }
    return all;
  }

 private:
  int64_t window_;
  std::vector<std::unique_ptr<Fenced<std::byte>>> pages_;
  std::vector<const std::byte*> pointers_;
  KvLayout layout_;
  int64_t page_bytes_;
};

/// A part of a sequence for one step.
struct Feed {
  const Tokens* tokens;
  Cache* cache;
  int64_t base;         // position of tokens' first
  int64_t from, count;  // of tokens
};

/// Stores and attends one step of several sequences; the outputs of each, [count][n_heads][v_dim].
inline std::vector<std::vector<float>> step(const Kernels& kernels, Launch& launch, const Shape& shape,
                                            const std::vector<Feed>& feeds) {
  std::vector<float> q, k, v;
  std::vector<KvRow> rows;
  int64_t first = 0;
  const auto take = [](std::vector<float>& to, const std::vector<float>& from, int64_t width, const Feed& feed) {
    to.insert(to.end(), from.begin() + feed.from * width, from.begin() + (feed.from + feed.count) * width);
  };
  for (const Feed& feed : feeds) {
    take(q, feed.tokens->q, shape.n_heads * shape.k_dim, feed);
    take(k, feed.tokens->k, shape.n_kv_heads * shape.own_k_dim(), feed);
    take(v, feed.tokens->v, shape.n_kv_heads * shape.v_dim, feed);
    rows.push_back(feed.cache->row(first, feed.count, feed.base + feed.from));
    first += feed.count;
  }
  const Fenced<float> q_fenced{std::span<const float>(q)};
  const Fenced<float> k_fenced{std::span<const float>(k)};
  const Fenced<float> v_fenced{std::span<const float>(v)};
  const Fenced<float> sinks{std::span<const float>(shape.sinks)};
  Fenced<float> y(static_cast<size_t>(first * shape.n_heads * shape.v_dim));
  const auto n_rows = static_cast<int64_t>(rows.size());
  const KvLayout& layout = feeds.front().cache->layout();
  kernels.kv_store(
      {.k = k_fenced.data(), .v = v_fenced.data(), .rows = rows.data(), .n_rows = n_rows, .layout = layout}, launch);
  kernels.attention({.y = y.data(),
                     .q = q_fenced.data(),
                     .rows = rows.data(),
                     .n_rows = n_rows,
                     .layout = layout,
                     .n_heads = shape.n_heads,
                     .window = shape.window,
                     .scale = shape.scale,
                     .softcap = shape.softcap,
                     .sinks = shape.sinks.empty() ? nullptr : sinks.data()},
                    launch);
  std::vector<std::vector<float>> out;
  const float* at = y.data();
  for (const Feed& feed : feeds) {
    const int64_t size = feed.count * shape.n_heads * shape.v_dim;
    out.emplace_back(at, at + size);
    at += size;
  }
  return out;
}

/// Stores tokens [0, count) of a sequence without attending.
inline void store_only(const Kernels& kernels, Launch& launch, const Tokens& tokens, Cache& cache, int64_t count,
                       int64_t base) {
  const KvRow row = cache.row(0, count, base);
  kernels.kv_store({.k = tokens.k.data(), .v = tokens.v.data(), .rows = &row, .n_rows = 1, .layout = cache.layout()},
                   launch);
}

/// Feeds tokens [from, count) of a sequence in chunks of `chunk`, those before are only stored; the outputs.
inline std::vector<float> attend(const Kernels& kernels, Launch& launch, const Shape& shape, const Tokens& tokens,
                                 int64_t from, int64_t chunk, int64_t base = 0) {
  Cache cache(shape, base);
  store_only(kernels, launch, tokens, cache, from, base);
  std::vector<float> y;
  for (int64_t at = from; at < tokens.count; at += chunk) {
    const int64_t count = std::min(chunk, tokens.count - at);
    const auto part = step(kernels, launch, shape, {{&tokens, &cache, base, at, count}});
    y.insert(y.end(), part[0].begin(), part[0].end());
  }
  return y;
}

// ---------------------------------------------------------------- definitions

/// x rounded to `digits` significant bits, no finer than 2^lowest, nearest even.
inline double rounded(double x, int digits, int lowest) {
  if (x == 0) return x;
  const int unit = std::max(std::ilogb(x) - digits + 1, lowest);
  return std::ldexp(std::nearbyint(std::ldexp(x, -unit)), unit);
}

/// Keys or values [tokens][heads][dim] as a cache of this type gives them back.
inline std::vector<float> as_cached(const std::vector<float>& x, DType type) {
  std::vector<float> y = x;
  if (type == DType::kF16) {
    for (float& e : y) e = static_cast<float>(rounded(e, 11, -24));
  } else if (type == DType::kBF16) {
    for (float& e : y) e = static_cast<float>(rounded(e, 8, -133));
  } else if (type == DType::kQ8_0) {
    for (size_t group = 0; group < y.size(); group += 32) {
      float max = 0;
      for (size_t i = group; i < group + 32; ++i) max = std::max(max, std::fabs(x[i]));
      const auto d = static_cast<float>(rounded(max / 127.0f, 11, -24));
      for (size_t i = group; i < group + 32; ++i) y[i] = std::round(x[i] * (127.0f / max)) * d;
    }
  }
  return y;
}

/// The keys of a sequence as attention reads them, whole: [tokens][n_kv_heads][k_dim].
inline std::vector<float> cached_keys(const Shape& shape, const Tokens& tokens) {
  const std::vector<float> k = as_cached(tokens.k, shape.k_type);
  if (shape.shared_dim == 0) return k;
  const std::vector<float> v = as_cached(tokens.v, shape.v_type);
  std::vector<float> all;
  for (int64_t t = 0; t < tokens.count; ++t) {
    all.insert(all.end(), v.begin() + t * shape.v_dim, v.begin() + (t + 1) * shape.v_dim);
    all.insert(all.end(), k.begin() + t * shape.own_k_dim(), k.begin() + (t + 1) * shape.own_k_dim());
  }
  return all;
}

/// One output of softmax(q.K * scale) V in double, with cap and sink, and a bound for what float can be off: rounding
/// of every chain (terms times epsilon times the sum of magnitudes), through the exponential.
struct Exact {
  double value, bound;
};
inline std::vector<Exact> definition(const Shape& shape, const Tokens& tokens, int64_t token) {
  constexpr double kEpsilon = 0x1p-24;
  const std::vector<float> k = cached_keys(shape, tokens);
  const std::vector<float> v = as_cached(tokens.v, shape.v_type);
  const int64_t first = shape.window > 0 ? std::max<int64_t>(0, token - shape.window + 1) : 0;
  const int64_t group = shape.n_heads / shape.n_kv_heads;
  std::vector<Exact> out;
  for (int64_t h = 0; h < shape.n_heads; ++h) {
    std::vector<double> score;
    double off = 0;  // the largest error of any score
    for (int64_t j = first; j <= token; ++j) {
      double sum = 0, magnitude = 0;
      for (int64_t d = 0; d < shape.k_dim; ++d) {
        const double term =
            static_cast<double>(tokens.q[static_cast<size_t>((token * shape.n_heads + h) * shape.k_dim + d)]) *
            k[static_cast<size_t>((j * shape.n_kv_heads + h / group) * shape.k_dim + d)];
        sum += term;
        magnitude += std::fabs(term);
      }
      const double cap = shape.softcap;
      score.push_back(cap > 0 ? cap * std::tanh(sum * shape.scale / cap) : sum * shape.scale);
      // tanh never widens an error, and adds a few of its own.
      off =
          std::max(off, magnitude * shape.scale * kEpsilon * static_cast<double>(shape.k_dim + 2) + 8 * kEpsilon * cap);
    }
    const double max = *std::max_element(score.begin(), score.end());
    double total = shape.sinks.empty() ? 0 : std::exp(shape.sinks[static_cast<size_t>(h)] - max);
    for (double& s : score) total += s = std::exp(s - max);
    for (int64_t d = 0; d < shape.v_dim; ++d) {
      double sum = 0, magnitude = 0;
      for (int64_t j = first; j <= token; ++j) {
        const double p = score[static_cast<size_t>(j - first)] / total;
        const double value = v[static_cast<size_t>((j * shape.n_kv_heads + h / group) * shape.v_dim + d)];
        sum += p * value;
        magnitude += p * std::fabs(value);
      }
      // p and l are each off by the scores' error, by exp's and by their chains of at most 512 terms and the merges.
      const double chains = static_cast<double>(std::min<int64_t>(token - first + 1, 512)) + 40;
      out.push_back({sum, magnitude * (2.1 * off + 2 * chains * kEpsilon)});
    }
  }
  return out;
}

/// Where sums of keys are cut: the order under test, or a wrong one that the test must be able to tell from it.
enum class Order { kCanonical, kFromChunkStart, kCachedApart, kNoSegments };

/// Attention of the tokens [from, from + count), the last chunk of a sequence, one float operation after the other.
inline std::vector<float> in_order(const Shape& shape, const Tokens& tokens, int64_t from, int64_t count, Order order) {
  const std::vector<float> k = cached_keys(shape, tokens);
  const std::vector<float> v = as_cached(tokens.v, shape.v_type);
  const auto cut_before = [&](int64_t j) {
    switch (order) {
      case Order::kCanonical:
        return j % 512 == 0;
      case Order::kFromChunkStart:
        return (j - from) % 512 == 0;
      case Order::kCachedApart:
        return j % 512 == 0 || j == from;
      default:
        return false;
    }
  };
  std::vector<float> y;
  for (int64_t t = from; t < from + count; ++t) {
    for (int64_t h = 0; h < shape.n_heads; ++h) {
      const int64_t kv = h / (shape.n_heads / shape.n_kv_heads);
      const float* q = tokens.q.data() + (t * shape.n_heads + h) * shape.k_dim;
      float m = 0, l = 0;
      std::vector<float> acc;
      const auto merge = [&](float top, float sum, const std::vector<float>& part) {
        const float most = std::max(m, top);
        const float before = scalar::exp(m - most);
        const float now = scalar::exp(top - most);
        m = most;
        l = std::fma(sum, now, l * before);
        for (size_t d = 0; d < acc.size(); ++d) acc[d] = std::fma(part[d], now, acc[d] * before);
      };
      int64_t j = shape.window > 0 ? std::max<int64_t>(0, t - shape.window + 1) : 0;
      while (j <= t) {
        const int64_t start = j;
        std::vector<float> score;
        do {
          float sum = 0;
          for (int64_t d = 0; d < shape.k_dim; ++d) {
            sum = std::fma(q[d], k[static_cast<size_t>((j * shape.n_kv_heads + kv) * shape.k_dim + d)], sum);
          }
          const float x = sum * shape.scale;
          score.push_back(shape.softcap > 0 ? shape.softcap * scalar::tanh(x / shape.softcap) : x);
          ++j;
        } while (j <= t && !cut_before(j));
        const float top = *std::max_element(score.begin(), score.end());
        float lanes[16] = {};
        std::vector<float> part(static_cast<size_t>(shape.v_dim), 0.0f);
        for (int64_t i = start; i < j; ++i) {
          const float p = scalar::exp(score[static_cast<size_t>(i - start)] - top);
          lanes[i % 16] += p;
          for (int64_t d = 0; d < shape.v_dim; ++d) {
            float& a = part[static_cast<size_t>(d)];
            a = std::fma(p, v[static_cast<size_t>((i * shape.n_kv_heads + kv) * shape.v_dim + d)], a);
          }
        }
        const float sum = scalar::tree_sum(lanes);
        if (acc.empty()) {
          m = top, l = sum, acc = part;
        } else {
          merge(top, sum, part);
        }
      }
      if (!shape.sinks.empty()) merge(shape.sinks[static_cast<size_t>(h)], 1, std::vector<float>(acc.size(), 0.0f));
      for (const float a : acc) y.push_back(a / l);
    }
  }
  return y;
}

}  // namespace godwit::test
