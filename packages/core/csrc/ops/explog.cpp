#include <string>

#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void define_explog() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define({"core::exp(Tensor input) -> Tensor", "e to the power of input.", shape<float_rule>, traits});
  define({"core::exp2(Tensor input) -> Tensor", "2 to the power of input.", shape<float_rule>, traits});
  define({"core::expm1(Tensor input) -> Tensor", "exp(input) - 1, exact near 0.", shape<float_rule>, traits});
  define({"core::log(Tensor input) -> Tensor", "The natural logarithm; NaN below 0.", shape<float_rule>, traits});
  define({"core::log2(Tensor input) -> Tensor", "The logarithm to base 2.", shape<float_rule>, traits});
  define({"core::log10(Tensor input) -> Tensor", "The logarithm to base 10.", shape<float_rule>, traits});
  define({"core::log1p(Tensor input) -> Tensor", "log(1 + input), exact near 0.", shape<float_rule>, traits});
  define({"core::sqrt(Tensor input) -> Tensor", "The square root; NaN below 0.", shape<float_rule>, traits});
  define({"core::rsqrt(Tensor input) -> Tensor", "1 / sqrt(input).", shape<float_rule>, traits});
  define({"core::sigmoid(Tensor input) -> Tensor", "1 / (1 + exp(-input)).", shape<float_rule>, traits});
  define({"core::erf(Tensor input) -> Tensor",
          "The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to input.", shape<real_float_rule>,
          traits});
  define(
      {"core::erfc(Tensor input) -> Tensor", "1 - erf(input), exact for large input.", shape<real_float_rule>, traits});
  define({"core::logaddexp(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "log(exp(input) + exp(other)) without overflow.", shape<real_float_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::logaddexp2(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "log2(2^input + 2^other) without overflow.", shape<real_float_rule>, ATLED_OP_ELEMENTWISE});
  define({"core::logit(Tensor input, float? eps=None) -> Tensor",
          "log(input / (1 - input)), the inverse of sigmoid; eps, if given, first clamps input to [eps, 1 - eps].",
          shape<real_float_rule>, traits});
  define({"core::xlogy(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "input * log(other), but 0 where input is 0 and other is no NaN.", shape<real_float_rule>, traits});
  alias("core::sigmoid", "special::expit");
  for (const char* name : {"exp2", "expm1", "log1p", "erf", "erfc", "logit", "xlogy"})
    alias((std::string("core::") + name).c_str(), (std::string("special::") + name).c_str());
}
ATLED_OPS(define_explog);

}  // namespace

}  // namespace atled::core
