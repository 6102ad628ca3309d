// The toy recurrences against their step forms in double: what the chunk-row form computes is the recurrence.
#include "engine/toy_mixers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace godwit {
namespace {

constexpr int64_t kTokens = 150, kHeads = 2, kDk = 8, kDv = 5;

/// Values in [-1, 1) from a stream of random bits.
std::vector<float> values(uint64_t seed, int64_t n) {
  std::vector<float> list;
  for (int64_t i = 0; i < n; ++i)
    list.push_back(static_cast<float>(random_bits(seed, 0, static_cast<uint64_t>(i)) >> 40) * 0x1p-23f - 1.0f);
  return list;
}

std::vector<float> keys(uint64_t seed) {
  std::vector<float> k = values(seed, kTokens * kHeads * kDk);
  for (size_t row = 0; row < k.size(); row += kDk) {
    float square = 0.0f;
    for (size_t n = 0; n < kDk; ++n) square += k[row + n] * k[row + n];
    for (size_t n = 0; n < kDk; ++n) k[row + n] /= std::sqrt(square);
  }
  return k;
}

/// All tokens through the chunk-row form. The rows' v are changed as the core changes them.
std::vector<float> in_chunks(const MatrixCore& core, const std::vector<float>& q, std::vector<float> k,
                             std::vector<float> v, std::vector<float> g) {
  std::vector<float> state(static_cast<size_t>(kHeads * kDk * kDv)), y(v.size());
  MatrixChunk chunk{state.data(), {}, {}, {}};
  for (int64_t t = 0; t < kTokens; ++t) {
    chunk.k.push_back(k.data() + t * kHeads * kDk);
    chunk.v.push_back(v.data() + t * kHeads * kDv);
    chunk.g.push_back(g.data() + t * kHeads);
    core.token(chunk, q.data() + t * kHeads * kDk, y.data() + t * kHeads * kDv);
    if ((t + 1) % kEdgeTokens != 0) continue;
    core.move(chunk, state.data());
    chunk = {state.data(), {}, {}, {}};
  }
  return y;
}

/// One step of the recurrence on one head's state in double, before y is read.
using Step = void (*)(double* s, const float* k, const float* v, float g);

void expect_step_form(const MatrixCore& core, const std::vector<float>& gates, Step step) {
  const auto q = values(1, kTokens * kHeads * kDk), k = keys(2), v = values(3, kTokens * kHeads * kDv);
  const auto got = in_chunks(core, q, k, v, gates);
  double largest = 0.0;
  for (int64_t h = 0; h < kHeads; ++h) {
    std::vector<double> s(static_cast<size_t>(kDk * kDv));
    for (int64_t t = 0; t < kTokens; ++t) {
      const int64_t at = t * kHeads + h;
      step(s.data(), k.data() + at * kDk, v.data() + at * kDv, gates[static_cast<size_t>(at)]);
      for (int64_t p = 0; p < kDv; ++p) {
        double y = 0.0, size = 0.0;
        for (int64_t n = 0; n < kDk; ++n) {
          const double term = q[static_cast<size_t>(at * kDk + n)] * s[static_cast<size_t>(n * kDv + p)];
          y += term, size += std::abs(term);
        }
        largest = std::max(largest, std::abs(y));
        ASSERT_NEAR(got[static_cast<size_t>(at * kDv + p)], y, 1e-5 * (size + 1.0)) << "token " << t << " head " << h;
      }
    }
  }
  EXPECT_GT(largest, 0.5);
}

TEST(ToyMixers, LinearAttentionIsItsRecurrence) {
  auto gates = values(4, kTokens * kHeads);
  for (float& g : gates) g = -0.1f * (g + 1.0f);
  expect_step_form(LinearAttentionCore(kHeads, kDk, kDv), gates,
                   [](double* s, const float* k, const float* v, float g) {
                     for (int64_t n = 0; n < kDk; ++n)
                       for (int64_t p = 0; p < kDv; ++p)
                         s[n * kDv + p] = std::exp(static_cast<double>(g)) * s[n * kDv + p] +
                                          static_cast<double>(k[n]) * static_cast<double>(v[p]);
                   });
}

TEST(ToyMixers, DeltaRuleIsItsRecurrence) {
  auto gates = values(5, kTokens * kHeads);
  for (float& g : gates) g = 0.5f * (g + 1.0f);
  expect_step_form(DeltaRuleCore(kHeads, kDk, kDv), gates, [](double* s, const float* k, const float* v, float g) {
    for (int64_t p = 0; p < kDv; ++p) {
      double seen = 0.0;
      for (int64_t n = 0; n < kDk; ++n) seen += k[n] * s[n * kDv + p];
      for (int64_t n = 0; n < kDk; ++n) s[n * kDv + p] += k[n] * (g * (v[p] - seen));
    }
  });
}

TEST(ToyMixers, DiagonalIsItsRecurrence) {
  constexpr int64_t kWidth = 8;
  const DiagonalCore core{kWidth};
  const auto x = values(6, kTokens * kWidth);
  std::vector<float> tail(DiagonalCore::kTail * kWidth), h(kWidth), y(kWidth);
  std::vector<double> expected(kWidth);
  for (int64_t t = 0; t < kTokens; ++t) {
    core.step(tail.data(), h.data(), x.data() + t * kWidth, y.data());
    for (int64_t c = 0; c < kWidth; ++c) {
      double sum = 0.0;
      for (int64_t i = 0; i <= DiagonalCore::kTail; ++i) {
        const int64_t from = t - DiagonalCore::kTail + i;
        if (from >= 0) sum += static_cast<double>(core.tap(i)) * x[static_cast<size_t>(from * kWidth + c)];
      }
      double& e = expected[static_cast<size_t>(c)];
      e = core.decay(c) * e + (1.0 - core.decay(c)) * sum;
      ASSERT_NEAR(y[static_cast<size_t>(c)], e, 1e-5) << "token " << t;
    }
  }
}

}  // namespace
}  // namespace godwit
