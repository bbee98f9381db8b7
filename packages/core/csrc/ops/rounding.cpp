#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void whole_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (outs[0].dtype == ATLED_BOOL || is_complex(outs[0].dtype))
    fail(ATLED_E_DTYPE, "expected real numbers, got %s", dtype_name(outs[0].dtype));
}

void frac_rule(const atled_frame* frame, atled_spec* outs) {
  expect_floating(arg_tensor(frame, 0), "input");
  whole_rule(frame, outs);
}

void round_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (outs[0].dtype == ATLED_BOOL || (is_complex(outs[0].dtype) && arg_int(frame, 1) != 0))
    fail(ATLED_E_DTYPE, "expected real numbers%s, got %s", outs[0].dtype == ATLED_BOOL ? "" : " for decimals",
         dtype_name(outs[0].dtype));
}

void define_rounding() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define({"core::floor(Tensor input) -> Tensor",
          "The largest integer that is not above input.\n\n"
          ">>> at.floor(at.tensor([-1.5, 1.5]))\ntensor([-2.,  1.])",
          shape<whole_rule>, traits});
  define({"core::ceil(Tensor input) -> Tensor",
          "The smallest integer that is not below input.\n\n"
          ">>> at.ceil(at.tensor([-1.5, 1.5]))\ntensor([-1.,  2.])",
          shape<whole_rule>, traits});
  define({"core::trunc(Tensor input) -> Tensor",
          "The integer part of input: rounded towards 0.\n\n"
          ">>> at.trunc(at.tensor([-1.5, 1.5]))\ntensor([-1.,  1.])",
          shape<whole_rule>, traits});
  define({"core::round(Tensor input, *, int decimals=0) -> Tensor",
          "The nearest number with that many decimals, half to even; negative decimals round to tens, hundreds, ...\n\n"
          "input: numbers; complex ones, whose parts are rounded, only to no decimals.\n\n"
          ">>> at.round(at.tensor([0.5, 1.5, 2.6]))\ntensor([0., 2., 3.])\n"
          ">>> at.round(at.tensor([1249, 1251]), decimals=-2)\ntensor([1200, 1300])",
          shape<round_rule>, traits});
  define({"core::frac(Tensor input) -> Tensor",
          "input - trunc(input): what follows the point, with input's sign; NaN for infinities.\n\n"
          "input: floating and real, else DTypeError.\n\n"
          ">>> at.frac(at.tensor([-1.5, 1.25]))\ntensor([-0.5000,  0.2500])",
          shape<frac_rule>, traits});
  alias("core::trunc", "core::fix");
  alias("core::round", "special::round");
}
ATLED_OPS(define_rounding);

}  // namespace

}  // namespace atled::core
