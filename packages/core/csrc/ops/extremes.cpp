#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void expect_choice(const atled_tensor* input, DimSet dims) {
  expect_real(input, "input");
  for (int d = 0; d < input->dl.ndim; ++d)
    if ((dims >> d & 1) && input->dl.shape[d] == 0)
      fail(ATLED_E_SHAPE, "expected at least one element to choose from, got shape %s", shape_text(input).c_str());
}

void arg_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const DimSet dims = reduced_dims(frame->args[1], input->dl.ndim);
  expect_choice(input, dims);
  reduced(input, dims, arg_bool(frame, 2), ATLED_INT64, outs[0]);
}

void dim_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const DimSet dims = reduced_dims(frame->args[1], input->dl.ndim);
  expect_choice(input, dims);
  reduced(input, dims, arg_bool(frame, 2), input->dtype, outs[0]);
  reduced(input, dims, arg_bool(frame, 2), ATLED_INT64, outs[1]);
}

void define_extremes() {
  define(
      {"core::argmax(Tensor input, int? dim=None, bool keepdim=False) -> Tensor",
       "The index along dim of the largest element, the first of several; without dim, the place in the flattened "
       "input.\n\n"
       "NaN counts as the largest. keepdim: dim stays, of size 1. ShapeError where there is nothing to choose from.\n\n"
       ">>> at.argmax(at.tensor([[1, 5], [7, 2]]))\n"
       "tensor(2)\n"
       ">>> at.argmax(at.tensor([[1, 5], [7, 2]]), dim=1)\n"
       "tensor([1, 0])",
       shape<arg_rule>});
  define({"core::argmin(Tensor input, int? dim=None, bool keepdim=False) -> Tensor",
          "The index along dim of the smallest element, the first of several; without dim, the place in the flattened "
          "input.\n\n"
          "NaN counts as the smallest. keepdim: dim stays, of size 1. ShapeError where there is nothing to choose "
          "from.\n\n"
          ">>> at.argmin(at.tensor([3, 1, 1]))\n"
          "tensor(1)",
          shape<arg_rule>});
  define({"core::max_dim(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
          "The largest element along dim and its index, the first of several.", shape<dim_rule>, ATLED_OP_PRIVATE});
  define({"core::min_dim(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
          "The smallest element along dim and its index, the first of several.", shape<dim_rule>, ATLED_OP_PRIVATE});
}
ATLED_OPS(define_extremes);

}  // namespace

}  // namespace atled::core
