// Which quantized products run at this level.
#include "kernels/levels.h"
#include "kernels/panels.h"
#include "kernels/quantize.h"

namespace godwit::GODWIT_LEVEL {

namespace {

template <class Format>
void tile(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count) {
  if (x.rows <= kMaxFewRows<Format> && x.k <= kMaxFewCodes) {
    few_rows_tile<Format>(matrix, x, first, count);
  } else {
    many_rows_tile(matrix, x, first, count);
  }
}

}  // namespace

void add_quantized_products(Kernels& kernels) {
  kernels.quantize = quantize;
  for (int t = 0; t < kDTypeCount; ++t) {
    if (!is_quantized(static_cast<DType>(t))) continue;
    kernels.product_tile[t] = many_rows_tile;
    kernels.exact_product_tile[t] = exact_rows_tile;
  }
  const auto add = [&]<class Format>(Format) { kernels.product_tile[static_cast<int>(Format::kType)] = tile<Format>; };
  add(PanelsQ4_0());
  add(PanelsQ4_1());
  add(PanelsQ5_0());
  add(PanelsQ8_0());
  add(PanelsQ4_K());
  add(PanelsQ6_K());
  add(PanelsMXFP4());
}

}  // namespace godwit::GODWIT_LEVEL
