#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <atomic>
#include <vector>

namespace godwit {
namespace {

TEST(ThreadPool, EveryTaskRunsOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (int64_t n : {0, 1, 2, 7, 1000}) {
      for (int repeat = 0; repeat < 50; ++repeat) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
        pool.parallel(n, [&](int64_t i) { hits[static_cast<size_t>(i)].fetch_add(1); });
        for (auto& h : hits) ASSERT_EQ(h.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, WakesAfterSleep) {
  ThreadPool pool(3);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int64_t> sum{0};
    pool.parallel(100, [&](int64_t k) { sum.fetch_add(k); });
    ASSERT_EQ(sum.load(), 4950);
  }
}

TEST(ThreadPool, EveryThreadFlushesDenormals) {
  ThreadPool pool(4);
  std::atomic<int> wrong{0};
  for (int i = 0; i < 100; ++i) pool.parallel(64, [&](int64_t) { wrong += (_mm_getcsr() & 0x8040) != 0x8040; });
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace godwit
