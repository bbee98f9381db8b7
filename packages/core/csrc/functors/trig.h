// Trigonometric and hyperbolic functions of one element.
#pragma once

#include <cmath>
#include <complex>

#include "functors/explog.h"
#include "functors/float_trig.h"

namespace atled::core {

// float by float_math.h; huge arguments need more bits of pi and take the library's way (see unary_checked).
struct FastSin {
  static ATLED_FN bool fast(float x) { return std::fabs(x) <= fmath::kTrigLimit; }
  static ATLED_FN float slow(float x) { return std::sin(x); }
  ATLED_FN float operator()(float x) const { return fmath::sin(x); }
};
struct FastCos {
  static ATLED_FN bool fast(float x) { return std::fabs(x) <= fmath::kTrigLimit; }
  static ATLED_FN float slow(float x) { return std::cos(x); }
  ATLED_FN float operator()(float x) const { return fmath::cos(x); }
};
struct FastTan {
  static ATLED_FN bool fast(float x) { return std::fabs(x) <= fmath::kTrigLimit; }
  static ATLED_FN float slow(float x) { return std::tan(x); }
  ATLED_FN float operator()(float x) const { return fmath::tan(x); }
};

// float by float_math.h and float_trig.h.
#define ATLED_FLOAT_FUNCTION(Name, function) \
  struct Name {                              \
    template <class T>                       \
    ATLED_FN T operator()(T x) const {       \
      if constexpr (by_float_math<T>)        \
        return fmath::function(x);           \
      else                                   \
        return std::function(x);             \
    }                                        \
  }
ATLED_FLOAT_FUNCTION(Asin, asin);
ATLED_FLOAT_FUNCTION(Acos, acos);
ATLED_FLOAT_FUNCTION(Atan, atan);
ATLED_FLOAT_FUNCTION(Sinh, sinh);
ATLED_FLOAT_FUNCTION(Cosh, cosh);
ATLED_FLOAT_FUNCTION(Tanh, tanh);
ATLED_FLOAT_FUNCTION(Asinh, asinh);
ATLED_FLOAT_FUNCTION(Acosh, acosh);
ATLED_FLOAT_FUNCTION(Atanh, atanh);
#undef ATLED_FLOAT_FUNCTION

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
    if (x == 0 || std::isinf(x)) return x == 0;
    double r = period(x);
    if (std::fabs(r) > 0.5) r = std::copysign(1.0, r) - r;
    return std::sin(kPi * r) / (kPi * x);
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

  static ATLED_FN double period(double x) { return x - 2 * std::nearbyint(x / 2); }
};
struct Atan2 {
  template <class T>
  ATLED_FN T operator()(T y, T x) const {
    if constexpr (by_float_math<T>)
      return fmath::atan2(y, x);
    else
      return std::atan2(y, x);
  }
};
struct Hypot {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return std::hypot(a, b);
  }
};

}  // namespace atled::core
