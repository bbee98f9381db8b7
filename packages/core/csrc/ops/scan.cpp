#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void scan_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(frame, 0);
  wrap_dim(arg_int(frame, 1), input->dl.ndim);
  set_spec(outs[0], sum_dtype(input->dtype, frame->args[2]), input->dl.ndim, input->dl.shape);
}

void define_scan() {
  define({"core::cumsum(Tensor input, int dim, *, dtype? dtype=None) -> Tensor",
          "The sums of the elements along dim up to each; bool and integers are summed in int64.\n\n"
          "dtype: what input is cast to first. Returns input's shape.\n\n"
          ">>> at.tensor([[1, 2, 3], [4, 5, 6]]).cumsum(1)\ntensor([[ 1,  3,  6],\n"
          "        [ 4,  9, 15]])",
          shape<scan_rule>, ATLED_OP_INPLACE});
  define({"core::cumprod(Tensor input, int dim, *, dtype? dtype=None) -> Tensor",
          "The products of the elements along dim up to each; bool and integers are multiplied in int64.\n\n"
          "dtype: what input is cast to first. Returns input's shape.\n\n"
          ">>> at.tensor([1, 2, 3, 4]).cumprod(0)\ntensor([ 1,  2,  6, 24])",
          shape<scan_rule>, ATLED_OP_INPLACE});
}
ATLED_OPS(define_scan);

}  // namespace

}  // namespace atled::core
