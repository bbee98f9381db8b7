#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void softmax_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const int dtype = arg_is_none(frame, 2) ? float_dtype(input->dtype) : static_cast<int>(frame->args[2].u.i);
  if (!is_floating(dtype)) fail(ATLED_E_DTYPE, "expected a real floating dtype, got %s", dtype_name(dtype));
  expect_real(input, "input");
  wrap_dim(arg_int(frame, 1), input->dl.ndim);
  set_spec(outs[0], dtype, input->dl.ndim, input->dl.shape);
}

void softmax_backward_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(frame, 0), *result = arg_tensor(frame, 1);
  const int dtype = promoted(frame);
  if (!is_floating(dtype)) fail(ATLED_E_DTYPE, "expected real floating numbers, got %s", dtype_name(dtype));
  bool same = grad->dl.ndim == result->dl.ndim;
  for (int d = 0; d < grad->dl.ndim && same; ++d) same = grad->dl.shape[d] == result->dl.shape[d];
  if (!same)
    fail(ATLED_E_SHAPE, "expected grad and result of one shape, got %s and %s", shape_text(grad).c_str(),
         shape_text(result).c_str());
  wrap_dim(arg_int(frame, 2), grad->dl.ndim);
  set_spec(outs[0], dtype, grad->dl.ndim, grad->dl.shape);
}

void define_softmax() {
  define({"core::softmax(Tensor input, int dim, dtype? dtype=None) -> Tensor",
          "exp(input) / sum(exp(input)) along dim; computed in float32 or wider.\n\n"
          "input: real; integers become the default float. dtype: what input is cast to first, which saves a half's "
          "overflow. The largest element is taken off first, so that nothing overflows; NaN where all are -inf.\n\n"
          ">>> at.tensor([0.0, 0.0, 1000.0]).softmax(0)\ntensor([0., 0., 1.])\n"
          ">>> at.tensor([[1.0, 1.0], [2.0, 2.0]]).softmax(1)\ntensor([[0.5000, 0.5000],\n"
          "        [0.5000, 0.5000]])",
          shape<softmax_rule>});
  define({"core::log_softmax(Tensor input, int dim, dtype? dtype=None) -> Tensor",
          "log(softmax(input)) along dim, without under- or overflow; computed in float32 or wider.\n\n"
          "input and dtype: as for softmax.\n\n"
          ">>> at.tensor([0.0, 1000.0]).log_softmax(0)\ntensor([-1000.,     0.])",
          shape<softmax_rule>});
  define(
      {"core::softmax_backward(Tensor grad, Tensor result, int dim) -> Tensor",
       "(grad - sum(grad * result)) * result with the sum along dim: the gradient of softmax, whose result is given.",
       shape<softmax_backward_rule>, ATLED_OP_PRIVATE});
  define({"core::log_softmax_backward(Tensor grad, Tensor result, int dim) -> Tensor",
          "grad - exp(result) * sum(grad) with the sum along dim: the gradient of log_softmax, whose result is given.",
          shape<softmax_backward_rule>, ATLED_OP_PRIVATE});
  alias("core::softmax", "special::softmax");
  alias("core::log_softmax", "special::log_softmax");
}
ATLED_OPS(define_softmax);

}  // namespace

}  // namespace atled::core
