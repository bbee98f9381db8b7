// Complex numbers and their parts.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void real_part_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  outs[0].dtype = real_dtype(outs[0].dtype);
}

void imaginary_part_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (!is_complex(outs[0].dtype)) fail(ATLED_E_DTYPE, "expected complex numbers, got %s", dtype_name(outs[0].dtype));
  outs[0].dtype = real_dtype(outs[0].dtype);
}

void define_complex() {
  constexpr uint32_t elementwise = ATLED_OP_ELEMENTWISE;
  define({"core::conj(Tensor input) -> Tensor",
          "The complex conjugate; of real numbers a copy.\n\n>>> at.tensor(1 + 2j).conj()\ntensor(1.-2.j)",
          shape<same_rule>, elementwise | ATLED_OP_INPLACE});
  define({"core::real(Tensor input) -> Tensor",
          "The real part, as a new tensor; of real numbers a copy.\n\n>>> at.real(at.tensor(1 + 2j))\ntensor(1.)",
          shape<real_part_rule>, elementwise | ATLED_OP_FUNCTION});
  define({"core::imag(Tensor input) -> Tensor",
          "The imaginary part, as a new tensor.\n\n>>> at.imag(at.tensor(1 + 2j))\ntensor(2.)",
          shape<imaginary_part_rule>, elementwise | ATLED_OP_FUNCTION});
  alias("core::conj", "core::conj_physical");
}
ATLED_OPS(define_complex);

}  // namespace

}  // namespace atled::core
