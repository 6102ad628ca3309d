#include "kernels/levels.h"
namespace godwit::GODWIT_LEVEL {
void add_attention(Kernels&) {}
}  // namespace godwit::GODWIT_LEVEL
