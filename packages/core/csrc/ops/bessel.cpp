// Bessel functions of order 0 and 1 and Airy's function.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

struct Function {
  const char* schema;
  const char* doc;
};

constexpr Function kOps[] = {
    {"core::i0(Tensor input) -> Tensor",
     "The modified Bessel function of the first kind of order 0 (DLMF 10.25.2).\n\n"
     ">>> at.i0(at.tensor([0.0, 1.0]))\n"
     "tensor([1.0000, 1.2661])"},
    {"special::i0e(Tensor input) -> Tensor",
     "exp(-|input|) i0(input), which stays finite where i0 overflows.\n\n"
     ">>> at.special.i0e(at.tensor([1.0]))\n"
     "tensor([0.4658])"},
    {"special::i1(Tensor input) -> Tensor",
     "The modified Bessel function of the first kind of order 1 (DLMF 10.25.2).\n\n"
     ">>> at.special.i1(at.tensor([1.0]))\n"
     "tensor([0.5652])"},
    {"special::i1e(Tensor input) -> Tensor",
     "exp(-|input|) i1(input), which stays finite where i1 overflows.\n\n"
     ">>> at.special.i1e(at.tensor([1.0]))\n"
     "tensor([0.2079])"},
    {"special::modified_bessel_k0(Tensor input) -> Tensor",
     "The modified Bessel function of the second kind of order 0 (DLMF 10.27.4); infinite at 0, NaN below.\n\n"
     ">>> at.special.modified_bessel_k0(at.tensor([1.0]))\n"
     "tensor([0.4210])"},
    {"special::modified_bessel_k1(Tensor input) -> Tensor",
     "The modified Bessel function of the second kind of order 1 (DLMF 10.27.4); infinite at 0, NaN below.\n\n"
     ">>> at.special.modified_bessel_k1(at.tensor([1.0]))\n"
     "tensor([0.6019])"},
    {"special::scaled_modified_bessel_k0(Tensor input) -> Tensor",
     "exp(input) modified_bessel_k0(input), which stays above 0 where the latter underflows.\n\n"
     ">>> at.special.scaled_modified_bessel_k0(at.tensor([1.0]))\n"
     "tensor([1.1445])"},
    {"special::scaled_modified_bessel_k1(Tensor input) -> Tensor",
     "exp(input) modified_bessel_k1(input), which stays above 0 where the latter underflows.\n\n"
     ">>> at.special.scaled_modified_bessel_k1(at.tensor([1.0]))\n"
     "tensor([1.6362])"},
    {"special::bessel_j0(Tensor input) -> Tensor",
     "The Bessel function of the first kind of order 0 (DLMF 10.2.2).\n\n"
     ">>> at.special.bessel_j0(at.tensor([0.0, 1.0]))\n"
     "tensor([1.0000, 0.7652])"},
    {"special::bessel_j1(Tensor input) -> Tensor",
     "The Bessel function of the first kind of order 1 (DLMF 10.2.2).\n\n"
     ">>> at.special.bessel_j1(at.tensor([0.0, 1.0]))\n"
     "tensor([0.0000, 0.4401])"},
    {"special::bessel_y0(Tensor input) -> Tensor",
     "The Bessel function of the second kind of order 0 (DLMF 10.2.3); -infinity at 0, NaN below.\n\n"
     ">>> at.special.bessel_y0(at.tensor([1.0, 0.0]))\n"
     "tensor([0.0883,   -inf])"},
    {"special::bessel_y1(Tensor input) -> Tensor",
     "The Bessel function of the second kind of order 1 (DLMF 10.2.3); -infinity at 0, NaN below.\n\n"
     ">>> at.special.bessel_y1(at.tensor([1.0, 0.0]))\n"
     "tensor([-0.7812,    -inf])"},
    {"special::spherical_bessel_j0(Tensor input) -> Tensor",
     "The spherical Bessel function of the first kind of order 0 (DLMF 10.49.3): sin(input) / input, 1 at 0.\n\n"
     ">>> at.special.spherical_bessel_j0(at.tensor([0.0, 1.0]))\n"
     "tensor([1.0000, 0.8415])"},
    {"special::airy_ai(Tensor input) -> Tensor",
     "Airy's function Ai (DLMF 9.5.1), which oscillates below 0 and decays above.\n\n"
     ">>> at.special.airy_ai(at.tensor([0.0, 1.0]))\n"
     "tensor([0.3550, 0.1353])"},
};

void define_bessel() {
  for (const Function& op : kOps)
    define({op.schema, op.doc, shape<real_float_rule>, ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE});
  alias("core::i0", "special::i0");
  alias("core::i0", "special::modified_bessel_i0");
  alias("special::i1", "special::modified_bessel_i1");
}
ATLED_OPS(define_bessel);

}  // namespace

}  // namespace atled::core
