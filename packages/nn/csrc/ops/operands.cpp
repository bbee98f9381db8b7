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

Tensor as_rows(atled_tensor* t) {
  const int last = t->dl.ndim - 1;
  if (last == 1) return Tensor::borrow(t);
  int64_t shape[2] = {1, t->dl.shape[last]};
  for (int i = 0; i < last; ++i) shape[0] *= t->dl.shape[i];
  const int64_t strides[2] = {shape[1], 1};
  atled_tensor* view = nullptr;
  check(api.as_view(t, t->dtype, 2, shape, strides, 0, &view));
  return Tensor::steal(view);
}

Tensor transposed(atled_tensor* t) {
  const int64_t shape[2] = {t->dl.shape[1], t->dl.shape[0]}, strides[2] = {t->dl.strides[1], t->dl.strides[0]};
  atled_tensor* view = nullptr;
  check(api.as_view(t, t->dtype, 2, shape, strides, 0, &view));
  return Tensor::steal(view);
}

}  // namespace atled::nn
