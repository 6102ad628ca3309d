// What each file of a level offers to its list (scalar.cpp, avx2.cpp, avx512.cpp). One declaration a family and level.
#pragma once

#include "kernels/kernels.h"

namespace godwit {

namespace scalar {
void add_quantized_products(Kernels&);  // quantize, product, embed, the quantized types' tiles
void add_float_products(Kernels&);      // F32, F16, BF16 tiles, round_bf16
void add_elementwise(Kernels&);         // norms, rotary, activations, softmax
void add_experts(Kernels&);             // experts, stacks of matrices, routing: for all levels
void add_routing(Kernels&);
void add_attention(Kernels&);  // kv_store, attention
void add_recurrences(Kernels&);
void add_probes(Kernels&);  // limits of the machine
}  // namespace scalar

namespace avx2 {
void add_quantized_products(Kernels&);
void add_float_products(Kernels&);
void add_elementwise(Kernels&);
void add_attention(Kernels&);
void add_recurrences(Kernels&);
void add_state_space_dual(Kernels&);
void add_probes(Kernels&);
}  // namespace avx2

namespace avx512 {
void add_quantized_products(Kernels&);
void add_float_products(Kernels&);
void add_elementwise(Kernels&);
void add_attention(Kernels&);
void add_recurrences(Kernels&);
void add_state_space_dual(Kernels&);
void add_probes(Kernels&);
}  // namespace avx512

}  // namespace godwit
