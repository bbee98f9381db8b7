#include "ops/operands.h"

namespace atled::nn {

Tensor contiguous(atled_tensor* t) {
  static const Op op{"core::contiguous"};
  if (!t || is_contiguous(t)) return Tensor::borrow(t);
  return op(t);
}

Tensor converted(atled_tensor* t, int dtype) {
  static const Op copy{"core::copy_"};
  if (!t || t->dtype == dtype) return contiguous(t);
  Tensor result = Tensor::empty(dtype, t->dl.ndim, t->dl.shape, t->dl.device);
  copy(result, t);
  return result;
}

}  // namespace atled::nn
