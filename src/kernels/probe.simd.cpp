// How fast this level reads memory, multiplies and adds: what speeds are compared with.
#include <immintrin.h>

#include "kernels/levels.h"
#include "kernels/simd.h"

namespace godwit::GODWIT_LEVEL {
namespace {

#ifdef GODWIT_LEVEL_avx512
using Wide = __m512i;
Wide load(const std::byte* p) { return _mm512_loadu_si512(p); }
Wide either(Wide a, Wide b) { return _mm512_xor_si512(a, b); }
Wide all(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }
Wide dot(Wide acc, Wide a, Wide b) { return _mm512_dpbusd_epi32(acc, a, b); }
float fold(Wide x) { return static_cast<float>(_mm512_reduce_add_epi32(x)); }
#else
using Wide = __m256i;
Wide load(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
Wide either(Wide a, Wide b) { return _mm256_xor_si256(a, b); }
Wide all(int byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }
Wide dot(Wide acc, Wide a, Wide b) {
  asm volatile("" : "+x"(b));  // else equal products would be computed once
  return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}
float fold(Wide x) {
  alignas(32) int32_t lanes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), x);
  return static_cast<float>(lanes[0] ^ lanes[3] ^ lanes[7]);
}
#endif

void probe_read(const ProbeArgs& a, Launch& launch) {
  constexpr auto kStep = static_cast<int64_t>(sizeof(Wide));
  launch.parallel((a.bytes + kProbeTaskBytes - 1) / kProbeTaskBytes, [&](int64_t task) {
    const int64_t first = task * kProbeTaskBytes;
    const int64_t n = a.bytes - first < kProbeTaskBytes ? a.bytes - first : kProbeTaskBytes;
    Wide s0{}, s1{}, s2{}, s3{};
    for (int64_t round = 0; round < a.rounds; ++round) {
      const std::byte* p = a.data + first;
      for (int64_t i = 0; i + 4 * kStep <= n; i += 4 * kStep) {
        s0 = either(s0, load(p + i));
        s1 = either(s1, load(p + i + kStep));
        s2 = either(s2, load(p + i + 2 * kStep));
        s3 = either(s3, load(p + i + 3 * kStep));
      }
    }
    a.sink[task] = fold(either(either(s0, s1), either(s2, s3)));
  });
}

void probe_fma(const ProbeArgs& a, Launch& launch) {
  launch.parallel(a.tasks, [&](int64_t task) {
    Vec acc[kProbeAccumulators];
    for (int i = 0; i < kProbeAccumulators; ++i) acc[i] = set1(static_cast<float>(i));
    const Vec scale = set1(0.999f), offset = set1(0.5f);
    for (int64_t round = 0; round < a.rounds; ++round) {
#pragma GCC unroll 12
      for (int i = 0; i < kProbeAccumulators; ++i) acc[i] = fma(acc[i], scale, offset);
    }
    Vec sum = acc[0];
    for (int i = 1; i < kProbeAccumulators; ++i) sum = sum + acc[i];
    a.sink[task] = tree_sum(sum);
  });
}

void probe_int8_dot(const ProbeArgs& a, Launch& launch) {
  constexpr int kTurns = 64 / sizeof(Wide);  // 64 products an accumulator and round
  launch.parallel(a.tasks, [&](int64_t task) {
    Wide acc[kProbeAccumulators] = {};
    const Wide x = all(3), y = all(static_cast<int>(task % 5));
    for (int64_t round = 0; round < a.rounds * kTurns; ++round) {
#pragma GCC unroll 12
      for (int i = 0; i < kProbeAccumulators; ++i) acc[i] = dot(acc[i], x, y);
    }
    Wide sum = acc[0];
    for (int i = 1; i < kProbeAccumulators; ++i) sum = either(sum, acc[i]);
    a.sink[task] = fold(sum);
  });
}

}  // namespace

void add_probes(Kernels& k) {
  k.probe_read = probe_read;
  k.probe_fma = probe_fma;
  k.probe_int8_dot = probe_int8_dot;
}

}  // namespace godwit::GODWIT_LEVEL
