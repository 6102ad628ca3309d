#include "kernels/levels.h"
namespace godwit::scalar {
void add_float_products(Kernels&) {}
}  // namespace godwit::scalar
