#include <string>

#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void define_explog() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define({"core::exp(Tensor input) -> Tensor",
          "e to the power of input.\n\n"
          ">>> at.exp(at.tensor([0.0, 1.0, -float(\"inf\")]))\n"
          "tensor([1.0000, 2.7183, 0.0000])",
          shape<float_rule>, traits});
  define({"core::exp2(Tensor input) -> Tensor",
          "2 to the power of input.\n\n"
          ">>> at.exp2(at.tensor([0, 3, -1]))\n"
          "tensor([1.0000, 8.0000, 0.5000])",
          shape<float_rule>, traits});
  define({"core::expm1(Tensor input) -> Tensor",
          "exp(input) - 1, exact near 0, where the difference of the two would lose its digits.\n\n"
          ">>> at.expm1(at.tensor([1e-10, 0.0]))\n"
          "tensor([1.0000e-10, 0.0000e+00])",
          shape<float_rule>, traits});
  define({"core::log(Tensor input) -> Tensor",
          "The natural logarithm: -infinity at 0, NaN below; of complex numbers the principal value.\n\n"
          ">>> at.log(at.tensor([1.0, 0.0, -1.0]))\n"
          "tensor([  0., -inf,  nan])",
          shape<float_rule>, traits});
  define({"core::log2(Tensor input) -> Tensor",
          "The logarithm to base 2: -infinity at 0, NaN below.\n\n"
          ">>> at.log2(at.tensor([8.0, 1.0, 0.5]))\n"
          "tensor([ 3.,  0., -1.])",
          shape<float_rule>, traits});
  define({"core::log10(Tensor input) -> Tensor",
          "The logarithm to base 10: -infinity at 0, NaN below.\n\n"
          ">>> at.log10(at.tensor([1000.0, 1.0, 0.0]))\n"
          "tensor([  3.,   0., -inf])",
          shape<float_rule>, traits});
  define({"core::log1p(Tensor input) -> Tensor",
          "log(1 + input), exact near 0, where the sum would lose input's digits; -infinity at -1, NaN below.\n\n"
          ">>> at.log1p(at.tensor([1e-10, 0.0, -1.0]))\n"
          "tensor([1.0000e-10, 0.0000e+00,       -inf])",
          shape<float_rule>, traits});
  define({"core::sqrt(Tensor input) -> Tensor",
          "The square root; NaN below 0, of complex numbers the principal value.\n\n"
          ">>> at.sqrt(at.tensor([4.0, 2.0, -1.0]))\n"
          "tensor([2.0000, 1.4142,    nan])",
          shape<float_rule>, traits});
  define({"core::rsqrt(Tensor input) -> Tensor",
          "1 / sqrt(input): infinite at 0, NaN below.\n\n"
          ">>> at.rsqrt(at.tensor([4.0, 0.0]))\n"
          "tensor([0.5000,    inf])",
          shape<float_rule>, traits});
  define({"core::sigmoid(Tensor input) -> Tensor",
          "1 / (1 + exp(-input)), the logistic function, from 0 at -infinity to 1 at infinity.\n\n"
          ">>> at.sigmoid(at.tensor([-1.0, 0.0, 1.0]))\n"
          "tensor([0.2689, 0.5000, 0.7311])",
          shape<float_rule>, traits});
  define({"core::erf(Tensor input) -> Tensor",
          "The error function (DLMF 7.2.1): 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to input.\n\n"
          ">>> at.erf(at.tensor([0.0, 1.0, float(\"inf\")]))\n"
          "tensor([0.0000, 0.8427, 1.0000])",
          shape<real_float_rule>, traits});
  define({"core::erfc(Tensor input) -> Tensor",
          "1 - erf(input), exact for large input, where the difference would be 0.\n\n"
          ">>> at.erfc(at.tensor([0.0, 1.0]))\n"
          "tensor([1.0000, 0.1573])",
          shape<real_float_rule>, traits});
  define({"core::logaddexp(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "log(exp(input) + exp(other)) without overflow.\n\n"
          ">>> at.logaddexp(at.tensor([0.0, 1.0]), 1.0)\n"
          "tensor([1.3133, 1.6931])",
          shape<real_float_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::logaddexp2(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "log2(2^input + 2^other) without overflow.\n\n"
          ">>> at.logaddexp2(at.tensor([3.0]), at.tensor([3.0]))\n"
          "tensor([4.])",
          shape<real_float_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::logit(Tensor input, float? eps=None) -> Tensor",
          "log(input / (1 - input)), the inverse of sigmoid: -infinity at 0, infinity at 1, NaN outside.\n\n"
          "eps, if given, first clamps input to [eps, 1 - eps].\n\n"
          ">>> at.logit(at.tensor([0.5, 0.9, 1.0]))\n"
          "tensor([0.0000, 2.1972,    inf])",
          shape<real_float_rule>, traits});
  define({"core::xlogy(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "input * log(other), but 0 where input is 0 and other is no NaN.\n\n"
          ">>> at.xlogy(at.tensor([0.0, 2.0]), at.tensor([0.0, 1.0]))\n"
          "tensor([0., 0.])",
          shape<real_float_rule>, traits});
  alias("core::sigmoid", "special::expit");
  for (const char* name : {"exp2", "expm1", "log1p", "erf", "erfc", "logit", "xlogy"})
    alias((std::string("core::") + name).c_str(), (std::string("special::") + name).c_str());
}
ATLED_OPS(define_explog);

}  // namespace

}  // namespace atled::core
