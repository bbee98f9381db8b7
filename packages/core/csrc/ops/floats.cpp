// What floating numbers are made of.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void frexp_rule(const atled_frame* frame, atled_spec* outs) {
  expect_floating(arg_tensor(frame, 0), "input");
  expect_real(arg_tensor(frame, 0), "input");
  same_rule(frame, outs);
  outs[1] = outs[0];
  outs[1].dtype = ATLED_INT32;
}

void nextafter_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (!is_floating(outs[0].dtype))
    fail(ATLED_E_DTYPE, "expected real floating numbers, got %s", dtype_name(outs[0].dtype));
}

void define_floats() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define(
      {"core::frexp(Tensor input) -> (Tensor mantissa, Tensor exponent)",
       "input = mantissa * 2^exponent with |mantissa| in [0.5, 1); the exponent is 0 for zeros, infinities and NaN.\n\n"
       ">>> mantissa, exponent = at.frexp(at.tensor([8.0, -3.0]))\n"
       ">>> mantissa.tolist(), exponent.tolist()\n"
       "([0.5, -0.75], [4, 2])",
       shape<frexp_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::ldexp(Tensor input, Tensor|Scalar other) -> Tensor",
          "input * 2^other, which over- or underflows only where the result does.\n\n"
          ">>> at.ldexp(at.tensor([1.0, 3.0]), at.tensor([2, -1]))\n"
          "tensor([4.0000, 1.5000])",
          shape<float_rule>, traits});
  define({"core::nextafter(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The next number of the dtype after input towards other; input where the two are equal, NaN if either is.\n\n"
          ">>> (at.nextafter(at.tensor([1.0]), 2.0) - 1).item() == 2**-23\n"
          "True",
          shape<nextafter_rule>, traits});
}
ATLED_OPS(define_floats);

}  // namespace

}  // namespace atled::core
