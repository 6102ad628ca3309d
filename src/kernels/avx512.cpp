// What runs at the avx512 level.
#include "kernels/levels.h"

namespace godwit {

void use_avx512(Kernels& kernels) {
  kernels.level = "avx512";
  avx512::add_quantized_products(kernels);
  avx512::add_float_products(kernels);
  avx512::add_elementwise(kernels);
  avx512::add_attention(kernels);
  avx512::add_recurrences(kernels);
  avx512::add_probes(kernels);
}

}  // namespace godwit
