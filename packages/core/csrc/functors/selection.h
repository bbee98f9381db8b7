// Choosing between elements.
#pragma once

#include <cmath>
#include <complex>
#include <limits>
#include <type_traits>

#include "functors/copy.h"

namespace atled::core {

// Elements are moved, not read: T is any type of the element's size.
struct Where {
  template <class T>
  ATLED_FN T operator()(uint8_t condition, T a, T b) const {
    return condition ? a : b;
  }
};
// min(max(x, low), high); a NaN anywhere is the result.
struct Clamp {
  template <class T>
  ATLED_FN T operator()(T x, T low, T high) const {
    if constexpr (std::is_floating_point_v<T>) {
      const T y = x > low || x != x ? x : low;
      return y < high || y != y ? y : high;
    } else {
      const T y = x > low ? x : low;
      return y < high ? y : high;
    }
  }
};
struct Relu {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return x <= T(0) ? T(0) : x;  // NaN stays
  }
};
struct AddRelu {
  template <class T>
  ATLED_FN T operator()(T x, T y) const {
    return Relu{}(x + y);
  }
};
struct ReluBackward {
  template <class T>
  ATLED_FN T operator()(T grad, T x) const {
    return x > T(0) ? grad : T(0);
  }
};
// The same of float16's or bfloat16's bits: those of numbers above 0 are 1 to Infinity.
template <uint16_t Infinity>
struct HalfReluBackward {
  ATLED_FN uint16_t operator()(uint16_t grad, uint16_t x) const {
    return static_cast<uint16_t>(x - 1) < Infinity ? grad : uint16_t(0);
  }
};
template <uint16_t Infinity>
struct HalfRelu {
  ATLED_FN uint16_t operator()(uint16_t x) const {
    const bool nan = (x & 0x7fffu) > Infinity;
    return (nan | (static_cast<uint16_t>(x - 1) < Infinity)) ? x : uint16_t(0);
  }
};
struct CopySign {
  template <class T>
  ATLED_FN T operator()(T magnitude, T sign) const {
    return std::copysign(magnitude, sign);
  }
};
// The larger and the smaller of two, where a NaN counts as missing.
struct Fmax {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return a >= b || b != b ? a : b;
  }
};
struct Fmin {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return a <= b || b != b ? a : b;
  }
};
struct Heaviside {
  template <class T>
  ATLED_FN T operator()(T x, T at_zero) const {
    return x == T(0) ? at_zero : static_cast<T>(x > T(0));
  }
};
template <class T>
struct NanToNum {
  T nan, high, low;
  ATLED_FN T operator()(T x) const {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    return x != x ? nan : x == kInfinity ? high : x == -kInfinity ? low : x;
  }
  ATLED_FN std::complex<T> operator()(std::complex<T> x) const { return {(*this)(x.real()), (*this)(x.imag())}; }
};

}  // namespace atled::core
