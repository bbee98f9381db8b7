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
          "input + alpha * other, element by element; for bool, or.", shape<add_rule>, kElementwise});
  define({"core::sub(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
          "input - alpha * other, element by element.", shape<sub_alpha_rule>, kElementwise});
  define({"core::mul(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "input * other, element by element; for bool, and.", shape<same_rule>, kElementwise});
  define({"core::div(Tensor|Scalar input, Tensor|Scalar other, *, str? rounding_mode=None) -> Tensor",
          "input / other, element by element; integers give the default float dtype.\n\n"
          "rounding_mode \"trunc\" rounds the quotient towards zero, \"floor\" down, and both keep integers.",
          shape<div_rule>, kElementwise});
  define({"core::floor_divide(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The quotient rounded down, as Python's // has it. Integer division by zero raises InvalidValueError.",
          shape<modulo_rule>, kElementwise});
  define({"core::remainder(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The remainder with the divisor's sign, as Python's % has it.", shape<modulo_rule>, kElementwise});
  define({"core::fmod(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The remainder with the dividend's sign, as C's fmod has it.", shape<modulo_rule>, kElementwise});
  define({"core::pow(Tensor|Scalar input, Tensor|Scalar exponent) -> Tensor",
          "input to the power of exponent, element by element; integers wrap.", shape<pow_rule>, kElementwise});
  define({"core::float_power(Tensor|Scalar input, Tensor|Scalar exponent) -> Tensor",
          "input to the power of exponent, computed in float64 (complex128 for complex numbers).",
          shape<float_power_rule>, kElementwise});
  define({"core::rsub(Tensor input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor", "other - alpha * input.",
          nullptr, ATLED_OP_COMPOSITE});
  define({"core::neg(Tensor input) -> Tensor", "-input.", shape<no_bool>, kElementwise});
  define({"core::positive(Tensor input) -> Tensor", "+input: a copy of it.", shape<no_bool>, ATLED_OP_ELEMENTWISE});
  define({"core::abs(Tensor input) -> Tensor", "The absolute value; of complex numbers the modulus, which is real.",
          shape<abs_rule>, kElementwise});
  define({"core::sign(Tensor input) -> Tensor",
          "-1, 0 or 1, as the sign is; NaN stays NaN; of complex numbers input / abs(input).", shape<same_rule>,
          kElementwise});
  define({"core::square(Tensor input) -> Tensor", "input * input.", shape<same_rule>, kElementwise});
  define({"core::reciprocal(Tensor input) -> Tensor", "1 / input; integers give the default float dtype.",
          shape<float_rule>, kElementwise});
  define({"core::maximum(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The larger of the two, element by element; NaN if either is.", shape<ordered_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::minimum(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The smaller of the two, element by element; NaN if either is.", shape<ordered_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::lerp(Tensor input, Tensor end, Tensor|Scalar weight) -> Tensor",
          "input + weight * (end - input): the line from input (weight 0) to end (weight 1).", shape<lerp_rule>,
          kElementwise});
  define({"core::addcmul(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
          "input + value * tensor1 * tensor2.", shape<addcmul_rule>, kElementwise});
  define({"core::addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
          "input + value * tensor1 / tensor2, of floating tensors.", shape<addcdiv_rule>, kElementwise});
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
