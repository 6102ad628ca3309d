#include "tensor/tensor.h"

namespace godwit {

std::string Shape::text() const {
  std::string out = "[";
  for (int i = 0; i < rank; ++i) out += fmt::format("{}{}", i > 0 ? ", " : "", (*this)[i]);
  return out + "]";
}

Tensor Tensor::slice(int64_t first, int64_t n) const {
  CHECK(shape.rank >= 1 && first >= 0 && n >= 0 && first + n <= shape[0], "rows {}+{} of {}", first, n, shape.text());
  const int64_t row = shape[0] == 0 ? 0 : size() / shape[0];
  Tensor part = *this;
  part.shape.sizes[0] = n;
  part.data = reinterpret_cast<std::byte*>(f32() + first * row);
  return part;
}

}  // namespace godwit
