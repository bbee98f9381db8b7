// Operands as kernels of every device want them: floating dtypes as types, contiguous, of a given dtype.
#pragma once

#include "atled/plugin.hpp"

namespace atled::nn {

// What sums over elements of T are computed in.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

// Calls f with the Tag of a floating dtype's type.
template <class F>
void visit_float(int dtype, F&& f) {
  switch (dtype) {
    case ATLED_FLOAT16:
      return f(Tag<Half>{});
    case ATLED_BFLOAT16:
      return f(Tag<BFloat16>{});
    case ATLED_FLOAT32:
      return f(Tag<float>{});
    case ATLED_FLOAT64:
      return f(Tag<double>{});
    default:
      fail(ATLED_E_DTYPE, "expected float16, bfloat16, float32 or float64, got %s", dtype_name(dtype));
  }
}

// t itself if it is contiguous, else a copy; an empty owner for NULL.
Tensor contiguous(atled_tensor* t);
// t in another dtype, contiguous.
Tensor converted(atled_tensor* t, int dtype);

// The data of an optional tensor.
template <class T>
const T* data_or_null(const Tensor& t) {
  return t ? data<T>(t) : nullptr;
}

}  // namespace atled::nn
