// Divisors and multiples of integers. Results wrap modulo 2^n, as -128's size does in int8.
#pragma once

#include <cstdint>
#include <type_traits>

#include "functors/copy.h"

namespace atled::core {

template <class T>
ATLED_FN std::make_unsigned_t<T> size_of(T a) {
  using U = std::make_unsigned_t<T>;
  return a < T(0) ? static_cast<U>(U(0) - static_cast<U>(a)) : static_cast<U>(a);
}

struct Gcd {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    auto x = size_of(a), y = size_of(b);
    while (y != 0) {
      const auto rest = static_cast<decltype(x)>(x % y);
      x = y;
      y = rest;
    }
    return static_cast<T>(x);
  }
};
struct Lcm {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    const auto divisor = size_of(Gcd{}(a, b));
    if (divisor == 0) return 0;
    const uint64_t product = static_cast<uint64_t>(size_of(a) / divisor) * size_of(b);
    return static_cast<T>(size_of(static_cast<T>(product)));
  }
};

}  // namespace atled::core
