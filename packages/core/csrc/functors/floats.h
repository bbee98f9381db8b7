// What floating numbers are made of: mantissa and exponent, and their neighbours.
#pragma once

#include <cmath>
#include <complex>

#include "functors/copy.h"

namespace atled::core {

// x * 2^n. A fraction of n goes into x first, so that the result alone decides whether it over- or underflows.
struct Ldexp {
  template <class T>
  ATLED_FN T operator()(T x, T n) const {
    const T whole = std::floor(n);
    if (!(std::fabs(n) <= T(1e6))) return x == T(0) && n == n ? x : x * std::exp2(n);
    return std::scalbn(n == whole ? x : x * std::exp2(n - whole), static_cast<int>(whole));
  }
  template <class T>
  ATLED_FN std::complex<T> operator()(std::complex<T> x, std::complex<T> n) const {
    if (n.imag() == 0) return {(*this)(x.real(), n.real()), (*this)(x.imag(), n.real())};
    return x * std::exp(n * T(0.69314718055994530942));
  }
};

struct NextAfter {
  template <class T>
  ATLED_FN T operator()(T from, T to) const {
    if constexpr (is_small_float<T>) {
      const float a = from, b = to;
      T result = from;
      if (a != a || b != b) return T(a + b);
      if (a == b) return to;
      if (a == 0) {
        result.bits = static_cast<uint16_t>((to.bits & 0x8000u) | 1u);
      } else {
        result.bits = static_cast<uint16_t>(from.bits + ((a < b) == (a > 0) ? 1 : -1));
      }
      return result;
    } else {
      return std::nextafter(from, to);
    }
  }
};

// x = mantissa * 2^exponent with |mantissa| in [0.5, 1); zeros, infinities and NaN have exponent 0.
struct Frexp {
  template <class T>
  ATLED_FN T operator()(T x, int32_t* exponent) const {
    int e = 0;
    const T mantissa = x - x == T(0) ? std::frexp(x, &e) : x;
    *exponent = e;
    return mantissa;
  }
};

}  // namespace atled::core
