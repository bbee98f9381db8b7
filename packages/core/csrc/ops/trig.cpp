#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void define_trig() {
  constexpr uint32_t traits = ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE;
  define({"core::sin(Tensor input) -> Tensor",
          "The sine of input in radians; NaN for infinities.\n\n"
          ">>> at.sin(at.tensor([0.0, 1.0]))\ntensor([0.0000, 0.8415])",
          shape<float_rule>, traits});
  define({"core::cos(Tensor input) -> Tensor",
          "The cosine of input in radians; NaN for infinities.\n\n"
          ">>> at.cos(at.tensor([0.0, 1.0]))\ntensor([1.0000, 0.5403])",
          shape<float_rule>, traits});
  define({"core::tan(Tensor input) -> Tensor",
          "The tangent of input in radians; NaN for infinities.\n\n"
          ">>> at.tan(at.tensor([0.0, 1.0]))\ntensor([0.0000, 1.5574])",
          shape<float_rule>, traits});
  define({"core::asin(Tensor input) -> Tensor",
          "The arc sine in [-pi/2, pi/2]; NaN outside [-1, 1].\n\n"
          ">>> at.asin(at.tensor([0.5, 1.0]))\ntensor([0.5236, 1.5708])",
          shape<float_rule>, traits});
  define({"core::acos(Tensor input) -> Tensor",
          "The arc cosine in [0, pi]; NaN outside [-1, 1].\n\n"
          ">>> at.acos(at.tensor([-1.0, 0.5]))\ntensor([3.1416, 1.0472])",
          shape<float_rule>, traits});
  define({"core::atan(Tensor input) -> Tensor",
          "The arc tangent in [-pi/2, pi/2].\n\n"
          ">>> at.atan(at.tensor([1.0, float(\"inf\")]))\ntensor([0.7854, 1.5708])",
          shape<float_rule>, traits});
  define({"core::sinh(Tensor input) -> Tensor",
          "The hyperbolic sine.\n\n"
          ">>> at.sinh(at.tensor([0.0, 1.0]))\ntensor([0.0000, 1.1752])",
          shape<float_rule>, traits});
  define({"core::cosh(Tensor input) -> Tensor",
          "The hyperbolic cosine.\n\n"
          ">>> at.cosh(at.tensor([0.0, 1.0]))\ntensor([1.0000, 1.5431])",
          shape<float_rule>, traits});
  define({"core::tanh(Tensor input) -> Tensor",
          "The hyperbolic tangent.\n\n"
          ">>> at.tanh(at.tensor([0.0, 1.0]))\ntensor([0.0000, 0.7616])",
          shape<float_rule>, traits});
  define({"core::asinh(Tensor input) -> Tensor",
          "The inverse hyperbolic sine.\n\n"
          ">>> at.asinh(at.tensor([0.0, 1.0]))\ntensor([0.0000, 0.8814])",
          shape<float_rule>, traits});
  define({"core::acosh(Tensor input) -> Tensor",
          "The inverse hyperbolic cosine; NaN below 1.\n\n"
          ">>> at.acosh(at.tensor([1.0, 2.0]))\ntensor([0.0000, 1.3170])",
          shape<float_rule>, traits});
  define({"core::atanh(Tensor input) -> Tensor",
          "The inverse hyperbolic tangent; infinities at -1 and 1, NaN outside.\n\n"
          ">>> at.atanh(at.tensor([0.5, 1.0]))\ntensor([0.5493,    inf])",
          shape<float_rule>, traits});
  define({"core::atan2(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "The angle of the point (other, input) from the axis of other, in [-pi, pi].\n\n"
          "Signs of zeros count: -0.0 over a negative number gives -pi.\n\n"
          ">>> at.atan2(at.tensor([1.0, -1.0]), at.tensor([1.0, -1.0]))\ntensor([ 0.7854, -2.3562])",
          shape<real_float_rule>, traits});
  define({"core::hypot(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
          "sqrt(input^2 + other^2) without overflow.\n\n"
          ">>> at.hypot(at.tensor([3.0, 5.0]), at.tensor([4.0, 12.0]))\ntensor([ 5., 13.])",
          shape<real_float_rule>, traits});
  define({"core::deg2rad(Tensor input) -> Tensor",
          "Degrees in radians: input * pi / 180.\n\n"
          ">>> at.deg2rad(at.tensor([90.0, 180.0]))\ntensor([1.5708, 3.1416])",
          shape<real_float_rule>, traits});
  define({"core::rad2deg(Tensor input) -> Tensor",
          "Radians in degrees: input * 180 / pi.\n\n"
          ">>> at.rad2deg(at.tensor([1.0]))\ntensor([57.2958])",
          shape<real_float_rule>, traits});
  define({"core::sinc(Tensor input) -> Tensor",
          "sin(pi input) / (pi input), 1 at 0.\n\n"
          ">>> at.sinc(at.tensor([0.0, 0.5]))\ntensor([1.0000, 0.6366])",
          shape<float_rule>, traits});
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
