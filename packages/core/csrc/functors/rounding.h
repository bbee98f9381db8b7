// Rounding of one element; integers are whole already.
#pragma once

#include <cmath>
#include <type_traits>

#include "functors/copy.h"

namespace atled::core {

struct Floor {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return std::floor(x);
  }
};
struct Ceil {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return std::ceil(x);
  }
};
struct Trunc {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return std::trunc(x);
  }
};
// Half to even, of complex numbers each part.
struct Round {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (is_complex_type<T>)
      return T(std::nearbyint(x.real()), std::nearbyint(x.imag()));
    else
      return std::nearbyint(x);
  }
};
struct Frac {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return x - std::trunc(x);
  }
};
// To a number of decimal places: scale is 10^|decimals|.
template <class T>
struct RoundDecimals {
  T scale;
  bool fraction;  // decimals > 0
  ATLED_FN T operator()(T x) const {
    const T whole = std::nearbyint(fraction ? x * scale : x / scale);
    if (!fraction && whole == T(0)) return whole;  // where scale may be infinite
    const T y = fraction ? whole / scale : whole * scale;
    return y - y == T(0) ? y : x;  // x * scale may overflow
  }
};

}  // namespace atled::core
