// The gamma function's relatives, in core and in special.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void polygamma_rule(const atled_frame* frame, atled_spec* outs) {
  real_float_rule(frame, outs);
  if (arg_int(frame, 0) < 0) fail(ATLED_E_VALUE, "expected n of at least 0, got %lld", (long long)arg_int(frame, 0));
}

void mvlgamma_rule(const atled_frame* frame, atled_spec* outs) {
  real_float_rule(frame, outs);
  const int64_t p = arg_int(frame, 1);
  if (p < 1 || p > 100000) fail(ATLED_E_VALUE, "expected p in [1, 100000], got %lld", (long long)p);
}

void define_gamma() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define({"core::lgamma(Tensor input) -> Tensor",
          "The logarithm of the gamma function's absolute value; infinite at 0, -1, -2, ...\n\n"
          ">>> at.lgamma(at.tensor([1.0, 5.0, 0.0]))\n"
          "tensor([0.0000, 3.1781,    inf])",
          shape<real_float_rule>, traits});
  define({"core::digamma(Tensor input) -> Tensor",
          "The derivative of lgamma (DLMF 5.2.2); at 0 infinite, at the other poles NaN.\n\n"
          ">>> at.digamma(at.tensor([1.0]))\n"
          "tensor([-0.5772])",
          shape<real_float_rule>, traits});
  define({"core::polygamma(int n, Tensor input) -> Tensor",
          "The n-th derivative of digamma (DLMF 5.15.1).\n\n"
          "InvalidValueError for n below 0.\n\n"
          ">>> at.polygamma(1, at.tensor([1.0]))\n"
          "tensor([1.6449])",
          shape<polygamma_rule>, ATLED_OP_ELEMENTWISE | ATLED_OP_FUNCTION});
  define({"core::mvlgamma(Tensor input, int p) -> Tensor",
          "The logarithm of the multivariate gamma function of dimension p (DLMF 35.3).\n\n"
          "log(pi) p (p - 1) / 4 plus the sum of lgamma(input - j / 2) for j from 0 to p - 1. InvalidValueError for p "
          "below 1.\n\n"
          ">>> at.mvlgamma(at.tensor([3.0]), 2)\n"
          "tensor([1.5502])",
          shape<mvlgamma_rule>, traits});
  define({"core::igamma(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The regularised lower incomplete gamma function (DLMF 8.2.4): input is its parameter, other the integral's "
          "end.\n\n"
          "NaN where either is negative.\n\n"
          ">>> at.igamma(at.tensor([1.0]), at.tensor([2.0]))\n"
          "tensor([0.8647])",
          shape<real_float_rule>, traits});
  define({"core::igammac(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The regularised upper incomplete gamma function (DLMF 8.2.4): 1 - igamma(input, other), exact where that is "
          "small.\n\n"
          ">>> at.igammac(at.tensor([1.0]), at.tensor([2.0]))\n"
          "tensor([0.1353])",
          shape<real_float_rule>, traits});
  define({"special::zeta(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "Hurwitz's zeta function (DLMF 25.11.1): the sum of (other + k)^-input over k = 0, 1, ...\n\n"
          "NaN for input < 1; infinite at input 1 and where other is 0, -1, -2, ...\n\n"
          ">>> at.special.zeta(at.tensor([2.0]), 1)\n"
          "tensor([1.6449])",
          shape<real_float_rule>, traits});
  alias("core::lgamma", "special::gammaln");
  alias("core::digamma", "special::digamma");
  alias("core::digamma", "special::psi");
  alias("core::polygamma", "special::polygamma");
  alias("core::mvlgamma", "special::multigammaln");
  alias("core::igamma", "special::gammainc");
  alias("core::igammac", "special::gammaincc");
}
ATLED_OPS(define_gamma);

}  // namespace

}  // namespace atled::core
