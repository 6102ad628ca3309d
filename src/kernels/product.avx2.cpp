#include "kernels/levels.h"
namespace godwit::avx2 {
void add_quantized_products(Kernels&) {}
}  // namespace godwit::avx2
