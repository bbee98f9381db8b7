// Operands as kernels of every device want them: floating dtypes as types, contiguous, of a given dtype.
#pragma once

#include "atled/plugin.hpp"

namespace atled::nn {

// What sums over elements of T are computed in.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

// t itself if it is contiguous, else a copy; an empty owner for NULL.
Tensor contiguous(atled_tensor* t);
// t in another dtype, contiguous.
Tensor converted(atled_tensor* t, int dtype);

// (*, n) as (rows, n). t is contiguous, or a matrix.
Tensor as_rows(atled_tensor* t);
// A matrix's transpose, as a view.
Tensor transposed(atled_tensor* t);

// The data of an optional tensor.
template <class T>
const T* data_or_null(const Tensor& t) {
  return t ? data<T>(t) : nullptr;
}

}  // namespace atled::nn
