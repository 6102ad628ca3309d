// The rates that predictions rest on: that their work stays inside its memory (under sanitizers) and gives numbers.
#include "audit/limits.h"

#include <gtest/gtest.h>

#include "ops/context.h"

namespace godwit {
namespace {

TEST(Limits, AttentionRateOfKeysAndValuesAndOfLatents) {
  constexpr DType kF16 = DType::kF16;
  const int64_t heads_bytes = 2 * kv_head_bytes(kF16, 32), rotary_bytes = kv_head_bytes(kF16, 8);
  const KvLayout ordinary{.k_offset = 0,
                          .v_offset = heads_bytes,
                          .n_kv_heads = 2,
                          .k_dim = 32,
                          .v_dim = 32,
                          .k_type = kF16,
                          .v_type = kF16};
  const KvLayout latent{.k_offset = 0,
                        .v_offset = rotary_bytes,
                        .n_kv_heads = 1,
                        .k_dim = 72,
                        .v_dim = 64,
                        .k_type = kF16,
                        .v_type = DType::kQ8_0,
                        .shared_dim = 64};
  ThreadPool pool(2);
  for (const int level : {0, 1}) {
    if (level == 1 && !__builtin_cpu_supports("avx2")) continue;
    for (const KvLayout& layout : {ordinary, latent}) {
      EXPECT_GT(attention_rate(kernels_at(level), pool, layout, 4, 3, 1 << 16), 0.0);  // sequences that decode
      EXPECT_GT(attention_rate(kernels_at(level), pool, layout, 4, 70, 0), 0.0);       // a prompt
    }
  }
}

}  // namespace
}  // namespace godwit
