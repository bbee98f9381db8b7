// Linear maps: one product of core's, which adds the bias.
#include "atled/cuda.hpp"
#include "ops/operands.h"

namespace atled::nn {

namespace {

using namespace atled::cuda;

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
