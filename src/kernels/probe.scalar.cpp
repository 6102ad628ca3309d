// Plain forms of the probes, for machines without a SIMD level.
#include <cmath>
#include <cstring>

#include "kernels/levels.h"

namespace godwit::scalar {
namespace {

void probe_read(const ProbeArgs& a, Launch& launch) {
  launch.parallel((a.bytes + kProbeTaskBytes - 1) / kProbeTaskBytes, [&](int64_t task) {
    const int64_t first = task * kProbeTaskBytes;
    const int64_t n = a.bytes - first < kProbeTaskBytes ? a.bytes - first : kProbeTaskBytes;
    uint64_t sum[4] = {};
    for (int64_t round = 0; round < a.rounds; ++round) {
      for (int64_t i = 0; i + 32 <= n; i += 32) {
        uint64_t words[4];
        std::memcpy(words, a.data + first + i, 32);
        for (int k = 0; k < 4; ++k) sum[k] += words[k];
      }
    }
    a.sink[task] = static_cast<float>(sum[0] ^ sum[1] ^ sum[2] ^ sum[3]);
  });
}

void probe_fma(const ProbeArgs& a, Launch& launch) {
  launch.parallel(a.tasks, [&](int64_t task) {
    float acc[kProbeAccumulators * 16] = {};
    for (int64_t round = 0; round < a.rounds; ++round)
      for (float& x : acc) x = std::fma(x, 0.999f, 0.5f);
    float sum = 0.0f;
    for (float x : acc) sum += x;
    a.sink[task] = sum;
  });
}

}  // namespace

void add_probes(Kernels& k) {
  k.probe_read = probe_read;
  k.probe_fma = probe_fma;
}

}  // namespace godwit::scalar
