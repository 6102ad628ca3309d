// How element-wise work is cut into tasks.
#pragma once

#include "kernels/kernels.h"

#ifndef GODWIT_LEVEL
#define GODWIT_LEVEL scalar
#endif

namespace godwit::GODWIT_LEVEL {

/// Calls f(first, end) for chunks of whole rows, each of about 16,384 elements: less does not pay for waking a thread.
template <class F>
void over_rows(int64_t rows, int64_t width, Launch& launch, const F& f) {
  constexpr int64_t kElementsPerTask = 16384;
  const int64_t per_task = width >= kElementsPerTask ? 1 : kElementsPerTask / (width > 0 ? width : 1);
  const int64_t tasks = (rows + per_task - 1) / per_task;
  launch.parallel(tasks, [&](int64_t task) {
    const int64_t first = task * per_task;
    f(first, first + per_task < rows ? first + per_task : rows);
  });
}

}  // namespace godwit::GODWIT_LEVEL
