#include "kernels/levels.h"
namespace godwit::avx512 {
void add_quantized_products(Kernels&) {}
}  // namespace godwit::avx512
