// Sums of polynomials, and what special functions share. They are computed in double: float's are rounded from it.
//
// Functions here are ATLED_SPECIAL, not ATLED_FN: they are long, and no loop becomes vector code by taking them in.
#pragma once

#include <cmath>
#include <limits>

#include "functors/inline.h"

#define ATLED_SPECIAL ATLED_HOST_DEVICE inline

// Before a short loop that has to be gone for the loop around it to become vector code.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#define ATLED_UNROLLED _Pragma("GCC unroll 32")
#else
#define ATLED_UNROLLED
#endif

namespace atled::core::special {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = 3.14159265358979323846;
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

// The coefficient of the highest power comes first.
template <int N>
ATLED_SPECIAL double horner(const double (&c)[N], double x) {
  double y = c[0];
  for (int i = 1; i < N; ++i) y = y * x + c[i];
  return y;
}

// c[0] T_(N-1)(x / 2) + ... + c[N-1] T_0 / 2, by Clenshaw's recurrence: x in [-2, 2]. The first kLess coefficients are
// left out.
template <int kLess = 0, int N>
ATLED_FN double chebyshev(const double (&c)[N], double x) {
  double a = c[kLess], b = 0, d = 0;
  ATLED_UNROLLED
  for (int i = kLess + 1; i < N; ++i) {
    d = b;
    b = a;
    a = x * b - d + c[i];
  }
  return (a - d) / 2;
}

// exp(factor * x^2), with what x^2 loses by rounding put back.
ATLED_SPECIAL double exp_square(double x, double factor) {
  const double square = x * x, lost = std::fma(x, x, -square);
  return std::exp(factor * square) * (1 + (square < 1e4 ? factor * lost : 0));
}

}  // namespace atled::core::special
