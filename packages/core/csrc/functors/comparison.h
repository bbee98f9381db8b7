// Comparisons and tests of one element.
#pragma once

#include <cmath>
#include <complex>
#include <type_traits>

#include "functors/copy.h"

namespace atled::core {

#define ATLED_COMPARISON(Name, sign)           \
  struct Name {                                \
    template <class T>                         \
    ATLED_FN bool operator()(T a, T b) const { \
      return a sign b;                         \
    }                                          \
  }
ATLED_COMPARISON(Eq, ==);
ATLED_COMPARISON(Ne, !=);
ATLED_COMPARISON(Lt, <);
ATLED_COMPARISON(Le, <=);
ATLED_COMPARISON(Gt, >);
ATLED_COMPARISON(Ge, >=);
#undef ATLED_COMPARISON

struct IsNan {
  template <class T>
  ATLED_FN bool operator()(T x) const {
    return x != x;
  }
};
struct IsInf {
  template <class T>
  ATLED_FN bool operator()(T x) const {
    return std::fabs(x) == std::numeric_limits<T>::infinity();
  }
  template <class T>
  ATLED_FN bool operator()(std::complex<T> x) const {
    return (*this)(x.real()) || (*this)(x.imag());
  }
};
struct IsFinite {
  template <class T>
  ATLED_FN bool operator()(T x) const {
    return std::fabs(x) <= std::numeric_limits<T>::max();
  }
  template <class T>
  ATLED_FN bool operator()(std::complex<T> x) const {
    return (*this)(x.real()) && (*this)(x.imag());
  }
};
template <bool kNegative>
struct IsSignedInf {
  template <class T>
  ATLED_FN bool operator()(T x) const {
    return x == (kNegative ? -1 : 1) * std::numeric_limits<T>::infinity();
  }
};
struct IsReal {
  template <class T>
  ATLED_FN bool operator()(std::complex<T> x) const {
    return x.imag() == 0;
  }
};
struct SignBit {
  template <class T>
  ATLED_FN bool operator()(T x) const {
    if constexpr (std::is_integral_v<T>) {
      return x < T(0);
    } else {
      return std::signbit(x);
    }
  }
};
// What the tests answer for every integer.
template <bool kAnswer>
struct Always {
  template <class T>
  ATLED_FN bool operator()(T) const {
    return kAnswer;
  }
};

// |a - b| <= atol + rtol * |b|
struct IsClose {
  double rtol, atol;
  bool equal_nan;
  template <class T>
  ATLED_FN bool operator()(T a, T b) const {
    const auto difference = size(a - b);
    const bool finite = difference - difference == 0;
    const bool near = finite && difference <= atol + rtol * size(b);
    return a == b || near || (equal_nan && a != a && b != b);
  }

 private:
  template <class T>
  static ATLED_FN T size(T x) {
    return std::abs(x);
  }
  template <class T>
  static ATLED_FN T size(std::complex<T> x) {
    return std::hypot(x.real(), x.imag());
  }
};

}  // namespace atled::core
