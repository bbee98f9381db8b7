// Conversion of one number between dtypes.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <cstring>
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

// Of a double's digits the 23 leading ones and one that says whether there were others: rounding that to fewer digits
// is rounding it (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums", on rounding to odd).
ATLED_FN uint64_t odd_digits(uint64_t bits) {
  constexpr uint64_t kRest = (uint64_t{1} << 29) - 1;
  return (bits | ((bits & kRest) + kRest)) & ~kRest;
}
// x as a float that rounds to at most 22 digits as x itself does; where float has fewer digits, the nearest multiple of
// bfloat16's smallest number.
ATLED_FN float rounded_to_odd(double x) {
  constexpr uint64_t kSign = uint64_t{1} << 63;
  constexpr double kGrid = 6.203854594147708e-25;  // 1.5 * 2^(52 - 133): adding and taking it away rounds to 2^-133
  uint64_t bits, tiny;
  memcpy(&bits, &x, sizeof bits);
  const double near = (x + kGrid) - kGrid;
  memcpy(&tiny, &near, sizeof tiny);
  const uint64_t chosen = std::fabs(x) < 1.1754943508222875e-38 ? tiny | (bits & kSign) : odd_digits(bits);
  double result;
  memcpy(&result, &chosen, sizeof result);
  return static_cast<float>(result);
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
