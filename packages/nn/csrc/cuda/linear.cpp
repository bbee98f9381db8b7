// Linear maps: one product of core's, which adds the bias.
#include "atled/cuda.hpp"
#include "ops/operands.h"

namespace atled::nn {

namespace {

using namespace atled::cuda;

// (*, n) as (rows, n). t is contiguous, or a matrix.
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

void linear(atled_frame* f) {
  static const Op mm{"core::mm"}, addmm{"core::addmm"};
  atled_tensor* input = arg_tensor(f, 0);
  const Tensor whole = input->dl.ndim == 2 ? Tensor::borrow(input) : contiguous(input);
  const Tensor rows = as_rows(whole), weight = transposed(arg_tensor(f, 1)), out = as_rows(out_tensor(f));
  atled_value result = value(out);
  if (arg_is_none(f, 2))
    mm.run(ATLED_CALL_OUT, &result, {value(rows), value(weight)});
  else
    addmm.run(ATLED_CALL_OUT, &result, {f->args[2], value(rows), value(weight)});
  api.release(result.u.tensor);
}

void add_linear() { cuda_kernel("nn::linear", kernel<linear>); }
ATLED_CUDA_KERNELS(add_linear);

}  // namespace

}  // namespace atled::nn
