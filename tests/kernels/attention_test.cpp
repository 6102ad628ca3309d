// Attention and the key/value cache: against the definition in double, against the order of docs/numerics.md taken
// literally, and every level against scalar bit for bit, whatever the chunking, company and threads.
#include "kernels/attention_cases.h"

namespace godwit {
namespace {

using test::Cache;
using test::Feed;
using test::Order;
using test::Random;
using test::Shape;
using test::Threads;
using test::Tokens;

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0};

Shape make(int64_t n_heads, int64_t n_kv_heads, int64_t dim, DType type, int64_t window = 0) {
  return {n_heads, n_kv_heads, dim, dim, type, type, window, 1.0f / std::sqrt(static_cast<float>(dim))};
}

std::string describe(const Shape& s) {
  return std::to_string(s.n_heads) + "/" + std::to_string(s.n_kv_heads) + " heads of " + std::to_string(s.k_dim) + "/" +
         std::to_string(s.v_dim) + ", cache " + std::string(name(s.k_type)) + "/" + std::string(name(s.v_type)) +
         ", window " + std::to_string(s.window);
}

Shape random_shape(Random& random) {
  constexpr int64_t kRatios[] = {1, 3, 4, 8};
  constexpr int64_t kWindows[] = {0, 0, 1, 7, 64, 600};
  const int64_t n_kv_heads = 1 + random.below(3);
  Shape shape = make(n_kv_heads * kRatios[random.below(4)], n_kv_heads, 1 + random.below(256), kTypes[random.below(4)],
                     kWindows[random.below(6)]);
  shape.v_dim = 1 + random.below(256);
  shape.v_type = kTypes[random.below(4)];
  if (shape.k_type == DType::kQ8_0) shape.k_dim = 32 * (1 + random.below(8));
  if (shape.v_type == DType::kQ8_0) shape.v_dim = 32 * (1 + random.below(8));
  return shape;
}

/// The outputs of the tokens from `from` on, fed in one step.
std::vector<float> tail(const Kernels& kernels, int n_threads, const Shape& shape, const Tokens& tokens, int64_t from) {
  Threads threads(n_threads);
  return attend(kernels, threads.launch(), shape, tokens, from, tokens.count);
}

TEST(Attention, IsTheDefinitionWithinRounding) {
  const Kernels scalar = scalar_kernels();
  Random random(1);
  for (const DType type : kTypes) {
    for (const int64_t window : {0, 1, 7, 64, 600}) {
      Shape shape = make(6, 2, 32, type, window);
      shape.v_dim = type == DType::kQ8_0 ? 64 : 21;
      for (const int64_t n : {1, 5, 64, 65, 513, 1100}) {
        const Tokens tokens(shape, n, random.bits());
        const std::vector<float> y = tail(scalar, 1, shape, tokens, n - 1);
        const std::vector<test::Exact> exact = definition(shape, tokens, n - 1);
        ASSERT_EQ(exact.size(), y.size());
        for (size_t i = 0; i < y.size(); ++i) {
          ASSERT_NEAR(exact[i].value, y[i], exact[i].bound) << describe(shape) << ", " << n << " tokens, " << i;
          ASSERT_LT(exact[i].bound, 2e-3);  // so that the comparison says something
        }
      }
    }
  }
}

TEST(Attention, IsInTheCanonicalOrderAndNoOther) {
  for (const Kernels& level : test::levels()) {
    for (const int64_t window : {0, 600}) {
      const Shape shape = make(4, 1, 24, DType::kF16, window);
      const Tokens tokens(shape, 1300, 2);
      const int64_t from = 1300 - 7;
      const std::vector<float> y = tail(level, 2, shape, tokens, from);
      test::expect_same_bits(in_order(shape, tokens, from, 7, Order::kCanonical), y, level.level);
      EXPECT_NE(in_order(shape, tokens, from, 7, Order::kFromChunkStart), y) << level.level;
      EXPECT_NE(in_order(shape, tokens, from, 7, Order::kCachedApart), y) << level.level;
      EXPECT_NE(in_order(shape, tokens, from, 7, Order::kNoSegments), y) << level.level;
    }
  }
}

TEST(Attention, LevelsAgreeOnRandomShapes) {
  const std::vector<Kernels> levels = test::levels();
  Random random(3);
  for (int i = 0; i < 80; ++i) {
    const Shape shape = random_shape(random);
    const int64_t n = 1 + random.below(i % 4 == 0 ? 1200 : 150);
    const int64_t count = std::min<int64_t>(n, 1 + random.below(i % 4 == 0 ? 4 : 100));
    const Tokens tokens(shape, n, random.bits());
    const std::vector<float> expected = tail(levels[0], 1, shape, tokens, n - count);
    for (size_t level = 1; level < levels.size(); ++level) {
      for (const int n_threads : {1, 3}) {
        test::expect_same_bits(expected, tail(levels[level], n_threads, shape, tokens, n - count),
                               std::string(levels[level].level) + ": " + describe(shape) + ", last " +
                                   std::to_string(count) + " of " + std::to_string(n));
      }
    }
  }
}

TEST(Attention, WideGroupsAndHeadsFillEveryTile) {
  const std::vector<Kernels> levels = test::levels();
  Random random(4);
  for (const auto& [n_heads, n_kv_heads, dim] :
       {std::array<int64_t, 3>{64, 1, 16}, {96, 2, 8}, {5, 5, 512}, {7, 1, 511}}) {
    const Shape shape = make(n_heads, n_kv_heads, dim, DType::kBF16);
    const Tokens tokens(shape, 80, random.bits());
    for (const int64_t from : {0, 64, 79}) {
      const std::vector<float> expected = tail(levels[0], 1, shape, tokens, from);
      for (const Kernels& level : levels) {
        test::expect_same_bits(expected, tail(level, 2, shape, tokens, from), level.level + (": " + describe(shape)));
      }
    }
  }
}

TEST(Attention, ChunkingAndThreadsChangeNoBit) {
  Random random(5);
  for (const auto& [from, n] : {std::array<int64_t, 2>{0, 100}, {1000, 1030}}) {
    for (const int64_t window : {0, 7, 64, 600}) {
      const Shape shape = make(6, 2, 48, DType::kF16, window);
      const Tokens tokens(shape, n, random.bits());
      const std::vector<float> expected = tail(scalar_kernels(), 1, shape, tokens, from);
      for (const Kernels& level : test::levels()) {
        for (const int64_t chunk : {int64_t{1}, int64_t{7}, int64_t{64}, n}) {
          for (const int n_threads : {1, 2, 8}) {
            Threads threads(n_threads);
            test::expect_same_bits(expected, attend(level, threads.launch(), shape, tokens, from, chunk),
                                   std::string(level.level) + ", from " + std::to_string(from) + " in chunks of " +
                                       std::to_string(chunk) + ", threads " + std::to_string(n_threads) + ", window " +
                                       std::to_string(window));
          }
        }
      }
    }
  }
}

TEST(Attention, CompanyChangesNoBit) {
  const Shape shape = make(8, 2, 64, DType::kF16);
  const int64_t pasts[] = {0, 3, 700, 1100, 64};
  const int64_t counts[] = {20, 1, 1, 9, 100};
  for (const Kernels& level : test::levels()) {
    for (const int n_threads : {1, 3}) {
      std::vector<Tokens> tokens;
      std::vector<std::unique_ptr<Cache>> caches;
      std::vector<std::vector<float>> expected;
      Threads threads(n_threads);
      for (size_t i = 0; i < 5; ++i) {
        tokens.emplace_back(shape, pasts[i] + counts[i], 70 + i);
        expected.push_back(tail(level, 1, shape, tokens[i], pasts[i]));
        caches.push_back(std::make_unique<Cache>(shape));
        store_only(level, threads.launch(), tokens[i], *caches[i], pasts[i], 0);
      }
      std::vector<Feed> feeds;
      for (size_t i = 0; i < 5; ++i) feeds.push_back({&tokens[i], caches[i].get(), 0, pasts[i], counts[i]});
      const std::vector<std::vector<float>> together = step(level, threads.launch(), shape, feeds);
      for (size_t i = 0; i < 5; ++i) {
        test::expect_same_bits(expected[i], together[i], level.level + (", row " + std::to_string(i)));
      }
    }
  }
}

// Segments lie at absolute positions: a whole number of them further on, behind a window, the same tokens give the same
// bits; elsewhere they do not.
TEST(Attention, FarPositionsWithoutPagesBehindTheWindow) {
  const Shape shape = make(4, 1, 32, DType::kQ8_0, 130);
  const Tokens tokens(shape, 700, 8);
  Threads threads(2);
  for (const Kernels& level : test::levels()) {
    const auto all = [&](int64_t base) { return attend(level, threads.launch(), shape, tokens, 130, 50, base); };
    const std::vector<float> near = all(0);
    test::expect_same_bits(near, all(512 * 2000), level.level);
    EXPECT_NE(near, all(64)) << level.level;
  }
}

TEST(Attention, NonFiniteInputsAgree) {
  const std::vector<Kernels> levels = test::levels();
  Random random(9);
  for (int i = 0; i < 60; ++i) {
    const Shape shape = make(4, 2, 1 + random.below(40), kTypes[random.below(3)], i % 2 == 0 ? 0 : 40);
    Tokens tokens(shape, 1 + random.below(i % 5 == 0 ? 1100 : 90), random.bits());
    const int64_t from = tokens.count - std::min<int64_t>(tokens.count, 5);
    for (int n = 0; n < 4; ++n) {
      std::vector<float>& x = n == 0 ? tokens.q : n == 1 ? tokens.k : tokens.v;
      x[static_cast<size_t>(random.below(static_cast<int64_t>(x.size())))] = random.awkward();
    }
    const std::vector<float> expected = tail(levels[0], 1, shape, tokens, from);
    for (const Kernels& level : levels) {
      test::expect_same_bits(expected, tail(level, 2, shape, tokens, from), level.level + (": " + describe(shape)));
    }
  }
}

// A key with a NaN gives NaN where it is seen and nothing where it is not.
TEST(Attention, MaskedKeysInfluenceNothing) {
  const Shape shape = make(2, 1, 16, DType::kF32, 10);
  Tokens tokens(shape, 40, 10);
  for (int64_t d = 0; d < 16; ++d) {
    tokens.k[static_cast<size_t>(20 * 16 + d)] = tokens.v[static_cast<size_t>(20 * 16 + d)] = __builtin_nanf("");
  }
  Threads threads(1);
  for (const Kernels& level : test::levels()) {
    const std::vector<float> y = attend(level, threads.launch(), shape, tokens, 0, 40);
    for (int64_t t = 0; t < 40; ++t) {
      EXPECT_EQ(std::isnan(y[static_cast<size_t>(t * 2 * 16)]), t >= 20 && t < 30) << level.level << ", token " << t;
    }
  }
}

// ---------------------------------------------------------------- kv_store

TEST(KvStore, LevelsWriteTheSameBytes) {
  const std::vector<Kernels> levels = test::levels();
  Random random(11);
  for (int i = 0; i < 40; ++i) {
    Shape shape = random_shape(random);
    shape.window = 0;
    const Tokens tokens(shape, 1 + random.below(200), random.bits());
    Launch alone;
    Cache expected(shape);
    store_only(levels[0], alone, tokens, expected, tokens.count, 0);
    for (size_t level = 1; level < levels.size(); ++level) {
      Threads threads(3);
      Cache at_once(shape);
      store_only(levels[level], threads.launch(), tokens, at_once, tokens.count, 0);
      EXPECT_EQ(expected.bytes(), at_once.bytes()) << levels[level].level << ": " << describe(shape);
      Cache in_steps(shape);
      for (int64_t from = 0; from < tokens.count; from += 9) {
        step(levels[level], threads.launch(), shape,
             {{&tokens, &in_steps, 0, from, std::min<int64_t>(9, tokens.count - from)}});
      }
      EXPECT_EQ(expected.bytes(), in_steps.bytes()) << levels[level].level << ": " << describe(shape);
    }
  }
}

/// One head of one token, stored in `slot`; channel d of the key and of the value, as 16 bits.
std::vector<std::array<uint16_t, 2>> stored(const Kernels& level, DType type, const std::vector<float>& x,
                                            int64_t slot) {
  const auto dim = static_cast<int64_t>(x.size());
  const Shape shape = make(1, 1, dim, type);
  Cache cache(shape);
  KvRow row = cache.row(0, 64, 0);
  row.past = slot;
  row.count = 1;
  Launch launch;
  level.kv_store({.k = x.data(), .v = x.data(), .rows = &row, .n_rows = 1, .layout = cache.layout()}, launch);
  const auto* k = reinterpret_cast<const uint16_t*>(row.pages[0] + cache.layout().k_offset);
  const auto* v = reinterpret_cast<const uint16_t*>(row.pages[0] + cache.layout().v_offset);
  std::vector<std::array<uint16_t, 2>> out;
  for (int64_t d = 0; d < dim; ++d) out.push_back({k[d * 64 + slot], v[slot * dim + d]});
  return out;
}

TEST(KvStore, RoundsHalvesToNearestEven) {
  const std::vector<float> x = {1.0f,     1.0f + 0x1p-11f, 1.0f + 0x3p-11f, -0x1p-24f,    0x1p-25f,   0x3p-25f,
                                65519.0f, 65520.0f,        -1e30f,          0x1.ffcp-15f, 0.0f,       -0.0f,
                                1e-40f,   0x1.ffep-15f,    2049.0f,         2051.0f,      -0x1.8p-24f};
  const std::vector<uint16_t> f16 = {0x3c00, 0x3c00, 0x3c02, 0x8001, 0x0000, 0x0002, 0x7bff, 0x7c00, 0xfc00,
                                     0x0400, 0x0000, 0x8000, 0x0000, 0x0400, 0x6800, 0x6802, 0x8002};
  const std::vector<uint16_t> bf16 = {0x3f80, 0x3f80, 0x3f80, 0xb380, 0x3300, 0x33c0, 0x4780, 0x4780, 0xf14a,
                                      0x3880, 0x0000, 0x8000, 0x0001, 0x3880, 0x4500, 0x4500, 0xb3c0};
  for (const Kernels& level : test::levels()) {
    const auto half = stored(level, DType::kF16, x, 37);
    const auto brain = stored(level, DType::kBF16, x, 63);
    for (size_t i = 0; i < x.size(); ++i) {
      for (int part = 0; part < 2; ++part) {
        EXPECT_EQ(f16[i], half[i][part]) << level.level << ": f16 of " << x[i];
        EXPECT_EQ(bf16[i], brain[i][part]) << level.level << ": bf16 of " << x[i];
      }
    }
  }
}

// codes and scale by hand: max 254 gives d = 2; 127 / 254 halves, and halves round away from zero.
TEST(KvStore, Q8_0CodesRoundHalvesAwayFromZero) {
  std::vector<float> x(32, 0.0f);
  x[0] = -254.0f, x[1] = 3.0f, x[2] = -3.0f, x[3] = 1.0f, x[4] = 0.99f, x[31] = 253.0f;
  const Shape shape = make(1, 1, 32, DType::kQ8_0);
  for (const Kernels& level : test::levels()) {
    Cache cache(shape);
    KvRow row = cache.row(0, 64, 0);
    row.past = 5;
    row.count = 1;
    Launch launch;
    level.kv_store({.k = x.data(), .v = x.data(), .rows = &row, .n_rows = 1, .layout = cache.layout()}, launch);
    const std::byte* k = row.pages[0] + cache.layout().k_offset;
    const std::byte* v = row.pages[0] + cache.layout().v_offset;
    const int8_t expected[] = {-127, 2, -2, 1, 0};
    for (int d = 0; d < 5; ++d) {
      EXPECT_EQ(expected[d], static_cast<int8_t>(k[d * 64 + 5])) << level.level << " key " << d;
      EXPECT_EQ(expected[d], static_cast<int8_t>(v[5 * 32 + d])) << level.level << " value " << d;
    }
    EXPECT_EQ(127, static_cast<int8_t>(k[31 * 64 + 5]));
    EXPECT_EQ(0x4000, reinterpret_cast<const uint16_t*>(k + 32 * 64)[5]) << level.level;
    EXPECT_EQ(0x4000, reinterpret_cast<const uint16_t*>(v + 32 * 64)[5]) << level.level;
    EXPECT_EQ(std::byte{0xff}, k[4]) << "a neighbour was written";
  }
}

}  // namespace
}  // namespace godwit
