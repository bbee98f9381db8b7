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
  define({"core::eq(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where input == other; NaN equals nothing, itself neither.\n\n"
          ">>> at.eq(at.tensor([1, 2, 3]), at.tensor([1, 5, 3]))\n"
          "tensor([ True, False,  True])",
          shape<bool_rule>, traits | ATLED_OP_FLOAT8});
  define({"core::ne(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where input != other; NaN differs from everything, itself too.\n\n"
          ">>> at.ne(at.tensor([1, 2, 3]), 2)\n"
          "tensor([ True, False,  True])",
          shape<bool_rule>, traits | ATLED_OP_FLOAT8});
  define({"core::lt(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where input < other; false beside NaN.\n\n"
          ">>> at.lt(at.tensor([1, 2, 3]), 2)\n"
          "tensor([ True, False, False])",
          shape<order_rule>, traits});
  define({"core::le(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where input <= other; false beside NaN.\n\n"
          ">>> at.le(at.tensor([1, 2, 3]), 2)\n"
          "tensor([ True,  True, False])",
          shape<order_rule>, traits});
  define({"core::gt(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where input > other; false beside NaN.\n\n"
          ">>> at.gt(at.tensor([1, 2, 3]), 2)\n"
          "tensor([False, False,  True])",
          shape<order_rule>, traits});
  define({"core::ge(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where input >= other; false beside NaN.\n\n"
          ">>> at.ge(at.tensor([1, 2, 3]), 2)\n"
          "tensor([False,  True,  True])",
          shape<order_rule>, traits});
  define({"core::isnan(Tensor input) -> Tensor",
          "Where input is NaN; of complex numbers, where either part is.\n\n"
          ">>> at.isnan(at.tensor([1.0, float(\"nan\")]))\n"
          "tensor([False,  True])",
          shape<bool_rule>, ATLED_OP_ELEMENTWISE | ATLED_OP_FLOAT8});
  define({"core::isinf(Tensor input) -> Tensor",
          "Where input is infinite, of either sign; of complex numbers, where either part is.\n\n"
          ">>> at.isinf(at.tensor([1.0, -float(\"inf\"), float(\"nan\")]))\n"
          "tensor([False,  True, False])",
          shape<bool_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::isfinite(Tensor input) -> Tensor",
          "Where input is neither infinite nor NaN; of complex numbers, where both parts are so.\n\n"
          ">>> at.isfinite(at.tensor([1.0, float(\"inf\"), float(\"nan\")]))\n"
          "tensor([ True, False, False])",
          shape<bool_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::isposinf(Tensor input) -> Tensor",
          "Where input is +infinity.\n\n"
          ">>> at.isposinf(at.tensor([1.0, float(\"inf\"), -float(\"inf\")]))\n"
          "tensor([False,  True, False])",
          shape<real_test_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::isneginf(Tensor input) -> Tensor",
          "Where input is -infinity.\n\n"
          ">>> at.isneginf(at.tensor([1.0, float(\"inf\"), -float(\"inf\")]))\n"
          "tensor([False, False,  True])",
          shape<real_test_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::isreal(Tensor input) -> Tensor",
          "Where the imaginary part is 0: everywhere in real tensors, NaN included.\n\n"
          ">>> at.isreal(at.tensor([1 + 0j, 1j]))\n"
          "tensor([ True, False])",
          shape<bool_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::signbit(Tensor input) -> Tensor",
          "Where the sign is a minus, that of -0 and NaN too.\n\n"
          ">>> at.signbit(at.tensor([-1.0, -0.0, 2.0]))\n"
          "tensor([ True,  True, False])",
          shape<real_test_rule>, ATLED_OP_ELEMENTWISE});
  define(
      {"core::isclose(Tensor input, Tensor|Scalar other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> "
       "Tensor",
       "Where |input - other| <= atol + rtol * |other|.\n\n"
       "Equal infinities are close; NaN is close to nothing, with equal_nan to NaN. InvalidValueError for a negative "
       "tolerance.\n\n"
       ">>> at.isclose(at.tensor([1.0, 1.1]), at.tensor([1.000001, 1.0]))\n"
       "tensor([ True, False])",
       shape<bool_rule>, ATLED_OP_ELEMENTWISE});
  alias("core::ne", "core::not_equal");
  alias("core::lt", "core::less");
  alias("core::le", "core::less_equal");
  alias("core::gt", "core::greater");
  alias("core::ge", "core::greater_equal");
}
ATLED_OPS(define_comparison);

}  // namespace

}  // namespace atled::core
