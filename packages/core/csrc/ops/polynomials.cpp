// Orthogonal polynomials.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

// Each with its value of degree 1 and how one of a higher degree comes from the two before it.
struct PolynomialOp {
  const char* name;
  const char* text;
  const char* recurrence;
  const char* example;  // of degree 2 at 2
};

constexpr const char* kChebyshev = "p(n + 1) = 2 x p(n) - p(n - 1)";

constexpr PolynomialOp kOps[] = {
    {"chebyshev_polynomial_t", "Chebyshev's polynomial of the first kind, p(1) = x", kChebyshev, "7."},
    {"chebyshev_polynomial_u", "Chebyshev's polynomial of the second kind, p(1) = 2 x", kChebyshev, "15."},
    {"chebyshev_polynomial_v", "Chebyshev's polynomial of the third kind, p(1) = 2 x - 1", kChebyshev, "11."},
    {"chebyshev_polynomial_w", "Chebyshev's polynomial of the fourth kind, p(1) = 2 x + 1", kChebyshev, "19."},
    {"shifted_chebyshev_polynomial_t", "Chebyshev's polynomial of the first kind at x = 2 input - 1, p(1) = x",
     kChebyshev, "17."},
    {"shifted_chebyshev_polynomial_u", "Chebyshev's polynomial of the second kind at x = 2 input - 1, p(1) = 2 x",
     kChebyshev, "35."},
    {"shifted_chebyshev_polynomial_v", "Chebyshev's polynomial of the third kind at x = 2 input - 1, p(1) = 2 x - 1",
     kChebyshev, "29."},
    {"shifted_chebyshev_polynomial_w", "Chebyshev's polynomial of the fourth kind at x = 2 input - 1, p(1) = 2 x + 1",
     kChebyshev, "41."},
    {"hermite_polynomial_h", "Hermite's polynomial as physicists have it, p(1) = 2 x",
     "p(n + 1) = 2 x p(n) - 2 n p(n - 1)", "14."},
    {"hermite_polynomial_he", "Hermite's polynomial as statisticians have it, p(1) = x",
     "p(n + 1) = x p(n) - n p(n - 1)", "3."},
    {"laguerre_polynomial_l", "Laguerre's polynomial, p(1) = 1 - x",
     "(n + 1) p(n + 1) = (2 n + 1 - x) p(n) - n p(n - 1)", "-1."},
    {"legendre_polynomial_p", "Legendre's polynomial, p(1) = x", "(n + 1) p(n + 1) = (2 n + 1) x p(n) - n p(n - 1)",
     "5.5000"},
};

void define_polynomials() {
  for (const PolynomialOp& op : kOps) {
    const std::string schema = std::string("special::") + op.name + "(Tensor|Scalar input, Tensor|Scalar n) -> Tensor";
    const std::string doc =
        std::string(op.text) + ", of degree n: p(0) = 1, " + op.recurrence +
        " (DLMF 18.9).\n\n"
        "n: at most a million (InvalidValueError); a fraction of it does not count. 0 for n < 0.\n\n"
        ">>> at.special." +
        op.name + "(at.tensor([2.0]), 2)\ntensor([" + op.example + "])";
    define({schema.c_str(), doc.c_str(), shape<real_float_rule>, ATLED_OP_ELEMENTWISE});
  }
}
ATLED_OPS(define_polynomials);

}  // namespace

}  // namespace atled::core
