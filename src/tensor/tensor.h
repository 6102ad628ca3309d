// Tensor: a view of memory with a type and a shape. It owns nothing and is copied freely.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/error.h"
#include "tensor/dtype.h"

namespace godwit {

/// Up to four sizes, outermost first: [tokens, n_heads, head_dim].
struct Shape {
  std::array<int64_t, 4> sizes{};
  int rank = 0;

  Shape() = default;
  Shape(std::initializer_list<int64_t> list) {
    CHECK(list.size() <= 4, "a shape has at most 4 sizes, not {}", list.size());
    for (int64_t s : list) sizes[static_cast<size_t>(rank++)] = s;
  }
  int64_t operator[](int i) const { return sizes[static_cast<size_t>(i < 0 ? rank + i : i)]; }
  int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= (*this)[i];
    return n;
  }
  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int i = 0; i < rank; ++i)
      if ((*this)[i] != other[i]) return false;
    return true;
  }
  std::string text() const;  // "[3, 64]"
};

/// Contiguous, row-major. The last size is the width; all before it count rows. In packed types, rank 3 is a stack of
/// matrices [n, k], each padded to whole panels on its own.
struct Tensor {
  std::byte* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  bool empty() const { return data == nullptr; }
  int64_t size() const { return shape.count(); }
  int64_t width() const { return shape.rank == 0 ? 1 : shape[-1]; }
  int64_t rows() const { return shape.rank <= 1 ? 1 : size() / (width() > 0 ? width() : 1); }
  bool is_stack() const { return shape.rank == 3; }
  /// Bytes of one of the matrices of a stack; of everything, where it is none.
  int64_t slice_bytes() const { return matrix_bytes(dtype, is_stack() ? shape[1] : rows(), width()); }
  int64_t bytes() const {
    int64_t all = 0;
    CHECK(!__builtin_mul_overflow(is_stack() ? shape[0] : 1, slice_bytes(), &all), "the bytes of {}", shape.text());
    return all;
  }
  float* f32() const {
    CHECK(dtype == DType::kF32, "tensor {} is {}, not F32", shape.text(), name(dtype));
    return reinterpret_cast<float*>(data);
  }
  /// The same memory with another shape of equal size.
  Tensor view(Shape other) const {
    CHECK(other.count() == size(), "{} seen as {}", shape.text(), other.text());
    return {data, dtype, other};
  }
  /// Rows [first, first + n) of the outermost size; F32 only.
  Tensor slice(int64_t first, int64_t n) const;
};

}  // namespace godwit
