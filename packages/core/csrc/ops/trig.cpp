#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void define_trig() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define({"core::sin(Tensor input) -> Tensor", "The sine of input in radians.", shape<float_rule>, traits});
  define({"core::cos(Tensor input) -> Tensor", "The cosine of input in radians.", shape<float_rule>, traits});
  define({"core::tan(Tensor input) -> Tensor", "The tangent of input in radians.", shape<float_rule>, traits});
  define({"core::asin(Tensor input) -> Tensor", "The arc sine in [-pi/2, pi/2]; NaN outside [-1, 1].",
          shape<float_rule>, traits});
  define({"core::acos(Tensor input) -> Tensor", "The arc cosine in [0, pi]; NaN outside [-1, 1].", shape<float_rule>,
          traits});
  define({"core::atan(Tensor input) -> Tensor", "The arc tangent in [-pi/2, pi/2].", shape<float_rule>, traits});
  define({"core::sinh(Tensor input) -> Tensor", "The hyperbolic sine.", shape<float_rule>, traits});
  define({"core::cosh(Tensor input) -> Tensor", "The hyperbolic cosine.", shape<float_rule>, traits});
  define({"core::tanh(Tensor input) -> Tensor", "The hyperbolic tangent.", shape<float_rule>, traits});
  define({"core::asinh(Tensor input) -> Tensor", "The inverse hyperbolic sine.", shape<float_rule>, traits});
  define({"core::acosh(Tensor input) -> Tensor", "The inverse hyperbolic cosine; NaN below 1.", shape<float_rule>,
          traits});
  define({"core::atanh(Tensor input) -> Tensor", "The inverse hyperbolic tangent; NaN outside [-1, 1].",
          shape<float_rule>, traits});
  define({"core::atan2(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The angle of the point (other, input) in (-pi, pi].", shape<real_float_rule>, traits});
  define({"core::hypot(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "sqrt(input^2 + other^2) without overflow.", shape<real_float_rule>, traits});
  define({"core::deg2rad(Tensor input) -> Tensor", "Degrees in radians: input * pi / 180.", shape<real_float_rule>,
          traits});
  define({"core::rad2deg(Tensor input) -> Tensor", "Radians in degrees: input * 180 / pi.", shape<real_float_rule>,
          traits});
  define({"core::sinc(Tensor input) -> Tensor", "sin(pi input) / (pi input), 1 at 0.", shape<float_rule>, traits});
  alias("core::sinc", "special::sinc");
  alias("core::asin", "core::arcsin");
  alias("core::acos", "core::arccos");
  alias("core::atan", "core::arctan");
  alias("core::asinh", "core::arcsinh");
  alias("core::acosh", "core::arccosh");
  alias("core::atanh", "core::arctanh");
  alias("core::atan2", "core::arctan2");
}
ATLED_OPS(define_trig);

}  // namespace

}  // namespace atled::core
