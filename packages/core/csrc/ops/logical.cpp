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
          "Where both are true (not 0), as bool.", shape<bool_rule>, traits});
  define({"core::logical_or(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where either is true (not 0), as bool.", shape<bool_rule>, traits});
  define({"core::logical_xor(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Where exactly one is true (not 0), as bool.", shape<bool_rule>, traits});
  define({"core::logical_not(Tensor input) -> Tensor", "Where input is false (0), as bool.", shape<bool_rule>, traits});
  define({"core::bitwise_and(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The bits that both have; for bool, and.", shape<bits_rule>, traits});
  define({"core::bitwise_or(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The bits that either has; for bool, or.", shape<bits_rule>, traits});
  define({"core::bitwise_xor(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The bits that exactly one has; for bool, unequal.", shape<bits_rule>, traits});
  define({"core::bitwise_not(Tensor input) -> Tensor", "Every bit the other way; for bool, not.", shape<bits_rule>,
          traits});
  define({"core::bitwise_left_shift(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "input * 2^other, bits beyond the dtype dropped.", shape<shift_rule>, traits});
  define({"core::bitwise_right_shift(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "input / 2^other rounded down.", shape<shift_rule>, traits});
  alias("core::bitwise_not", "core::bitwise_invert");
}
ATLED_OPS(define_logical);

}  // namespace

}  // namespace atled::core
