// Quantized products: the scalar level against a definition in double over values that gguf-py decoded, and every other
// level, layout, number of rows and number of threads against the scalar level, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/product_data.h"

namespace godwit::test {
namespace {

constexpr float kGuard = -12345.75f;

class Products : public ::testing::Test {
 protected:
  void SetUp() override {
    saved_ = _mm_getcsr();
    flush_denormals();
  }
  void TearDown() override { _mm_setcsr(saved_); }

  std::mt19937 random_{20};
  unsigned saved_ = 0;
};

// All outputs of one matrix by one tile; checks that nothing around y is written.
std::vector<float> run_tile(const Kernels& kernels, Weights& w, bool in_panels, const TestActivations& x, bool exact,
                            const float* bias = nullptr) {
  constexpr size_t kMargin = 64;
  std::vector<float> y(x.rows * w.n + 2 * kMargin, kGuard);
  const ProductMatrix matrix = w.matrix(in_panels, y.data() + kMargin, bias);
  const auto type = static_cast<size_t>(matrix.type);
  (exact ? kernels.exact_product_tile : kernels.product_tile)[type](matrix, x.view(), 0, w.n);
  for (size_t i = 0; i < kMargin; ++i) {
    EXPECT_EQ(y[i], kGuard);
    EXPECT_EQ(y[y.size() - 1 - i], kGuard);
  }
  return {y.begin() + kMargin, y.end() - kMargin};
}

// Every level and layout gives the scalar level's bits for the row-major matrix.
void expect_equal_levels(Weights& w, const TestActivations& x, const float* bias = nullptr) {
  const std::vector<Kernels> all = levels();
  for (const bool exact : {false, true}) {
    const std::vector<float> expected = run_tile(all[0], w, false, x, exact, bias);
    for (const Kernels& kernels : all) {
      for (const bool in_panels : {false, true}) {
        if (in_panels && w.packed == DType::kF32) continue;
        EXPECT_TRUE(same_bits(run_tile(kernels, w, in_panels, x, exact, bias), expected))
            << name(w.type) << (in_panels ? " panels " : " rows ") << kernels.level << (exact ? " exact " : " ") << w.n
            << " x " << w.k << ", rows " << x.rows;
      }
    }
  }
}

TEST_F(Products, QuantizedActivationsAreTheNearestCodes) {
  std::vector<float> values = normal_values(3 * 96, random_);
  for (int i = 0; i < 32; ++i) {
    values[32 + i] = 0.0f;
    values[64 + i] *= 0x1p-104f;  // below 2^-100
    values[128 + i] = static_cast<float>(i) - 15.5f;
  }
  values[130] = 127.0f;  // scale 1: halves go to even
  values[200] = std::numeric_limits<float>::quiet_NaN();
  values[230] = -std::numeric_limits<float>::infinity();
  for (const Kernels& kernels : levels()) {
    const TestActivations a = activations(3, 96, values, kernels);
    for (int64_t g = 0; g < 9; ++g) {
      double max = 0;
      bool finite = true;
      for (int64_t i = 32 * g; i < 32 * g + 32; ++i) {
        max = std::max(max, std::fabs(static_cast<double>(values[i])));
        finite = finite && std::isfinite(values[i]);
      }
      int sums[2] = {};
      for (int64_t i = 0; i < 32; ++i) sums[i / 16] += a.codes[32 * g + i];
      EXPECT_EQ(a.sums[2 * g], sums[0]);
      EXPECT_EQ(a.sums[2 * g + 1], sums[1]);
      if (!finite || max < 0x1p-100) {
        EXPECT_TRUE(std::all_of(&a.codes[32 * g], &a.codes[32 * g] + 32, [](int8_t c) { return c == 0; })) << g;
        EXPECT_TRUE(finite ? a.scales[g] == 0.0f : std::isnan(a.scales[g])) << g;
        continue;
      }
      EXPECT_EQ(a.scales[g], static_cast<float>(max) / 127.0f);
      for (int64_t i = 32 * g; i < 32 * g + 32; ++i) {
        EXPECT_NEAR(a.codes[i], values[i] * 127.0 / max, 0.5 + 1e-5) << i;
      }
    }
    EXPECT_EQ(a.codes[128], -16);  // -15.5
    EXPECT_EQ(a.codes[129], -14);  // -14.5
    EXPECT_EQ(a.codes[131], -12);  // -12.5
  }
}

TEST_F(Products, EveryLevelQuantizesAlike) {
  std::vector<float> values = normal_values(40 * 1024, random_);
  for (float& v : values) v *= std::exp2(static_cast<float>(static_cast<int>(random_() % 200)) - 110);
  for (int i = 0; i < 40; ++i)
    values[random_() % values.size()] = std::bit_cast<float>(static_cast<uint32_t>(0x7f800000u | random_() << 22));
  const std::vector<Kernels> all = levels();
  const TestActivations expected = activations(40, 1024, values, all[0]);
  for (const Kernels& kernels : all) {
    const TestActivations got = activations(40, 1024, values, kernels);
    EXPECT_EQ(got.codes, expected.codes) << kernels.level;
    EXPECT_EQ(got.sums, expected.sums) << kernels.level;
    EXPECT_TRUE(same_bits(got.scales, expected.scales)) << kernels.level;
  }
}

// Values of a group span its minimum: |code * scale| and |minimum| are below this multiple of the group's largest.
double magnitude(const std::vector<float>& values, int64_t at, int64_t group, bool has_minimum) {
  if (!has_minimum) return std::fabs(values[at]);
  const auto first = values.begin() + at / group * group;
  const auto [low, high] = std::minmax_element(first, first + group);
  return std::fabs(values[at]) + 64.0 * (static_cast<double>(*high) - *low);
}

TEST_F(Products, ScalarMeetsTheDefinitionInDouble) {
  constexpr int64_t kN = 19, kK = 768, kRows = 3;
  const Kernels kernels = scalar_kernels();
  for (const DType type : kQuantizedTypes) {
    std::vector<float> values;
    Weights w = golden_weights(type, kN, kK, random_, values);
    const TestActivations x = activations(kRows, kK, normal_values(kRows * kK, random_), kernels);
    const std::vector<float> bias = normal_values(kN, random_);
    const bool has_minimum = type == DType::kQ4_1 || type == DType::kQ5_1 || type == DType::kQ2_K ||
                             type == DType::kQ4_K || type == DType::kQ5_K;
    for (const bool exact : {false, true}) {
      const std::vector<float> y = run_tile(kernels, w, false, x, exact, bias.data());
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t o = 0; o < kN; ++o) {
          double sum = 0, size = 0;
          for (int64_t i = 0; i < kK; ++i) {
            const double a =
                exact ? x.f32[r * kK + i] : static_cast<double>(x.codes[r * kK + i]) * x.scales[(r * kK + i) / 32];
            sum += values[o * kK + i] * a;
            size += magnitude(values, o * kK + i, 16, has_minimum) * std::fabs(a);
          }
          const double terms = exact ? kK : kK / 16;
          const double bound = (terms + 4) * 0x1p-24 * (size + std::fabs(bias[o])) + 1e-30;
          EXPECT_NEAR(y[r * kN + o], sum + bias[o], bound) << name(type) << " output " << o << " row " << r;
        }
      }
    }
  }
}

TEST_F(Products, LookedUpRowsAreTheDecodedValues) {
  Launch launch;
  for (const DType type : kQuantizedTypes) {
    const int64_t k = 2 * info(type).block, n = golden_blocks(type).count / 2;
    const GoldenBlocks golden = golden_blocks(type);
    Weights w{type, n, k, golden.bytes, Aligned(0)};
    pack(w);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(n - 1 - i));
    for (const bool in_panels : {false, true}) {
      if (in_panels && w.packed == DType::kF32) continue;
      std::vector<float> y(n * k), scaled(n * k);
      const ProductMatrix m = w.matrix(in_panels, nullptr);
      scalar_kernels().embed({y.data(), ids.data(), m.w, m.type, n, k, n, 1.0f}, launch);
      scalar_kernels().embed({scaled.data(), ids.data(), m.w, m.type, n, k, n, 3.5f}, launch);
      for (int64_t i = 0; i < n * k; ++i) {
        float expected = golden.values[(n - 1 - i / k) * k + i % k];
        if (std::fabs(expected) < std::numeric_limits<float>::min()) expected = 0;  // flushed
        if (type == DType::kMXFP4 && golden.bytes[((n - 1 - i / k) * k + i % k) / 32 * 17] < std::byte{2}) expected = 0;
        ASSERT_EQ(y[i], expected) << name(type) << " element " << i;
        ASSERT_EQ(scaled[i], expected * 3.5f) << name(type) << " element " << i;
      }
    }
  }
}

TEST_F(Products, SixteenBitTablesAreLookedUp) {
  const uint16_t half[4] = {0x3c00, 0xc000, 0x0001, 0x7c00}, bf16[4] = {0x3f80, 0xc000, 0x4049, 0x7f80};
  const float halves[4] = {1, -2, 0x1p-24f, std::numeric_limits<float>::infinity()};
  const float bf16s[4] = {1, -2, 3.140625f, std::numeric_limits<float>::infinity()};
  const int32_t ids[3] = {1, 0, 1};
  Launch launch;
  float y[6];
  const auto look_up = [&](const void* table, DType type) {
    scalar_kernels().embed({y, ids, static_cast<const std::byte*>(table), type, 3, 2, 2, 1.0f}, launch);
  };
  const auto expect_rows = [&](const float* values) {
    for (int i = 0; i < 6; ++i) EXPECT_EQ(y[i], values[2 * ids[i / 2] + i % 2]) << i;
  };
  look_up(half, DType::kF16), expect_rows(halves);
  look_up(bf16, DType::kBF16), expect_rows(bf16s);
  look_up(halves, DType::kF32), expect_rows(halves);
}

TEST_F(Products, PanelsGiveBackTheFile) {
  for (const DType type : kQuantizedTypes) {
    if (!packed_type(type)) continue;
    for (const int64_t n : {1, 16, 37}) {
      for (const int64_t blocks : {1, 2, 3, 4, 5, 7}) {
        Weights w = random_weights(type, n, blocks * info(type).block, random_, false);
        EXPECT_EQ(static_cast<int64_t>(w.panels.size()), matrix_bytes(w.packed, n, w.k));
        std::vector<std::byte> back(w.rows.size());
        const int64_t row_bytes = matrix_bytes(type, 1, w.k);
        for (int64_t r = 0; r < n; ++r) unpack_row(w.packed, w.panels.data(), r, w.k, back.data() + r * row_bytes);
        EXPECT_EQ(back, w.rows) << name(type) << " " << n << " x " << w.k;
      }
    }
  }
}

TEST_F(Products, EveryLevelAndLayoutGivesTheSameBits) {
  for (const DType type : kQuantizedTypes) {
    for (int round = 0; round < 12; ++round) {
      const int64_t n = round == 0 ? 1 : 1 + random_() % 150;
      const int64_t k = info(type).block * (1 + random_() % (info(type).block == 32 ? 40 : 6));
      const int64_t rows = round == 1 ? 70 : 1 + random_() % 19;
      Weights w = random_weights(type, n, k, random_, true);
      const TestActivations x = activations(rows, k, normal_values(rows * k, random_), scalar_kernels());
      const std::vector<float> bias = normal_values(n, random_);
      expect_equal_levels(w, x, round % 2 == 0 ? bias.data() : nullptr);
    }
  }
}

TEST_F(Products, EveryNumberOfRowsGivesTheSameBits) {
  for (const DType type : kQuantizedTypes) {
    const int64_t n = 53, k = 1024;
    Weights w = random_weights(type, n, k, random_, true);
    const std::vector<float> values = normal_values(19 * k, random_);
    const TestActivations all = activations(19, k, values, scalar_kernels());
    const std::vector<float> expected = run_tile(scalar_kernels(), w, false, all, false);
    for (int64_t rows = 1; rows <= 19; ++rows) {
      const TestActivations x = activations(rows, k, {values.begin(), values.begin() + rows * k}, scalar_kernels());
      for (const Kernels& kernels : levels()) {
        const bool in_panels = w.packed != DType::kF32;
        const std::vector<float> y = run_tile(kernels, w, in_panels, x, false);
        EXPECT_TRUE(same_bits(y, {expected.begin(), expected.begin() + rows * n}))
            << name(type) << " " << kernels.level << " rows " << rows;
      }
    }
  }
}

TEST_F(Products, LongRowsAndManyRowsGiveTheSameBits) {
  for (const DType type :
       {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ8_0, DType::kQ4_K, DType::kQ6_K, DType::kMXFP4}) {
    for (const auto& [n, k, rows] : {std::array<int64_t, 3>{17, 33024, 5}, {16, 66048, 1}, {35, 512, 141}}) {
      Weights w = random_weights(type, n, k, random_, true);
      expect_equal_levels(w, activations(rows, k, normal_values(rows * k, random_), scalar_kernels()));
    }
  }
}

TEST_F(Products, ExtremesGiveTheSameBits) {
  constexpr int64_t kK = 768;
  for (const DType type : kQuantizedTypes) {
    for (const int64_t rows : {1, 5, 20}) {
      std::vector<float> unused;
      Weights golden = golden_weights(type, 33, kK, random_, unused);  // zero, subnormal and largest scales
      Weights wild = random_weights(type, 33, kK, random_, false);     // non-finite scales too
      Weights zero{type, 20, kK, std::vector<std::byte>(matrix_bytes(type, 20, kK)), Aligned(0)};
      pack(zero);
      std::vector<float> values = normal_values(rows * kK, random_);
      const TestActivations plain = activations(rows, kK, values, scalar_kernels());
      for (int i = 0; i < 32; ++i) values[i] = 0;
      for (int i = 64; i < 256; ++i) values[i] *= 0x1p-99f;  // products of scales underflow
      const TestActivations tiny = activations(rows, kK, values, scalar_kernels());
      values[300] = std::numeric_limits<float>::infinity();
      values[(rows - 1) * kK + 700] = std::numeric_limits<float>::quiet_NaN();
      const TestActivations broken = activations(rows, kK, values, scalar_kernels());
      const TestActivations nothing = activations(rows, kK, std::vector<float>(rows * kK), scalar_kernels());
      for (Weights* w : {&golden, &wild, &zero}) {
        for (const TestActivations* x : {&plain, &tiny, &broken, &nothing}) expect_equal_levels(*w, *x);
      }
      for (const float y : run_tile(scalar_kernels(), zero, false, broken, false)) {
        EXPECT_TRUE(rows > 1 || std::isnan(y)) << name(type);
      }
      for (const float y : run_tile(scalar_kernels(), golden, false, nothing, false)) EXPECT_EQ(y, 0.0f) << name(type);
    }
  }
}

// Exponents of 0 and 1 are subnormal scales. Threads that do not flush them show that their bits are right.
TEST_F(Products, SmallestScalesOfMxfp4) {
  constexpr int64_t kK = 160, kN = 21;
  Weights w = random_weights(DType::kMXFP4, kN, kK, random_, false);
  for (size_t b = 0; b < w.rows.size(); b += 17) w.rows[b] = static_cast<std::byte>(b / 17 % 4);
  pack(w);
  for (const int64_t rows : {1, 9}) {
    std::vector<float> values = normal_values(rows * kK, random_);
    for (float& v : values) v *= 0x1p100f;
    const TestActivations x = activations(rows, kK, values, scalar_kernels());
    expect_equal_levels(w, x);
    _mm_setcsr(saved_ & ~0x8040u);
    expect_equal_levels(w, x);
    const std::vector<float> y = run_tile(scalar_kernels(), w, true, x, true);
    for (int64_t i = 0; i < rows * kN; ++i) {
      double sum = 0, size = 0;
      for (int64_t e = 0; e < kK; ++e) {
        constexpr int kTwice[8] = {0, 1, 2, 3, 4, 6, 8, 12};
        const auto* block = w.rows.data() + (i % kN * kK + e) / 32 * 17;
        const auto byte = std::to_integer<int>(block[1 + e % 16]);
        const int nibble = e % 32 < 16 ? byte & 15 : byte >> 4;
        const double value = std::ldexp(kTwice[nibble & 7], std::to_integer<int>(block[0]) - 128);
        const double term = (nibble < 8 ? value : -value) * x.f32[i / kN * kK + e];
        sum += term;
        size += std::fabs(term);
      }
      EXPECT_NEAR(y[i], sum, 0x1p-24 * kK * size) << i;
      EXPECT_NE(y[i], 0.0f) << i;
    }
    flush_denormals();
  }
}

// The sign of the most negative code and the largest sums that integer tricks could saturate on.
TEST_F(Products, LargestCodesDoNotSaturate) {
  constexpr int64_t kK = 256;
  for (const DType type : kQuantizedTypes) {
    for (const int fill : {0x00, 0xff, 0x80, 0x7f, 0x88}) {
      Weights w{type, 17, kK, std::vector<std::byte>(matrix_bytes(type, 17, kK), static_cast<std::byte>(fill)),
                Aligned(0)};
      tame(w);
      pack(w);
      for (const float odd : {1.0f, -1.0f}) {
        for (const int64_t rows : {1, 3, 6, 20}) {
          std::vector<float> values(rows * kK, -1.0f);
          for (size_t i = 1; i < values.size(); i += 2) values[i] = odd;
          const TestActivations x = activations(rows, kK, values, scalar_kernels());
          expect_equal_levels(w, x);
          for (const float y : run_tile(scalar_kernels(), w, false, x, false)) EXPECT_TRUE(std::isfinite(y));
          for (float& v : values) v = -v;
          expect_equal_levels(w, activations(rows, kK, values, scalar_kernels()));
        }
      }
    }
  }
}

TEST_F(Products, TheOrderOfGroupsShows) {
  // Swapping two groups of both operands leaves the exact sum and changes the bits: the comparison above sees orders.
  constexpr int64_t kN = 64, kK = 512;
  Weights w = random_weights(DType::kQ8_0, kN, kK, random_, true);
  std::vector<float> values = normal_values(kK, random_);
  const std::vector<float> y =
      run_tile(scalar_kernels(), w, false, activations(1, kK, values, scalar_kernels()), false);
  std::swap_ranges(values.begin(), values.begin() + 32, values.begin() + 320);
  for (int64_t o = 0; o < kN; ++o) {
    std::byte* row = w.rows.data() + o * kK / 32 * 34;
    std::swap_ranges(row, row + 34, row + 340);
  }
  const std::vector<float> swapped =
      run_tile(scalar_kernels(), w, false, activations(1, kK, values, scalar_kernels()), false);
  EXPECT_FALSE(same_bits(y, swapped));
}

TEST_F(Products, SeveralMatricesOnAnyNumberOfThreads) {
  constexpr int64_t kK = 1024;
  const DType types[4] = {DType::kQ8_0, DType::kQ6_K, DType::kQ5_1, DType::kQ4_0};
  const int64_t n[4] = {515, 64, 7, 1200};
  std::vector<Weights> weights;
  for (int i = 0; i < 4; ++i) weights.push_back(random_weights(types[i], n[i], kK, random_, true));
  const std::vector<float> bias = normal_values(1200, random_);
  for (const int64_t rows : {1, 9}) {
    const TestActivations x = activations(rows, kK, normal_values(rows * kK, random_), scalar_kernels());
    for (const bool exact : {false, true}) {
      for (const Kernels& kernels : levels()) {
        for (const int n_threads : {1, 2, 5}) {
          std::vector<float> y[4];
          ProductArgs args{.x = x.view(), .matrix = {}, .n_matrices = 4, .exact = exact};
          for (int i = 0; i < 4; ++i) {
            y[i].assign(rows * n[i], kGuard);
            args.matrix[i] =
                weights[i].matrix(weights[i].packed != DType::kF32, y[i].data(), i == 3 ? bias.data() : nullptr);
          }
          Launch launch = threads(n_threads);
          kernels.product(args, launch, kernels);
          for (int i = 0; i < 4; ++i) {
            const float* b = i == 3 ? bias.data() : nullptr;
            EXPECT_TRUE(same_bits(y[i], run_tile(scalar_kernels(), weights[i], false, x, exact, b)))
                << i << " " << kernels.level << " threads " << n_threads;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace godwit::test
