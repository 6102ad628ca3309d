// Weights, activations and levels for the tests of products.
#pragma once

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/harness.h"
#include "kernels/kernels.h"
#include "tensor/dtype.h"
#include "tensor/repack.h"

namespace godwit::test {

inline constexpr std::array<DType, 15> kQuantizedTypes = {DType::kQ4_0,  DType::kQ4_1,  DType::kQ5_0,   DType::kQ5_1,
                                                          DType::kQ8_0,  DType::kQ2_K,  DType::kQ3_K,   DType::kQ4_K,
                                                          DType::kQ5_K,  DType::kQ6_K,  DType::kIQ4_NL, DType::kIQ4_XS,
                                                          DType::kMXFP4, DType::kTQ1_0, DType::kTQ2_0};

/// Flush-to-zero and denormals-are-zero, as in every thread of Godwit.
inline void flush_denormals() { _mm_setcsr(_mm_getcsr() | 0x8040); }

/// A launch that runs its tasks on `n` new threads, handed out one by one.
inline Launch threads(int n) {
  Launch launch;
  launch.n_threads = n;
  launch.run = [](void* pool, int64_t n_tasks, void (*task)(const void*, int64_t), const void* f) {
    std::atomic<int64_t> next{0};
    std::vector<std::thread> all;
    for (intptr_t t = 0; t < reinterpret_cast<intptr_t>(pool); ++t) {
      all.emplace_back([&] {
        flush_denormals();
        for (int64_t i = next++; i < n_tasks; i = next++) task(f, i);
      });
    }
    for (std::thread& t : all) t.join();
  };
  launch.pool = reinterpret_cast<void*>(static_cast<intptr_t>(n));
  return launch;
}

/// Blocks with the values that gguf-py decodes from them (tests/oracle/make_dtypes.py).
struct GoldenBlocks {
  int64_t count = 0;
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

inline GoldenBlocks golden_blocks(DType type) {
  const std::string path = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/dtypes/" + std::string(name(type)) + ".bin";
  std::ifstream file(path, std::ios::binary);
  GoldenBlocks golden;
  uint32_t count = 0;
  file.read(reinterpret_cast<char*>(&count), 4);
  golden.count = count;
  golden.bytes.resize(count * info(type).block_bytes);
  golden.values.resize(count * info(type).block);
  file.read(reinterpret_cast<char*>(golden.bytes.data()), static_cast<std::streamsize>(golden.bytes.size()));
  file.read(reinterpret_cast<char*>(golden.values.data()), static_cast<std::streamsize>(golden.values.size() * 4));
  EXPECT_TRUE(file.good()) << path;
  return golden;
}

/// Bytes at a multiple of 64, as kernels may ask.
class Aligned {
 public:
  explicit Aligned(size_t size) : bytes_(size + 64), size_(size) {}
  std::byte* data() { return bytes_.data() + (64 - reinterpret_cast<uintptr_t>(bytes_.data()) % 64) % 64; }
  size_t size() const { return size_; }

 private:
  std::vector<std::byte> bytes_;
  size_t size_;
};

/// A matrix in its file type and, where there is one, in panels.
struct Weights {
  DType type;
  int64_t n, k;
  std::vector<std::byte> rows;
  Aligned panels{0};
  DType packed = DType::kF32;  // F32: there are no panels

  ProductMatrix matrix(bool in_panels, float* y, const float* bias = nullptr) {
    return {in_panels ? packed : type, in_panels ? panels.data() : rows.data(), y, bias, n};
  }
};

inline void pack(Weights& w) {
  const auto packed = packed_type(w.type);
  if (!packed) return;
  w.packed = *packed;
  const int64_t bytes = panel_bytes(*packed, w.k), row_bytes = matrix_bytes(w.type, 1, w.k);
  w.panels = Aligned((w.n + 15) / 16 * bytes);
  for (int64_t first = 0; first < w.n; first += 16) {
    repack_panel(*packed, w.rows.data() + first * row_bytes, std::min<int64_t>(16, w.n - first), w.k,
                 w.panels.data() + first / 16 * bytes);
  }
}

/// Rows of golden blocks in random order (without MXFP4's last, whose sums overflow).
inline Weights golden_weights(DType type, int64_t n, int64_t k, std::mt19937& random, std::vector<float>& values) {
  const GoldenBlocks golden = golden_blocks(type);
  const int64_t block = info(type).block, bytes = info(type).block_bytes;
  Weights w{type, n, k, std::vector<std::byte>(n * k / block * bytes), Aligned(0)};
  values.resize(n * k);
  for (int64_t b = 0; b < n * k / block; ++b) {
    const int64_t pick = random() % (golden.count - (type == DType::kMXFP4 ? 1 : 0));
    std::memcpy(w.rows.data() + b * bytes, golden.bytes.data() + pick * bytes, bytes);
    std::memcpy(values.data() + b * block, golden.values.data() + pick * block, block * 4);
  }
  pack(w);
  return w;
}

/// Clears the top exponent bit of every f16 field: scales and minimums are finite and below 2.
inline void tame(Weights& w) {
  const int64_t bytes = info(w.type).block_bytes;
  const auto clear = [&](int64_t at) {
    for (size_t i = at + 1; i < w.rows.size(); i += bytes) w.rows[i] &= std::byte{0xbf};
  };
  switch (w.type) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      clear(0), clear(2);
      break;
    case DType::kQ2_K:
      clear(80), clear(82);
      break;
    case DType::kQ3_K:
      clear(108);
      break;
    case DType::kQ6_K:
      clear(208);
      break;
    case DType::kTQ1_0:
      clear(52);
      break;
    case DType::kTQ2_0:
      clear(64);
      break;
    case DType::kMXFP4:
      for (size_t i = 0; i < w.rows.size(); i += bytes) w.rows[i] = std::byte{120};
      break;
    default:
      clear(0);
  }
}

/// Rows of random bits, scales among them: every code, and every kind of f16. `tamed`: scales below 2.
inline Weights random_weights(DType type, int64_t n, int64_t k, std::mt19937& random, bool tamed) {
  Weights w{type, n, k, std::vector<std::byte>(n * k / info(type).block * info(type).block_bytes), Aligned(0)};
  for (std::byte& b : w.rows) b = static_cast<std::byte>(random());
  if (tamed) tame(w);
  pack(w);
  return w;
}

/// Rows of floats and their 8-bit form.
struct TestActivations {
  int64_t rows, k;
  std::vector<float> f32;
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<int16_t> sums;

  Activations view() const {
    return {
        .f32 = f32.data(), .codes = codes.data(), .scales = scales.data(), .sums = sums.data(), .rows = rows, .k = k};
  }
};

inline TestActivations activations(int64_t rows, int64_t k, std::vector<float> values, const Kernels& kernels) {
  TestActivations a{rows,
                    k,
                    std::move(values),
                    std::vector<int8_t>(rows * k),
                    std::vector<float>(rows * k / 32),
                    std::vector<int16_t>(rows * k / 16)};
  Launch launch;
  kernels.quantize({a.codes.data(), a.scales.data(), a.sums.data(), a.f32.data(), rows, k}, launch);
  return a;
}

inline std::vector<float> normal_values(int64_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

inline ::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(a[i], b[i])) {
      return ::testing::AssertionFailure() << "at " << i << " of " << a.size() << ": " << a[i] << " and " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace godwit::test
