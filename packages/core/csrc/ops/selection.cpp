#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

constexpr uint32_t kElementwise = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;

// Two Python numbers are fine here: the condition is a tensor.
int chosen_dtype(const atled_frame* frame) {
  const atled_value &a = frame->args[1], &b = frame->args[2];
  if (a.tag == ATLED_TENSOR || b.tag == ATLED_TENSOR) return promoted(frame, 0b110);
  return promote_scalar(scalar_dtype(a), b);
}

void where_rule(const atled_frame* frame, atled_spec* outs) {
  broadcast(frame, 0b111, outs[0]);
  outs[0].dtype = chosen_dtype(frame);
  const atled_tensor* condition = arg_tensor(frame, 0);
  if (condition->dtype != ATLED_BOOL && condition->dtype != ATLED_UINT8)
    fail(ATLED_E_DTYPE, "expected condition to be bool, got %s", dtype_name(condition->dtype));
}

void real_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (outs[0].dtype == ATLED_BOOL || is_complex(outs[0].dtype))
    fail(ATLED_E_DTYPE, "expected real numbers, got %s", dtype_name(outs[0].dtype));
}

void clamp_rule(const atled_frame* frame, atled_spec* outs) {
  if (arg_is_none(frame, 1) && arg_is_none(frame, 2)) fail(ATLED_E_VALUE, "expected min, max or both, got neither");
  real_rule(frame, outs);
}

void masked_fill_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(frame, 0), *mask = arg_tensor(frame, 1);
  if (mask->dtype != ATLED_BOOL) fail(ATLED_E_DTYPE, "expected mask to be bool, got %s", dtype_name(mask->dtype));
  broadcast(frame, 0b011, outs[0]);
  outs[0].dtype = input->dtype;
  const atled_value& v = frame->args[2];
  const int dtype = is_scalar(v) ? promote_scalar(input->dtype, v) : promote(input->dtype, v.u.tensor->dtype);
  if (v.tag == ATLED_TENSOR && v.u.tensor->dl.ndim != 0)
    fail(ATLED_E_SHAPE, "expected value to be a number or a 0-d tensor, got shape %s", shape_text(v.u.tensor).c_str());
  if ((dtype >= ATLED_FLOAT16) != (input->dtype >= ATLED_FLOAT16) || is_complex(dtype) != is_complex(input->dtype))
    fail(ATLED_E_DTYPE, "expected value to fit input's %s, got one of a higher kind", dtype_name(input->dtype));
}

void ordered_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (is_complex(outs[0].dtype)) fail(ATLED_E_DTYPE, "expected real numbers, got complex, which have no order");
}

void define_selection() {
  define({"core::where(Tensor condition, Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "input where condition is true, other elsewhere; the three broadcast.\n\n"
          "condition: bool, else DTypeError; the dtypes of input and other promote. where(condition) alone gives the "
          "indices of what is true, as nonzero(as_tuple=True).\n\n"
          ">>> x = at.tensor([-1.0, 2.0])\n>>> at.where(x > 0, x, 0)\ntensor([0., 2.])",
          shape<where_rule>, ATLED_OP_ELEMENTWISE | ATLED_OP_FLOAT8});
  define({"core::clamp(Tensor input, Tensor|Scalar? min=None, Tensor|Scalar? max=None) -> Tensor",
          "input, but no less than min and no more than max; where min > max, max.\n\n"
          "min, max: numbers or tensors that broadcast, one of which may be None (InvalidValueError for both). A NaN "
          "in input, min or max gives NaN. Dtypes promote: integers with a bound of 1.5 become floating.\n\n"
          ">>> at.tensor([-2, 0, 9]).clamp(-1, 3)\ntensor([-1,  0,  3])",
          shape<clamp_rule>, kElementwise});
  define({"core::masked_fill(Tensor input, Tensor mask, Tensor|Scalar value) -> Tensor",
          "value where mask is true, input elsewhere; the dtype is input's.\n\n"
          "mask: bool, else DTypeError; it broadcasts with input. value: a number or 0-d tensor; DTypeError for one of "
          "a higher kind than input, such as 0.5 for integers.\n\n"
          ">>> at.tensor([1, 2, 3]).masked_fill(at.tensor([True, False, True]), -1)\n"
          "tensor([-1,  2, -1])",
          shape<masked_fill_rule>, kElementwise | ATLED_OP_FLOAT8});
  define({"core::relu(Tensor input) -> Tensor",
          "input where it is above 0, else 0; NaN stays.\n\n"
          "input: real numbers, integers too, not bool (DTypeError).\n\n"
          ">>> at.relu(at.tensor([-1.0, 2.0]))\ntensor([0., 2.])",
          shape<real_rule>, kElementwise});
  define({"core::relu_backward(Tensor grad, Tensor input) -> Tensor",
          "grad where input, or relu of it, is above 0, else 0.", shape<real_float_rule>,
          ATLED_OP_ELEMENTWISE | ATLED_OP_PRIVATE});
  define({"core::copysign(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The magnitude of input with the sign of other, that of -0.0 included.\n\n"
          ">>> at.copysign(at.tensor([1.0, -2.0]), at.tensor([-0.0, 3.0]))\ntensor([-1.,  2.])",
          shape<real_float_rule>, kElementwise});
  define({"core::clamp_min(Tensor input, Tensor|Scalar min) -> Tensor",
          "input, but no less than min; NaN stays.\n\n"
          ">>> at.tensor([-1, 2]).clamp_min(0)\ntensor([0, 2])",
          shape<real_rule>, kElementwise});
  define({"core::clamp_max(Tensor input, Tensor|Scalar max) -> Tensor",
          "input, but no more than max; NaN stays.\n\n"
          ">>> at.tensor([-1, 2]).clamp_max(1)\ntensor([-1,  1])",
          shape<real_rule>, kElementwise});
  define({"core::fmax(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The larger of the two, element by element; the other one where one is NaN (maximum gives NaN there).\n\n"
          ">>> at.fmax(at.tensor([1.0, float(\"nan\")]), at.tensor([2.0, 5.0]))\ntensor([2., 5.])",
          shape<ordered_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::fmin(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The smaller of the two, element by element; the other one where one is NaN (minimum gives NaN there).\n\n"
          ">>> at.fmin(at.tensor([1.0, float(\"nan\")]), at.tensor([2.0, 5.0]))\ntensor([1., 5.])",
          shape<ordered_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::heaviside(Tensor|Scalar input, Tensor|Scalar values) -> Tensor",
          "The step function: 0 below 0 (and for NaN), 1 above, values at 0.\n\n"
          ">>> at.heaviside(at.tensor([-1.0, 0.0, 2.0]), 0.5)\ntensor([0.0000, 0.5000, 1.0000])",
          shape<ordered_rule>, kElementwise});
  define({"core::nan_to_num(Tensor input, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor",
          "Numbers in place of NaN (0 unless given) and of the infinities (the dtype's largest and lowest numbers "
          "unless given).\n\n"
          "input: any dtype; integers stay, of complex numbers both parts are replaced.\n\n"
          ">>> at.nan_to_num(at.tensor([float(\"nan\"), float(\"inf\"), 1.0]), posinf=9)\n"
          "tensor([0., 9., 1.])",
          shape<same_rule>, kElementwise});
  alias("core::clamp", "core::clip");
}
ATLED_OPS(define_selection);

}  // namespace

}  // namespace atled::core
