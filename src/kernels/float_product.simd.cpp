#include "kernels/levels.h"
namespace godwit::GODWIT_LEVEL {
void add_float_products(Kernels&) {}
}  // namespace godwit::GODWIT_LEVEL
