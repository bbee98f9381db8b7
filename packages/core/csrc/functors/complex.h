// Complex numbers, their parts and angles.
#pragma once

#include <cmath>
#include <complex>

#include "functors/trig.h"

namespace atled::core {

struct Conj {
  template <class T>
  ATLED_FN std::complex<T> operator()(std::complex<T> z) const {
    return {z.real(), -z.imag()};
  }
};
struct MakeComplex {
  template <class T>
  ATLED_FN std::complex<T> operator()(T real, T imag) const {
    return {real, imag};
  }
};
struct Polar {
  template <class T>
  ATLED_FN std::complex<T> operator()(T abs, T angle) const {
    return {abs * std::cos(angle), abs * std::sin(angle)};
  }
};
struct Angle {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return x < T(0) ? static_cast<T>(3.14159265358979323846) : x != x ? x : T(0);
  }
  template <class T>
  ATLED_FN T operator()(std::complex<T> z) const {
    return Atan2{}(z.imag(), z.real());
  }
};

}  // namespace atled::core
