// Conversion of one number between dtypes.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <type_traits>

#include "functors/complex_operators.h"

namespace atled::core {

template <class T>
inline constexpr bool is_complex_type = false;
template <class T>
inline constexpr bool is_complex_type<std::complex<T>> = true;
template <class T>
inline constexpr bool is_small_float = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16> ||
                                       std::is_same_v<T, Float8E4M3FN> || std::is_same_v<T, Float8E5M2>;

// What bool is in memory that others may have written: any byte, true unless 0.
template <class T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

// x as a float of its 23 leading digits and one that says whether there were others: rounding that to fewer digits is
// rounding x (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums", on rounding to odd).
ATLED_FN float rounded_to_odd(double x) {
  const float nearest = static_cast<float>(x);
  const double back = nearest;
  // By way of doubles: vector code has no masks of two widths.
  const double away = std::fabs(back) > std::fabs(x) ? 1.0 : 0.0, others = back != x ? 1.0 : 0.0;
  return bits_to_float((float_to_bits(nearest) - static_cast<uint32_t>(static_cast<int32_t>(away))) |
                       static_cast<uint32_t>(static_cast<int32_t>(others)));
}

template <class To, class From>
struct Cast {
  ATLED_FN To operator()(From x) const {
    if constexpr (std::is_same_v<To, From>) {
      return x;
    } else if constexpr (is_complex_type<From>) {
      if constexpr (is_complex_type<To>) {
        using R = typename To::value_type;
        return To(static_cast<R>(x.real()), static_cast<R>(x.imag()));
      } else if constexpr (std::is_same_v<To, bool>) {
        return x.real() != 0 || x.imag() != 0;
      } else {
        return Cast<To, typename From::value_type>{}(x.real());
      }
    } else if constexpr (is_complex_type<To>) {
      using R = typename To::value_type;
      return To(Cast<R, From>{}(x), R(0));
    } else if constexpr (is_small_float<From>) {
      return Cast<To, float>{}(static_cast<float>(x));
    } else if constexpr (is_small_float<To> && std::is_same_v<From, double>) {
      return To(rounded_to_odd(x));
    } else if constexpr (is_small_float<To>) {
      return To(static_cast<float>(x));
    } else if constexpr (std::is_same_v<To, bool>) {
      return x != From(0);
    } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
      // Through a wider signed type, so that -1.0 becomes the largest unsigned number at every level.
      if constexpr (sizeof(To) < 4) return static_cast<To>(static_cast<int32_t>(x));
      if constexpr (std::is_same_v<To, uint32_t>) return static_cast<To>(static_cast<int64_t>(x));
      if constexpr (std::is_same_v<To, uint64_t>)
        return x < From(0) ? static_cast<To>(static_cast<int64_t>(x)) : static_cast<To>(x);
      return static_cast<To>(x);
    } else {
      return static_cast<To>(x);
    }
  }
};

}  // namespace atled::core
