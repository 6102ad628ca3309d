// What runs at the scalar level.
#include "kernels/levels.h"

namespace godwit {

Kernels scalar_kernels() {
  Kernels kernels;
  scalar::add_quantized_products(kernels);
  scalar::add_float_products(kernels);
  scalar::add_elementwise(kernels);
  scalar::add_experts(kernels);
  scalar::add_attention(kernels);
  scalar::add_recurrences(kernels);
  scalar::add_probes(kernels);
  return kernels;
}

}  // namespace godwit
