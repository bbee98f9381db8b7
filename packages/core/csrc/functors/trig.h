// Trigonometric and hyperbolic functions of one element.
#pragma once

#include <cmath>
#include <complex>

#include "functors/explog.h"
#include "functors/float_trig.h"

namespace atled::core {

// By float_math.h and double_math.h; huge arguments need more bits of pi and take the library's way (see
// unary_checked).
#define ATLED_FAST_FUNCTION(Name, function)        \
  struct Name {                                    \
    template <class T>                             \
    static ATLED_FN bool fast(T x) {               \
      return std::fabs(x) <= T(fmath::kTrigLimit); \
    }                                              \
    template <class T>                             \
    static ATLED_FN T slow(T x) {                  \
      return std::function(x);                     \
    }                                              \
    template <class T>                             \
    ATLED_FN T operator()(T x) const {             \
      return fmath::function(x);                   \
    }                                              \
  }
ATLED_FAST_FUNCTION(FastSin, sin);
ATLED_FAST_FUNCTION(FastCos, cos);
ATLED_FAST_FUNCTION(FastTan, tan);
#undef ATLED_FAST_FUNCTION

// By float_math.h, float_trig.h and double_math.h where `ours` holds for the type.
#define ATLED_OWN_FUNCTION(Name, function, ours) \
  struct Name {                                  \
    template <class T>                           \
    ATLED_FN T operator()(T x) const {           \
      if constexpr (ours<T>)                     \
        return fmath::function(x);               \
      else                                       \
        return std::function(x);                 \
    }                                            \
  }
ATLED_OWN_FUNCTION(Asin, asin, by_own_math);
ATLED_OWN_FUNCTION(Acos, acos, by_own_math);
ATLED_OWN_FUNCTION(Atan, atan, by_own_math);
ATLED_OWN_FUNCTION(Sinh, sinh, by_own_math);
ATLED_OWN_FUNCTION(Cosh, cosh, by_own_math);
ATLED_OWN_FUNCTION(Tanh, tanh, by_own_math);
ATLED_OWN_FUNCTION(Asinh, asinh, by_own_math);
ATLED_OWN_FUNCTION(Acosh, acosh, by_own_math);
ATLED_OWN_FUNCTION(Atanh, atanh, by_own_math);
#undef ATLED_OWN_FUNCTION

// The library's function for every type.
#define ATLED_LIBRARY_FUNCTION(Name, function) \
  struct Name {                                \
    template <class T>                         \
    ATLED_FN T operator()(T x) const {         \
      return std::function(x);                 \
    }                                          \
  }
ATLED_LIBRARY_FUNCTION(Sin, sin);
ATLED_LIBRARY_FUNCTION(Cos, cos);
ATLED_LIBRARY_FUNCTION(Tan, tan);
#undef ATLED_LIBRARY_FUNCTION

// Through double, so that the constant's own rounding does not show in float.
struct Deg2Rad {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return static_cast<T>(static_cast<double>(x) * 0.017453292519943295769);
  }
};
struct Rad2Deg {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return static_cast<T>(static_cast<double>(x) * 57.295779513082320877);
  }
};
constexpr double kPi = 3.14159265358979323846;
// sin(pi x) / (pi x), with 0 at the integers: x is reduced by its period before the product with pi rounds.
struct Sinc {
  ATLED_FN double operator()(double x) const {
    double r = period(x);
    r = std::fabs(r) > 0.5 ? std::copysign(1.0, r) - r : r;
    double y;
    if constexpr (by_own_math<double>)
      y = fmath::sin(kPi * r) / (kPi * x);
    else
      y = std::sin(kPi * r) / (kPi * x);
    y = std::fabs(x) == std::numeric_limits<double>::infinity() ? 0.0 : y;
    return x == 0.0 ? 1.0 : y;
  }
  ATLED_FN float operator()(float x) const { return static_cast<float>((*this)(static_cast<double>(x))); }
  // Complex numbers on the host alone: CUDA's library has no sine of them.
  ATLED_INLINE std::complex<double> operator()(std::complex<double> z) const {
    if (z == 0.0) return 1;
    return std::sin(std::complex<double>(kPi * period(z.real()), kPi * z.imag())) / (kPi * z);
  }
  ATLED_INLINE std::complex<float> operator()(std::complex<float> z) const {
    return std::complex<float>((*this)(std::complex<double>(z)));
  }

  // Numbers from 2^52 on are whole. Smaller ones are rounded without a call of the library.
  static ATLED_FN double period(double x) {
    const double whole = (0.5 * x + fmath::kShift) - fmath::kShift;
    return std::fabs(x) < 4503599627370496.0 ? x - 2.0 * whole : x - x;
  }
};
struct Atan2 {
  template <class T>
  ATLED_FN T operator()(T y, T x) const {
    if constexpr (by_own_math<T>)
      return fmath::atan2(y, x);
    else
      return std::atan2(y, x);
  }
};
struct Hypot {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    if constexpr (by_own_math<T>)
      return fmath::hypot(a, b);
    else
      return std::hypot(a, b);
  }
};

}  // namespace atled::core
