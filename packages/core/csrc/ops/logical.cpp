#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void bits_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (outs[0].dtype >= ATLED_FLOAT16)
    fail(ATLED_E_DTYPE, "expected integers or bool, got %s", dtype_name(outs[0].dtype));
}

void shift_rule(const atled_frame* frame, atled_spec* outs) {
  bits_rule(frame, outs);
  if (outs[0].dtype == ATLED_BOOL) fail(ATLED_E_DTYPE, "expected integers, got bool");
}

void define_logical() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define({"core::logical_and(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where both are true (not 0; NaN is true).\n\n"
          ">>> at.logical_and(at.tensor([0, 1, 2]), at.tensor([1, 0, 5]))\n"
          "tensor([False, False,  True])",
          shape<bool_rule>, traits});
  define({"core::logical_or(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where either is true (not 0; NaN is true).\n\n"
          ">>> at.logical_or(at.tensor([0, 1, 2]), at.tensor([0, 0, 5]))\n"
          "tensor([False,  True,  True])",
          shape<bool_rule>, traits});
  define({"core::logical_xor(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where exactly one is true (not 0; NaN is true).\n\n"
          ">>> at.logical_xor(at.tensor([0, 1, 2]), at.tensor([0, 0, 5]))\n"
          "tensor([False,  True, False])",
          shape<bool_rule>, traits});
  define({"core::logical_not(Tensor input) -> Tensor",
          "Where input is false (0).\n\n"
          ">>> at.logical_not(at.tensor([0, 1, 2]))\n"
          "tensor([ True, False, False])",
          shape<bool_rule>, traits});
  define({"core::bitwise_and(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The bits that both have; of bool, and.\n\n"
          ">>> at.bitwise_and(at.tensor([12, 5]), 10)\n"
          "tensor([8, 0])",
          shape<bits_rule>, traits});
  define({"core::bitwise_or(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The bits that either has; of bool, or.\n\n"
          ">>> at.bitwise_or(at.tensor([12, 5]), 10)\n"
          "tensor([14, 15])",
          shape<bits_rule>, traits});
  define({"core::bitwise_xor(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The bits that exactly one has; of bool, unequal.\n\n"
          ">>> at.bitwise_xor(at.tensor([12, 5]), 10)\n"
          "tensor([ 6, 15])",
          shape<bits_rule>, traits});
  define({"core::bitwise_not(Tensor input) -> Tensor",
          "Every bit the other way: of signed integers -input - 1; of bool, not.\n\n"
          ">>> at.bitwise_not(at.tensor([0, 5]))\n"
          "tensor([-1, -6])",
          shape<bits_rule>, traits});
  define({"core::bitwise_left_shift(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "input * 2^other, bits beyond the dtype dropped; 0 where other is negative or at least the dtype's width.\n\n"
          ">>> at.bitwise_left_shift(at.tensor([1, 3]), 2)\n"
          "tensor([ 4, 12])",
          shape<shift_rule>, traits});
  define({"core::bitwise_right_shift(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "input / 2^other rounded down; 0, or -1 below 0, where other is negative or at least the dtype's width.\n\n"
          ">>> at.bitwise_right_shift(at.tensor([16, -5]), 2)\n"
          "tensor([ 4, -2])",
          shape<shift_rule>, traits});
  alias("core::bitwise_not", "core::bitwise_invert");
}
ATLED_OPS(define_logical);

}  // namespace

}  // namespace atled::core
