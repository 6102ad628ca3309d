// What runs at the avx2 level.
#include "kernels/levels.h"

namespace godwit {

void use_avx2(Kernels& kernels) {
  kernels.level = "avx2";
  avx2::add_quantized_products(kernels);
  avx2::add_float_products(kernels);
  avx2::add_elementwise(kernels);
  avx2::add_attention(kernels);
  avx2::add_recurrences(kernels);
  avx2::add_probes(kernels);
}

}  // namespace godwit
