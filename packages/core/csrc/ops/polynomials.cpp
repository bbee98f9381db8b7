// Orthogonal polynomials.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

struct PolynomialOp {
  const char* name;
  const char* text;
};

constexpr PolynomialOp kOps[] = {
    {"chebyshev_polynomial_t", "Chebyshev's polynomial of the first kind"},
    {"chebyshev_polynomial_u", "Chebyshev's polynomial of the second kind"},
    {"chebyshev_polynomial_v", "Chebyshev's polynomial of the third kind"},
    {"chebyshev_polynomial_w", "Chebyshev's polynomial of the fourth kind"},
    {"shifted_chebyshev_polynomial_t", "Chebyshev's polynomial of the first kind of 2 input - 1"},
    {"shifted_chebyshev_polynomial_u", "Chebyshev's polynomial of the second kind of 2 input - 1"},
    {"shifted_chebyshev_polynomial_v", "Chebyshev's polynomial of the third kind of 2 input - 1"},
    {"shifted_chebyshev_polynomial_w", "Chebyshev's polynomial of the fourth kind of 2 input - 1"},
    {"hermite_polynomial_h", "Hermite's polynomial as physicists have it"},
    {"hermite_polynomial_he", "Hermite's polynomial as statisticians have it"},
    {"laguerre_polynomial_l", "Laguerre's polynomial"},
    {"legendre_polynomial_p", "Legendre's polynomial"},
};

void define_polynomials() {
  for (const PolynomialOp& op : kOps) {
    const std::string schema = std::string("special::") + op.name + "(Tensor|Scalar input, Tensor|Scalar n) -> Tensor";
    const std::string doc =
        std::string(op.text) +
        ", of degree n: at most a million; 0 for n < 0.\n\nA fraction of n does not count. Returns the "
        "floating dtype of both.";
    define({schema.c_str(), doc.c_str(), shape<real_float_rule>, ATLED_OP_ELEMENTWISE});
  }
}
ATLED_OPS(define_polynomials);

}  // namespace

}  // namespace atled::core
