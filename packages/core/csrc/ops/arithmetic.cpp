#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

constexpr uint32_t kElementwise = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;

void no_bool(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (outs[0].dtype == ATLED_BOOL)
    fail(ATLED_E_DTYPE, "expected numbers, got bool; use logical_not, logical_xor or a cast");
}

void sub_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (outs[0].dtype == ATLED_BOOL) fail(ATLED_E_DTYPE, "expected numbers, got bool; use logical_xor or ^ instead");
}

// alpha and value scale an operand, so they must not be of a higher kind than the result.
void expect_scale(const atled_value& scale, const char* name, int dtype) {
  if (promote_scalar(dtype, scale) == dtype || (dtype == ATLED_BOOL && scale.tag == ATLED_INT_VALUE)) return;
  fail(ATLED_E_DTYPE, "expected %s to fit a result of %s, got a number of a higher kind", name, dtype_name(dtype));
}

void add_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  expect_scale(frame->args[2], "alpha", outs[0].dtype);
}

void sub_alpha_rule(const atled_frame* frame, atled_spec* outs) {
  sub_rule(frame, outs);
  expect_scale(frame->args[2], "alpha", outs[0].dtype);
}

void div_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_value& mode = frame->args[2];
  if (is_none(mode)) return float_rule(frame, outs);
  const std::string text(mode.u.str, mode.n);
  if (text != "trunc" && text != "floor")
    fail(ATLED_E_VALUE, "expected rounding_mode to be None, \"trunc\" or \"floor\", got \"%s\"", text.c_str());
  no_bool(frame, outs);
  if (is_complex(outs[0].dtype)) fail(ATLED_E_DTYPE, "expected real numbers with a rounding_mode, got complex");
}

void ordered_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (is_complex(outs[0].dtype)) fail(ATLED_E_DTYPE, "expected real numbers, got complex, which have no order");
}

void modulo_rule(const atled_frame* frame, atled_spec* outs) {
  no_bool(frame, outs);
  if (is_complex(outs[0].dtype)) fail(ATLED_E_DTYPE, "expected real numbers, got complex");
}

void pow_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  const atled_value& e = frame->args[1];
  if (e.tag == ATLED_INT_VALUE && e.u.i < 0 && is_integer(outs[0].dtype))
    fail(ATLED_E_VALUE, "expected an exponent of at least 0 for integers, got %lld; cast input to a floating dtype",
         static_cast<long long>(e.u.i));
  if (outs[0].dtype == ATLED_BOOL) fail(ATLED_E_DTYPE, "expected numbers, got bool");
}

void float_power_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  outs[0].dtype = is_complex(outs[0].dtype) ? ATLED_COMPLEX128 : ATLED_FLOAT64;
}

void abs_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  outs[0].dtype = real_dtype(outs[0].dtype);
}

void lerp_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (outs[0].dtype < ATLED_FLOAT16)
    fail(ATLED_E_DTYPE, "expected input and end to be floating, got %s", dtype_name(outs[0].dtype));
}

void addcmul_rule(const atled_frame* frame, atled_spec* outs) {
  no_bool(frame, outs);
  expect_scale(frame->args[3], "value", outs[0].dtype);
}

void addcdiv_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (outs[0].dtype < ATLED_FLOAT16)
    fail(ATLED_E_DTYPE, "expected floating tensors, got %s; integer division is div(..., rounding_mode=\"trunc\")",
         dtype_name(outs[0].dtype));
  expect_scale(frame->args[3], "value", outs[0].dtype);
}

void define_arithmetic() {
  define({"core::add(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
          "input + alpha * other; of bool, or.\n\n"
          "Integers wrap around at the ends of their dtype. alpha: a number of no higher kind than the result, else "
          "DTypeError.\n\n"
          ">>> at.add(at.tensor([1, 2]), 10, alpha=2)\n"
          "tensor([21, 22])",
          shape<add_rule>, kElementwise});
  define({"core::sub(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
          "input - alpha * other.\n\n"
          "Integers wrap around at the ends of their dtype, unsigned ones below 0. alpha: as in add.\n\n"
          ">>> at.sub(at.tensor([5, 3]), at.tensor([1, 4]))\n"
          "tensor([ 4, -1])",
          shape<sub_alpha_rule>, kElementwise});
  define({"core::mul(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "input * other; of bool, and.\n\n"
          "Integers wrap around at the ends of their dtype.\n\n"
          ">>> at.mul(at.tensor([[1], [2]]), at.tensor([3, 4]))\n"
          "tensor([[3, 4],\n"
          "        [6, 8]])",
          shape<same_rule>, kElementwise});
  define({"core::div(Tensor|Scalar input, Tensor|Scalar other, *, str? rounding_mode=None) -> Tensor",
          "input / other; a float by 0 is infinite, 0 / 0 NaN.\n\n"
          "rounding_mode: None, or \"trunc\" to round the quotient towards zero, or \"floor\" to round it down. With "
          "one, integers stay integers and their division by 0 raises InvalidValueError, and bool and complex numbers "
          "raise DTypeError.\n\n"
          ">>> at.div(at.tensor([7, -7]), 2)\n"
          "tensor([ 3.5000, -3.5000])\n"
          ">>> at.div(at.tensor([7, -7]), 2, rounding_mode=\"floor\")\n"
          "tensor([ 3, -4])",
          shape<div_rule>, kElementwise});
  define({"core::floor_divide(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The quotient rounded down, as Python's // has it.\n\n"
          "By 0, floats give what input / 0 is, and integers raise InvalidValueError.\n\n"
          ">>> at.floor_divide(at.tensor([7, -7]), 2)\n"
          "tensor([ 3, -4])",
          shape<modulo_rule>, kElementwise});
  define({"core::remainder(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The remainder of a division that rounds down, with the divisor's sign, as Python's % has it.\n\n"
          "By 0, floats give NaN, and integers raise InvalidValueError.\n\n"
          ">>> at.remainder(at.tensor([7, -7]), 3)\n"
          "tensor([1, 2])",
          shape<modulo_rule>, kElementwise});
  define({"core::fmod(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The remainder of a division that rounds towards zero, with the dividend's sign, as C's fmod has it.\n\n"
          "By 0, floats give NaN, and integers raise InvalidValueError.\n\n"
          ">>> at.fmod(at.tensor([7, -7]), 3)\n"
          "tensor([ 1, -1])",
          shape<modulo_rule>, kElementwise});
  define({"core::pow(Tensor|Scalar input, Tensor|Scalar exponent) -> Tensor",
          "input to the power of exponent; 0 to the power of 0 is 1.\n\n"
          "Integers wrap around; to a negative power they are 1 / input rounded towards zero, and a negative number as "
          "their exponent raises InvalidValueError. A negative float to a fractional power is NaN.\n\n"
          ">>> at.pow(2, at.tensor([1, 2, 3]))\n"
          "tensor([2, 4, 8])\n"
          ">>> at.pow(at.tensor([4.0, 9.0]), 0.5)\n"
          "tensor([2., 3.])",
          shape<pow_rule>, kElementwise});
  define({"core::float_power(Tensor|Scalar input, Tensor|Scalar exponent) -> Tensor",
          "pow computed in float64, or complex128: integers may have negative exponents.\n\n"
          ">>> at.float_power(at.tensor([2, 4]), -1)\n"
          "tensor([0.5000, 0.2500], dtype=float64)",
          shape<float_power_rule>, kElementwise});
  define({"core::rsub(Tensor input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
          "other - alpha * input: sub with its operands exchanged.\n\n"
          ">>> at.rsub(at.tensor([1, 2]), 10)\n"
          "tensor([9, 8])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"core::neg(Tensor input) -> Tensor",
          "-input; unsigned integers wrap around.\n\n"
          ">>> at.neg(at.tensor([1, -2]))\n"
          "tensor([-1,  2])",
          shape<no_bool>, kElementwise});
  define({"core::positive(Tensor input) -> Tensor",
          "+input: a copy of it.\n\n"
          ">>> at.positive(at.tensor([1, -2]))\n"
          "tensor([ 1, -2])",
          shape<no_bool>, ATLED_OP_ELEMENTWISE});
  define({"core::abs(Tensor input) -> Tensor",
          "The absolute value, of complex numbers the modulus.\n\n"
          "The smallest integer of a signed dtype, which has no counterpart, stays as it is.\n\n"
          ">>> at.abs(at.tensor([-3, 2]))\n"
          "tensor([3, 2])\n"
          ">>> at.abs(at.tensor([3 + 4j]))\n"
          "tensor([5.])",
          shape<abs_rule>, kElementwise});
  define({"core::sign(Tensor input) -> Tensor",
          "-1, 0 or 1, as the sign is; of complex numbers input / abs(input), which is 0 at 0.\n\n"
          "NaN stays NaN.\n\n"
          ">>> at.sign(at.tensor([-2.5, 0.0, 3.0]))\n"
          "tensor([-1.,  0.,  1.])",
          shape<same_rule>, kElementwise});
  define({"core::square(Tensor input) -> Tensor",
          "input * input; integers wrap around.\n\n"
          ">>> at.square(at.tensor([-3, 2]))\n"
          "tensor([9, 4])",
          shape<same_rule>, kElementwise});
  define({"core::reciprocal(Tensor input) -> Tensor",
          "1 / input; of 0 infinite, with the zero's sign.\n\n"
          ">>> at.reciprocal(at.tensor([2, -4, 0]))\n"
          "tensor([ 0.5000, -0.2500,     inf])",
          shape<float_rule>, kElementwise});
  define({"core::maximum(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The larger of the two, and NaN if either is (fmax leaves NaN out).\n\n"
          ">>> at.maximum(at.tensor([1, 5]), 3)\n"
          "tensor([3, 5])\n"
          ">>> at.maximum(at.tensor([1.0, float(\"nan\")]), at.tensor([2.0, 0.0]))\n"
          "tensor([ 2., nan])",
          shape<ordered_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::minimum(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The smaller of the two, and NaN if either is (fmin leaves NaN out).\n\n"
          ">>> at.minimum(at.tensor([1, 5]), 3)\n"
          "tensor([1, 3])",
          shape<ordered_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::lerp(Tensor input, Tensor end, Tensor|Scalar weight) -> Tensor",
          "input + weight * (end - input): the line from input (weight 0) to end (weight 1).\n\n"
          "weight may lie outside [0, 1].\n\n"
          ">>> at.lerp(at.tensor([0.0, 10.0]), at.tensor([10.0, 20.0]), 0.5)\n"
          "tensor([ 5., 15.])",
          shape<lerp_rule>, kElementwise});
  define({"core::addcmul(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
          "input + value * tensor1 * tensor2.\n\n"
          "value: a number of no higher kind than the result, else DTypeError.\n\n"
          ">>> at.addcmul(at.tensor([1, 2]), at.tensor([3, 4]), at.tensor([5, 6]), value=10)\n"
          "tensor([151, 242])",
          shape<addcmul_rule>, kElementwise});
  define({"core::addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
          "input + value * tensor1 / tensor2.\n\n"
          "value: as in addcmul.\n\n"
          ">>> at.addcdiv(at.tensor([1.0, 2.0]), at.tensor([3.0, 4.0]), at.tensor([2.0, 0.0]))\n"
          "tensor([2.5000,    inf])",
          shape<addcdiv_rule>, kElementwise});
  alias("core::sub", "core::subtract");
  alias("core::mul", "core::multiply");
  alias("core::div", "core::divide");
  alias("core::div", "core::true_divide");
  alias("core::neg", "core::negative");
  alias("core::abs", "core::absolute");
  alias("core::sign", "core::sgn");
}
ATLED_OPS(define_arithmetic);

void rsub(atled_frame* f) {
  static const Op sub{"core::sub"};
  atled_value result = none();
  sub.run(0, &result, {f->args[1], f->args[0], f->args[2]});
  f->outs[0] = result;
}
void add_arithmetic_composites() { add_kernel("core::rsub", ATLED_DEVICE_ANY, kernel<rsub>); }
ATLED_KERNELS(add_arithmetic_composites);

}  // namespace

}  // namespace atled::core
