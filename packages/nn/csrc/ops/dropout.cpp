#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

void dropout_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_float(input, "input");
  const double p = arg_double(f, 1);
  if (!(p >= 0 && p <= 1)) fail(ATLED_E_VALUE, "expected p in [0, 1], got %g", p);
  same_spec(outs[0], input);
  set_spec(outs[1], ATLED_BOOL, input->dl.ndim, input->dl.shape);
}

void dropout_backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *mask = arg_tensor(f, 1);
  expect_float(grad, "grad");
  expect_shape(mask, "mask", grad->dl.ndim, grad->dl.shape);
  if (mask->dtype != ATLED_BOOL) fail(ATLED_E_DTYPE, "expected mask to be bool, got %s", dtype_name(mask->dtype));
  same_spec(outs[0], grad);
}

}  // namespace

void define_dropout() {
  define({"nn::dropout(Tensor input, float p=0.5, *, Generator? generator=None) -> (Tensor output, Tensor mask)",
          "Keeps each element with probability 1 - p and divides it by 1 - p; mask says which (Srivastava et "
          "al. 2014).\n\n"
          "input: floats. InvalidValueError for p outside of [0, 1].\n\n"
          ">>> output, mask = at.ops.nn.dropout(at.ones(100), 0.75)\n"
          ">>> bool((output == 4.0 * mask).all())\n"
          "True",
          shape<dropout_rule>, ATLED_OP_FUNCTION | ATLED_OP_RANDOM});
  define({"nn::dropout_backward(Tensor grad, Tensor mask, float p) -> Tensor",
          "grad / (1 - p) where mask is true, else 0.", shape<dropout_backward_rule>, ATLED_OP_FUNCTION});
}

}  // namespace atled::nn
