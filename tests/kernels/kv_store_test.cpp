// The key/value cache: every level writes the bytes of the scalar one, and those are rounded as they should be.
#include "kernels/attention_cases.h"

namespace godwit {
namespace {

using test::Cache;
using test::describe;
using test::make;
using test::Random;
using test::Shape;
using test::Threads;
using test::Tokens;

TEST(KvStore, LevelsWriteTheSameBytes) {
  const std::vector<Kernels> levels = test::levels();
  Random random(11);
  for (int i = 0; i < 40; ++i) {
    Shape shape = test::random_shape(random);
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
