#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void order_rule(const atled_frame* frame, atled_spec* outs) {
  bool_rule(frame, outs);
  if (is_complex(promoted(frame))) fail(ATLED_E_DTYPE, "expected real numbers, got complex, which have no order");
}

void real_test_rule(const atled_frame* frame, atled_spec* outs) {
  expect_real(arg_tensor(frame, 0), "input");
  bool_rule(frame, outs);
}

void define_comparison() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define({"core::eq(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", "Where input == other, as bool.",
          shape<bool_rule>, traits | ATLED_OP_FLOAT8});
  define({"core::ne(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", "Where input != other, as bool.",
          shape<bool_rule>, traits | ATLED_OP_FLOAT8});
  define({"core::lt(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", "Where input < other, as bool.",
          shape<order_rule>, traits});
  define({"core::le(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", "Where input <= other, as bool.",
          shape<order_rule>, traits});
  define({"core::gt(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", "Where input > other, as bool.",
          shape<order_rule>, traits});
  define({"core::ge(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", "Where input >= other, as bool.",
          shape<order_rule>, traits});
  define({"core::isnan(Tensor input) -> Tensor", "Where input is NaN, as bool.", shape<bool_rule>,
          ATLED_OP_ELEMENTWISE | ATLED_OP_FLOAT8});
  define({"core::isinf(Tensor input) -> Tensor", "Where input is infinite, as bool.", shape<bool_rule>,
          ATLED_OP_ELEMENTWISE});
  define({"core::isfinite(Tensor input) -> Tensor", "Where input is neither infinite nor NaN, as bool.",
          shape<bool_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::isposinf(Tensor input) -> Tensor", "Where input is +infinity, as bool.", shape<real_test_rule>,
          ATLED_OP_ELEMENTWISE});
  define({"core::isneginf(Tensor input) -> Tensor", "Where input is -infinity, as bool.", shape<real_test_rule>,
          ATLED_OP_ELEMENTWISE});
  define({"core::isreal(Tensor input) -> Tensor", "Where the imaginary part is 0, as bool; true for all real numbers.",
          shape<bool_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::signbit(Tensor input) -> Tensor",
          "Where the sign is a minus, that of -0 and NaN too, as bool.\n\n>>> at.signbit(at.tensor([-1.0, -0.0, "
          "2.0]))\ntensor([ True,  True, False])",
          shape<real_test_rule>, ATLED_OP_ELEMENTWISE});
  define(
      {"core::isclose(Tensor input, Tensor|Scalar other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> "
       "Tensor",
       "Where |input - other| <= atol + rtol * |other|, as bool; equal infinities are close.", shape<bool_rule>,
       ATLED_OP_ELEMENTWISE});
  alias("core::ne", "core::not_equal");
  alias("core::lt", "core::less");
  alias("core::le", "core::less_equal");
  alias("core::gt", "core::greater");
  alias("core::ge", "core::greater_equal");
}
ATLED_OPS(define_comparison);

}  // namespace

}  // namespace atled::core
