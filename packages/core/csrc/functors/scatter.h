// What the scatters do with a place's number and the next value for it.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "functors/arithmetic.h"
#include "functors/copy.h"

namespace atled::core::scattering {

struct Replace {
  template <class T>
  ATLED_FN T operator()(T, T x) const {
    return x;
  }
};
struct Sum {
  template <class T>
  ATLED_FN T operator()(T a, T x) const {
    return static_cast<T>(a + x);
  }
};
struct Product {
  template <class T>
  ATLED_FN T operator()(T a, T x) const {
    if constexpr (std::is_integral_v<T> || is_complex_type<T>) {
      return Mul{}(a, x);
    } else {
      return static_cast<T>(a * x);
    }
  }
};
struct Largest {
  template <class T>
  ATLED_FN T operator()(T a, T x) const {
    return ((a > x) | (a != a)) ? a : x;
  }
};
struct Smallest {
  template <class T>
  ATLED_FN T operator()(T a, T x) const {
    return ((a < x) | (a != a)) ? a : x;
  }
};

// A sum of `count` numbers becomes their mean; integers are rounded down, as PyTorch does it.
struct DivideByCount {
  template <class T>
  ATLED_FN T operator()(T x, int64_t count) const {
    if (count <= 1) return x;
    if constexpr (std::is_same_v<T, bool>) {
      return static_cast<T>(x / static_cast<T>(static_cast<float>(count)));
    } else if constexpr (std::is_integral_v<T>) {
      const T c = static_cast<T>(count), q = static_cast<T>(x / c);
      return static_cast<T>(q - (x % c != 0 && (x < 0) ? 1 : 0));
    } else if constexpr (is_complex_type<T>) {
      const auto c = static_cast<typename T::value_type>(count);
      return T(x.real() / c, x.imag() / c);
    } else {
      return static_cast<T>(x / static_cast<T>(static_cast<float>(count)));
    }
  }
};

}  // namespace atled::core::scattering
