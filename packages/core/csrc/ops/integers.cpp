#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void integers_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (!is_integer(outs[0].dtype)) fail(ATLED_E_DTYPE, "expected integers, got %s", dtype_name(outs[0].dtype));
}

void define_integers() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define({"core::gcd(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The greatest common divisor, at least 0; of two zeros 0.\n\n"
          "Where it is the least integer without its sign, which the dtype does not have, it is that, as in NumPy.\n\n"
          ">>> at.gcd(at.tensor([12, 0]), at.tensor([-18, 5]))\ntensor([6, 5])\n"
          ">>> at.gcd(at.tensor(-128, dtype=at.int8), at.tensor(0, dtype=at.int8)).item()\n-128",
          shape<integers_rule>, traits});
  define({"core::lcm(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The least common multiple, at least 0; with a zero 0.\n\n>>> at.lcm(at.tensor([4]), at.tensor([6]))\n"
          "tensor([12])",
          shape<integers_rule>, traits});
}
ATLED_OPS(define_integers);

}  // namespace

}  // namespace atled::core
