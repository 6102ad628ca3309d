// Rounding rows to 8 bits (QuantizeArgs), compiled at every level in that level's namespace: the compiler's own vectors
// do here, as no step depends on an order.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace godwit::GODWIT_LEVEL {

// Returns the scale of 32 values and writes their codes.
[[gnu::always_inline]] inline float quantize_group(const float* x, int8_t* codes) {
  uint32_t max_bits = 0;
  for (int i = 0; i < 32; ++i) {
    const uint32_t magnitude = to_bits(x[i]) & 0x7fffffffu;  // patterns of magnitudes order as the magnitudes do
    max_bits = magnitude > max_bits ? magnitude : max_bits;
  }
  const float max = from_bits(max_bits);
  const bool finite = max_bits < 0x7f800000u;
  if (!finite || max < 0x1p-100f) {
    std::memset(codes, 0, 32);
    return finite ? 0.0f : from_bits(0x7fc00000u);
  }
  const float inverse = 127.0f / max;
  // Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the low bits.
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<int8_t>(to_bits(x[i] * inverse + 0x1.8p23f));
  return max / 127.0f;
}

inline void quantize(const QuantizeArgs& a, Launch& launch) {
  constexpr int64_t kTaskGroups = 512;
  const int64_t groups = a.rows * (a.width / 32);
  launch.parallel((groups + kTaskGroups - 1) / kTaskGroups, [&](int64_t task) {
    const int64_t end = groups < (task + 1) * kTaskGroups ? groups : (task + 1) * kTaskGroups;
    for (int64_t g = task * kTaskGroups; g < end; ++g) {
      int8_t* codes = a.codes + g * 32;
      a.scales[g] = quantize_group(a.x + g * 32, codes);
      for (int half = 0; half < 2; ++half) {
        int sum = 0;
        for (int i = 0; i < 16; ++i) sum += codes[16 * half + i];
        a.sums[2 * g + half] = static_cast<int16_t>(sum);
      }
    }
  });
}

}  // namespace godwit::GODWIT_LEVEL
