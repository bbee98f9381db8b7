// Exponentials, logarithms and roots of one element: float by float_math.h and double by double_math.h on the host,
// complex by the C++ library.
#pragma once

#include <cmath>
#include <complex>
#include <limits>
#include <type_traits>

#include "functors/copy.h"
#include "functors/double_erf.h"
#include "functors/double_math.h"
#include "functors/float_erf.h"
#include "functors/float_math.h"

namespace atled::core {

// Whether float_math.h computes it, or double_math.h. A device's own library is within the same few ulp, and shorter
// there.
#if defined(__CUDA_ARCH__)
template <class T>
inline constexpr bool by_float_math = false;
template <class T>
inline constexpr bool by_own_math = false;
#else
template <class T>
inline constexpr bool by_float_math = std::is_same_v<T, float>;
template <class T>
inline constexpr bool by_own_math = std::is_floating_point_v<T>;
#endif

struct Exp {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (by_own_math<T>)
      return fmath::exp(x);
    else
      return std::exp(x);
  }
};
struct Exp2 {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (by_own_math<T>)
      return fmath::exp2(x);
    else if constexpr (is_complex_type<T>)
      return std::exp(x * typename T::value_type(0.69314718055994530942));
    else
      return std::exp2(x);
  }
};
struct Expm1 {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (by_own_math<T>) {
      return fmath::expm1(x);
    } else if constexpr (is_complex_type<T>) {
      // exp(a) cos(b) - 1 = expm1(a) cos(b) - 2 sin(b / 2)^2
      using R = typename T::value_type;
      const R a = x.real(), b = x.imag(), s = std::sin(b / 2), e = std::exp(a);
      if (!std::isfinite(a) || !std::isfinite(b) || !std::isfinite(e)) return std::exp(x) - R(1);
      return T(std::expm1(a) * std::cos(b) - 2 * s * s, e * std::sin(b));
    } else {
      return std::expm1(x);
    }
  }
};
struct Log {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (by_own_math<T>)
      return fmath::log(x);
    else
      return std::log(x);
  }
};
struct Log2 {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (by_own_math<T>)
      return fmath::log2(x);
    else if constexpr (is_complex_type<T>)
      return std::log(x) / typename T::value_type(0.69314718055994530942);
    else
      return std::log2(x);
  }
};
struct Log10 {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (by_own_math<T>)
      return fmath::log10(x);
    else
      return std::log10(x);
  }
};
struct Log1p {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (by_own_math<T>) {
      return fmath::log1p(x);
    } else if constexpr (is_complex_type<T>) {
      // log |1 + x| = log1p(a (2 + a) + b^2) / 2
      using R = typename T::value_type;
      const R a = x.real(), b = x.imag();
      if (std::isinf(a) || std::isinf(b)) return T(std::numeric_limits<R>::infinity(), std::atan2(b, a));
      return T(std::log1p(a * (2 + a) + b * b) / 2, std::atan2(b, 1 + a));
    } else {
      return std::log1p(x);
    }
  }
};
struct Sqrt {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return std::sqrt(x);
  }
};
struct Rsqrt {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return T(1) / std::sqrt(x);
  }
};
struct Sigmoid {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (by_own_math<T>) {
      return fmath::sigmoid(x);
    } else if constexpr (is_complex_type<T>) {
      return T(1) / (T(1) + std::exp(-x));
    } else {
      const T e = std::exp(-std::fabs(x));
      return (x < 0 ? e : T(1)) / (T(1) + e);
    }
  }
};
// x Phi(x) where Phi is the normal distribution's: x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return x * Sigmoid{}(T(1.5957691216057307117) * (x + T(0.044715) * x * x * x));
  }
};
struct Erf {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (by_own_math<T>)
      return fmath::erf(x);
    else
      return std::erf(x);
  }
};
struct Erfc {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (std::is_same_v<T, float> || by_own_math<T>)
      return fmath::erfc(x);
    else
      return std::erfc(x);
  }
};
// log(1 + x) for 0 <= x <= 1.
ATLED_FN double log1p_of_fraction(double x) {
  const double t = x / (2.0 + x), u = t * t;
  double p = 0.21882296007840629 * u + 0.1711550498689926;
  p = (((p * u + 0.22305979675779947) * u + 0.28568098215418974) * u + 0.40000062617804016) * u + 0.66666666226932858;
  return t * (p * u + 2.0000000000050289);
}
// log(exp(a) + exp(b)), or to base 2 log2(2^a + 2^b)
template <bool kBase2>
struct LogAddExp {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    const T high = a > b ? a : b, low = a > b ? b : a;
    const T d = low - high;
    T rest;
    if constexpr (by_float_math<T>) {
      // Not by log1p, of which no vectors come where exp is before it.
      const double log = log1p_of_fraction(kBase2 ? fmath::exp2(d) : fmath::exp(d));
      rest = static_cast<T>(kBase2 ? log * 1.44269504088896340736 : log);
    } else {
      rest = Log1p{}(kBase2 ? Exp2{}(d) : Exp{}(d));
      if constexpr (kBase2) rest *= static_cast<T>(1.44269504088896340736);
    }
    // Equal infinities: their difference is NaN, their sum themselves.
    return (((a == b) & (a - b != T(0))) | (a != a)) ? a : high + rest;
  }
};
// log(x / (1 - x)) of x, brought into [low, high] first. Around 1/2, where the quotient is near 1, 2x - 1 is exact.
template <class T>
struct Logit {
  T low, high;
  ATLED_FN T operator()(T x) const {
    x = x < low ? low : x;
    x = x > high ? high : x;
    if constexpr (by_own_math<T>) {
      return fmath::logit(x);
    } else {
      const T y = T(1) - x;
      return x < T(0.25) ? std::log(x / y) : std::log1p((T(2) * x - T(1)) / y);
    }
  }
};
// x log(y), 0 where x is 0 and y no NaN.
struct Xlogy {
  template <class T>
  ATLED_FN T operator()(T x, T y) const {
    return x == T(0) && y == y ? T(0) : x * Log{}(y);
  }
};

}  // namespace atled::core
