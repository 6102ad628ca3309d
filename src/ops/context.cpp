#include "ops/context.h"

namespace godwit {

Kernels kernels_at(int level) {
  Kernels kernels = scalar_kernels();
  if (level >= 1) use_avx2(kernels);
  if (level >= 2) use_avx512(kernels);
  return kernels;
}

}  // namespace godwit
