// Products with F32, F16 and BF16 weights: the scalar level against sums in double, every other level against scalar,
// bit for bit; a row's bits do not depend on the rows and outputs beside it.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/harness.h"
#include "tensor/float16.h"

namespace godwit {
namespace {

using test::Fenced;
using test::filled;
using test::Random;

struct Form {
  DType type;
  bool exact;
  const char* name;
};
constexpr Form kForms[] = {{DType::kF32, false, "f32"},   {DType::kF32, true, "f32 exact"},
                           {DType::kF16, false, "f16"},   {DType::kF16, true, "f16 exact"},
                           {DType::kBF16, false, "bf16"}, {DType::kBF16, true, "bf16 exact"}};

size_t element_bytes(DType type) { return type == DType::kF32 ? 4 : 2; }

/// Weights in their type's bytes.
std::vector<std::byte> encoded(DType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * element_bytes(type));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = type == DType::kF16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
    if (type == DType::kF32) std::memcpy(bytes.data() + 4 * i, &values[i], 4);
    if (type != DType::kF32) std::memcpy(bytes.data() + 2 * i, &half, 2);
  }
  return bytes;
}

double decoded(DType type, const std::vector<std::byte>& bytes, size_t i) {
  uint16_t half;
  float single;
  if (type == DType::kF32) {
    std::memcpy(&single, bytes.data() + 4 * i, 4);
    return single;
  }
  std::memcpy(&half, bytes.data() + 2 * i, 2);
  return type == DType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
}

struct Case {
  int64_t rows, n, k;
  std::vector<float> x;
  std::vector<std::byte> w;
  std::vector<float> bias;  // empty: none
};

std::vector<uint16_t> rounded(const Kernels& kernels, const std::vector<float>& x) {
  test::Threads one(1);
  const Fenced<float> x_memory(x);
  Fenced<uint16_t> y(x.size());
  kernels.round_bf16({.y = y.data(), .x = x_memory.data(), .count = static_cast<int64_t>(x.size())}, one.launch());
  return {y.span().begin(), y.span().end()};
}

/// All outputs of a case, computed as tasks of `chunk` outputs.
std::vector<float> product(const Kernels& kernels, const Form& form, const Case& c, int64_t chunk = 1 << 20) {
  const Fenced<float> x(c.x), bias(c.bias);
  const Fenced<uint16_t> x_bf16(rounded(kernels, c.x));
  const Fenced<std::byte> w(c.w);
  Fenced<float> y(static_cast<size_t>(c.rows * c.n));
  const Activations activations{.f32 = x.data(), .bf16 = x_bf16.data(), .rows = c.rows, .k = c.k};
  const ProductMatrix matrix{
      .type = form.type, .w = w.data(), .y = y.data(), .bias = c.bias.empty() ? nullptr : bias.data(), .n = c.n};
  const auto* tiles = form.exact ? kernels.exact_product_tile : kernels.product_tile;
  for (int64_t first = 0; first < c.n; first += chunk) {
    tiles[static_cast<int>(form.type)](matrix, activations, first, std::min(chunk, c.n - first));
  }
  return {y.span().begin(), y.span().end()};
}

template <class F>
Case make_case(Random& random, const Form& form, int64_t rows, int64_t n, int64_t k, const F& value) {
  Case c{.rows = rows, .n = n, .k = k, .x = {}, .w = {}, .bias = {}};
  c.x = filled(static_cast<size_t>(rows * k), value);
  c.w = encoded(form.type, filled(static_cast<size_t>(n * k), value));
  if (random.below(2) == 0) c.bias = filled(static_cast<size_t>(n), value);
  return c;
}

TEST(FloatProduct, ScalarMatchesItsDefinition) {
  Random random(1);
  for (const Form& form : kForms) {
    for (const int64_t k : {1, 16, 31, 64, 577, 4096}) {
      const Case c = make_case(random, form, 3, 5, k, [&] { return random.normal(); });
      const std::vector<float> y = product(scalar_kernels(), form, c);
      for (size_t row = 0; row < 3; ++row) {
        for (size_t o = 0; o < 5; ++o) {
          double sum = c.bias.empty() ? 0 : c.bias[o], size = std::fabs(sum);
          for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
            const double w = decoded(form.type, c.w, o * static_cast<size_t>(k) + i);
            float x = c.x[row * static_cast<size_t>(k) + i];
            if (form.type == DType::kBF16 && !form.exact) x = bf16_to_f32(f32_to_bf16(x));
            sum += w * x;
            size += std::fabs(w * x);
          }
          // k / 16 roundings in a lane, four in the tree, one for the bias.
          ASSERT_NEAR(y[row * 5 + o], sum, (static_cast<double>(k) / 16 + 6) * 0x1p-24 * size) << form.name << " " << k;
        }
      }
    }
  }
}

TEST(FloatProduct, BF16PairsTakeTheOddElementFirst) {
  // All in lane 0: -2^24, then of pair 16 the odd element, 2^24, and then the even one, 0.5. The even one first would
  // be lost in -2^24.
  Case c{.rows = 1, .n = 1, .k = 34, .x = std::vector<float>(34), .w = {}, .bias = {}};
  c.x[1] = -0x1p24f;
  c.x[32] = 0.5f;
  c.x[33] = 0x1p24f;
  c.w = encoded(DType::kBF16, std::vector<float>(34, 1.0f));
  for (const Kernels& kernels : test::levels()) {
    EXPECT_EQ(product(kernels, {DType::kBF16, false, ""}, c), std::vector<float>{0.5f}) << kernels.level;
  }
  // Lanes are pairs: elements 0 and 16 are lanes 0 and 8, the tree's first sum; as single elements both are lane 0.
  c.x.assign(34, 0.0f);
  c.x[0] = 1.0f;
  c.x[16] = 0x1p24f;
  c.x[32] = -0x1p24f;
  for (const Kernels& kernels : test::levels()) {
    EXPECT_EQ(product(kernels, {DType::kBF16, false, ""}, c), std::vector<float>{1.0f}) << kernels.level;
    EXPECT_EQ(product(kernels, {DType::kBF16, true, ""}, c), std::vector<float>{0.0f}) << kernels.level;
  }
}

TEST(FloatProduct, EveryLevelEqualsScalar) {
  Random random(2);
  const auto ordinary = [&] { return random.normal(); };
  const auto wide = [&] { return random.wide(-70, 20); };  // products that are denormal, cancelling sums
  const auto awkward = [&] { return random.below(25) == 0 ? random.awkward() : random.normal(); };
  for (const Form& form : kForms) {
    for (int64_t k = 1; k <= 70; ++k) {
      for (const int64_t rows : {int64_t{0}, int64_t{1}, 2 + k % 13}) {
        const int64_t n = 1 + random.below(37);
        const Case cases[] = {make_case(random, form, rows, n, k, ordinary), make_case(random, form, rows, n, k, wide),
                              make_case(random, form, rows, n, k, awkward)};
        for (const Case& c : cases) {
          const std::vector<float> expected = product(scalar_kernels(), form, c);
          for (const Kernels& kernels : test::levels()) {
            test::expect_same_bits(expected, product(kernels, form, c, 16),
                                   std::string(form.name) + " at " + kernels.level + ", k " + std::to_string(k));
          }
        }
      }
    }
  }
}

TEST(FloatProduct, ARowHasTheSameBitsAloneAndInABatch) {
  Random random(3);
  for (const Form& form : kForms) {
    const Case all = make_case(random, form, 150, 35, 1999, [&] { return random.normal(); });
    for (const Kernels& kernels : test::levels()) {
      if (kernels.level == std::string("scalar")) continue;
      const std::vector<float> batch = product(kernels, form, all);
      for (const int64_t row : {0, 1, 77, 149}) {
        Case one = all;
        one.rows = 1;
        one.x.assign(all.x.begin() + row * all.k, all.x.begin() + (row + 1) * all.k);
        const std::vector<float> alone = product(kernels, form, one, 16);
        test::expect_same_bits({batch.data() + row * all.n, static_cast<size_t>(all.n)}, alone, form.name);
        if (row == 77) test::expect_same_bits(product(scalar_kernels(), form, one), alone, form.name);
      }
    }
  }
}

TEST(FloatProduct, RoundingToBF16) {
  const auto bits = [](uint32_t pattern) { return float_from_bits(pattern); };
  const std::vector<float> x = {1.0f,
                                bits(0x3f808000),
                                bits(0x3f818000),
                                bits(0x3f808001),
                                bits(0x7f7fffff),
                                bits(0x7f800000),
                                bits(0xff800000),
                                bits(0x7f800001),
                                bits(0xffc12345),
                                bits(0x00008001),
                                bits(0x00018000),
                                bits(0x80000001),
                                -0.0f,
                                bits(0x00008000)};
  const std::vector<uint16_t> expected = {0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x7f80, 0xff80,
                                          0x7fc0, 0x7fc0, 0x0001, 0x0002, 0x8000, 0x8000, 0x0000};
  Random random(4);
  for (const Kernels& kernels : test::levels()) EXPECT_EQ(rounded(kernels, x), expected) << kernels.level;
  for (size_t n = 0; n <= 70; ++n) {
    const std::vector<float> any = filled(n, [&] { return bits(static_cast<uint32_t>(random.bits())); });
    for (const Kernels& kernels : test::levels()) EXPECT_EQ(rounded(kernels, any), rounded(scalar_kernels(), any));
  }
}

}  // namespace
}  // namespace godwit
