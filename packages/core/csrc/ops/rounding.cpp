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
  define({"core::floor(Tensor input) -> Tensor", "The largest integer that is not above input.", shape<whole_rule>,
          traits});
  define({"core::ceil(Tensor input) -> Tensor", "The smallest integer that is not below input.", shape<whole_rule>,
          traits});
  define({"core::trunc(Tensor input) -> Tensor", "The integer part of input.", shape<whole_rule>, traits});
  define({"core::round(Tensor input, *, int decimals=0) -> Tensor",
          "The nearest number with that many decimals, half to even; negative decimals round to tens, hundreds, ...\n\n"
          "input: numbers; complex ones, whose parts are rounded, only to no decimals.",
          shape<round_rule>, traits});
  define({"core::frac(Tensor input) -> Tensor", "input - trunc(input): what follows the point, with input's sign.",
          shape<frac_rule>, traits});
  alias("core::trunc", "core::fix");
  alias("core::round", "special::round");
}
ATLED_OPS(define_rounding);

}  // namespace

}  // namespace atled::core
