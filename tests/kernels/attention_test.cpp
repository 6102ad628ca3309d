// Attention: against the definition in double, against the order of docs/numerics.md taken
// literally, and every level against scalar bit for bit, whatever the chunking, company and threads.
#include "kernels/attention_cases.h"

namespace godwit {
namespace {

using test::Cache;
using test::describe;
using test::Feed;
using test::kTypes;
using test::latent;
using test::make;
using test::Order;
using test::Random;
using test::random_shape;
using test::Shape;
using test::some_sinks;
using test::Threads;
using test::Tokens;

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
      if (window == 1 || window == 600) shape.sinks = some_sinks(random, shape);
      if (window == 7 || window == 600) shape.softcap = 2;
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

TEST(Attention, OfLatentsIsTheDefinitionWithinRounding) {
  Random random(12);
  for (const DType type : kTypes) {
    for (const DType rope_type : {DType::kF16, DType::kF32}) {
      Shape shape = latent(5, 32, 8, rope_type, type);
      if (rope_type == DType::kF32) shape.sinks = some_sinks(random, shape);
      for (const int64_t n : {1, 65, 600}) {
        const Tokens tokens(shape, n, random.bits());
        const std::vector<float> y = tail(scalar_kernels(), 1, shape, tokens, n - 1);
        const std::vector<test::Exact> exact = definition(shape, tokens, n - 1);
        for (size_t i = 0; i < y.size(); ++i) {
          ASSERT_NEAR(exact[i].value, y[i], exact[i].bound) << describe(shape) << ", " << n << " tokens, " << i;
          ASSERT_LT(exact[i].bound, 2e-3);
        }
      }
    }
  }
}

TEST(Attention, IsInTheCanonicalOrderAndNoOther) {
  Random random(13);
  Shape everything = latent(4, 40, 16, DType::kF16, DType::kBF16);
  everything.softcap = 5;
  everything.sinks = some_sinks(random, everything);
  for (const Kernels& level : test::levels()) {
    for (const Shape& shape :
         {make(4, 1, 24, DType::kF16), make(4, 1, 24, DType::kF16, 600), std::as_const(everything)}) {
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

// The widest latents, whose results fill more than one wave of waiting segments.
TEST(Attention, WideLatentsFillEveryTile) {
  Random random(14);
  const std::vector<Kernels> levels = test::levels();
  for (const auto& [n_heads, n, from] : {std::array<int64_t, 3>{24, 1100, 1092}, {128, 70, 67}}) {
    Shape shape = latent(n_heads, 512, 64, DType::kF16, n_heads == 24 ? DType::kF32 : DType::kQ8_0);
    shape.sinks = some_sinks(random, shape);
    const Tokens tokens(shape, n, random.bits());
    const std::vector<float> expected = tail(levels[0], 2, shape, tokens, from);
    for (size_t level = 1; level < levels.size(); ++level) {
      for (const int n_threads : {1, 3}) {
        test::expect_same_bits(expected, tail(levels[level], n_threads, shape, tokens, from),
                               levels[level].level + (": " + describe(shape)));
      }
    }
  }
}

// Absorbed into query and output, the up-projections W_k and W_v of latents give what attention over the heads' keys
// and values gives, expanded from the same latents: here in double.
TEST(Attention, OfLatentsIsAttentionOverExpandedHeads) {
  constexpr int64_t kHeads = 4, kRank = 48, kNope = 24, kRope = 8, kValue = 20, kTokens = 600;
  Shape shape = latent(kHeads, kRank, kRope, DType::kF32, DType::kF32);
  shape.scale = 1.0f / std::sqrt(static_cast<float>(kNope + kRope));
  Random random(15);
  const auto weights = [&](int64_t n) {
    return test::filled(static_cast<size_t>(n), [&] { return random.normal() / std::sqrt(static_cast<float>(kRank)); });
  };
  const std::vector<float> w_k = weights(kHeads * kNope * kRank), w_v = weights(kHeads * kValue * kRank);
  Tokens tokens(shape, kTokens, 16);
  const auto at = [](const std::vector<float>& x, int64_t i) { return static_cast<double>(x[static_cast<size_t>(i)]); };
  std::vector<std::vector<double>> expanded;  // of the last token's heads
  for (int64_t h = 0; h < kHeads; ++h) {
    const std::vector<float> nope = weights(kNope);
    float* q = tokens.q.data() + ((kTokens - 1) * kHeads + h) * shape.k_dim;
    for (int64_t i = 0; i < kRank; ++i) {
      double sum = 0;
      for (int64_t n = 0; n < kNope; ++n) sum += at(nope, n) * at(w_k, (h * kNope + n) * kRank + i);
      q[i] = static_cast<float>(sum);
    }
    double total = 0;
    std::vector<double> out(kValue, 0.0);
    for (int64_t j = 0; j < kTokens; ++j) {
      const auto up = [&](const std::vector<float>& w, int64_t row) {
        double sum = 0;
        for (int64_t i = 0; i < kRank; ++i) sum += at(w, row * kRank + i) * at(tokens.v, j * kRank + i);
        return sum;
      };
      double score = 0;
      for (int64_t n = 0; n < kNope; ++n) score += at(nope, n) * up(w_k, h * kNope + n);
      for (int64_t n = 0; n < kRope; ++n) score += static_cast<double>(q[kRank + n]) * at(tokens.k, j * kRope + n);
      const double p = std::exp(score * static_cast<double>(shape.scale));
      total += p;
      for (int64_t i = 0; i < kValue; ++i) out[static_cast<size_t>(i)] += p * up(w_v, h * kValue + i);
    }
    for (double& x : out) x /= total;
    expanded.push_back(out);
  }
  for (const Kernels& level : test::levels()) {
    const std::vector<float> z = tail(level, 2, shape, tokens, kTokens - 1);
    double largest = 0, off = 0;
    for (int64_t h = 0; h < kHeads; ++h) {
      for (int64_t i = 0; i < kValue; ++i) {
        double sum = 0;
        for (int64_t n = 0; n < kRank; ++n) sum += at(w_v, (h * kValue + i) * kRank + n) * at(z, h * kRank + n);
        const double truth = expanded[static_cast<size_t>(h)][static_cast<size_t>(i)];
        largest = std::max(largest, std::fabs(truth));
        off = std::max(off, std::fabs(sum - truth));
      }
    }
    EXPECT_LT(off, 1e-5 * largest) << level.level;
  }
}

// A sink that outweighs every key leaves nothing of the values; one of -infinity changes no bit.
TEST(Attention, SinksTakeTheirShare) {
  Shape shape = make(3, 1, 16, DType::kF32);
  const Tokens tokens(shape, 530, 17);
  for (const Kernels& level : test::levels()) {
    shape.sinks.clear();
    const std::vector<float> without = tail(level, 2, shape, tokens, 529);
    shape.sinks = {-std::numeric_limits<float>::infinity(), 1e4f, __builtin_nanf("")};
    const std::vector<float> y = tail(level, 2, shape, tokens, 529);
    for (size_t d = 0; d < 16; ++d) {
      EXPECT_EQ(without[d], y[d]) << level.level;
      EXPECT_EQ(0.0f, y[16 + d]) << level.level;
      EXPECT_TRUE(std::isnan(y[32 + d])) << level.level;
    }
  }
}

TEST(Attention, ChunkingAndThreadsChangeNoBit) {
  Random random(5);
  for (const auto& [from, n] : {std::array<int64_t, 2>{0, 100}, {1000, 1030}}) {
    for (const int64_t window : {0, 7, 64, 600}) {
      Shape shape = make(6, 2, 48, DType::kF16, window);
      if (window == 600) shape = latent(8, 32, 8, DType::kF16, DType::kQ8_0);
      if (window >= 64) shape.sinks = some_sinks(random, shape);
      if (window >= 64) shape.softcap = 3;
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
    Shape shape = make(4, 2, 1 + random.below(40), kTypes[random.below(3)], i % 2 == 0 ? 0 : 40);
    if (i % 3 == 0) shape = latent(4, 1 + random.below(40), 5, DType::kBF16, kTypes[random.below(3)]);
    if (i % 4 == 0) shape.softcap = 4;
    if (i % 4 <= 1) shape.sinks = test::filled(4, [&] { return random.awkward(); });
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

}  // namespace
}  // namespace godwit
