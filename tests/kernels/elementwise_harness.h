// What the tests of element-wise kernels share: bounds, awkward data, and the comparison of levels.
#pragma once

#include "kernels/harness.h"

namespace godwit::test {

inline constexpr double kEps = 0x1p-24;       // half a unit in the last place of 1
inline constexpr double kFlushed = 0x1p-126;  // what flush-to-zero may take away

/// Runs `run(kernels, launch)`, which returns its results, at every level, on 1 and on 3 threads; all must equal
/// scalar's.
template <class F>
void expect_levels_agree(const std::string& what, const F& run) {
  Threads one(1), three(3);
  const std::vector<float> expected = run(scalar_kernels(), one.launch());
  for (const Kernels& kernels : levels()) {
    for (Threads* threads : {&one, &three}) {
      expect_same_bits(expected, run(kernels, threads->launch()), what + " at " + kernels.level);
    }
  }
}

/// Mostly ordinary numbers; one in `one_in` is awkward.
inline std::vector<float> mixed(Random& random, int64_t n, int64_t one_in) {
  return filled(static_cast<size_t>(n), [&] {
    return random.below(one_in) == 0 ? random.awkward()
           : random.below(4) == 0    ? random.wide(-130, 20)
                                     : random.normal();
  });
}

inline std::vector<float> copy_of(const Fenced<float>& memory) { return {memory.span().begin(), memory.span().end()}; }

}  // namespace godwit::test
