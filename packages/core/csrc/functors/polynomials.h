// Orthogonal polynomials of degree n, 0 for n < 0: three-term recurrences (Abramowitz & Stegun 22.7), and for
// Chebyshev's inside [-1, 1] their trigonometric forms (22.3.15 and 22.3.16).
#pragma once

#include <cstdint>

#include "functors/series.h"

namespace atled::core::special {

// Beyond it a recurrence would take for ever.
constexpr double kMaxDegree = 1e6;

// first, second, ... with next(k, p(k-1), p(k-2)) for p(k). Growth without end ends it: as infinity where all terms
// have one sign, else as NaN.
template <class Next>
ATLED_SPECIAL double recurrence(int64_t n, double first, double second, bool one_sign, Next next) {
  if (n <= 0) return n < 0 ? 0 : first;
  double p = first, q = second;
  for (int64_t k = 2; k <= n; ++k) {
    const double r = next(static_cast<double>(k), q, p);
    if (!(std::fabs(r) < kInfinity)) return one_sign ? r : kNan;
    p = q;
    q = r;
  }
  return q;
}

ATLED_SPECIAL double chebyshev_recurrence(int64_t n, double x, double second) {
  return recurrence(n, 1, second, true, [x](double, double q, double p) { return 2 * x * q - p; });
}

// What x < 0 does to a polynomial of even or odd degree.
ATLED_SPECIAL double with_parity(double y, int64_t n, double x) { return x < 0 && n % 2 != 0 ? -y : y; }

ATLED_SPECIAL double chebyshev_t(double x, int64_t n) {
  const double size = std::fabs(x);
  if (n > 6 && size <= 1) return with_parity(std::cos(static_cast<double>(n) * std::acos(size)), n, x);
  return with_parity(chebyshev_recurrence(n, size, size), n, x);
}

ATLED_SPECIAL double chebyshev_u(double x, int64_t n) {
  const double size = std::fabs(x), order = static_cast<double>(n) + 1;
  if (n >= 0 && size == 1) return with_parity(order, n, x);
  if (n > 8 && size < 1) {
    const double angle = std::acos(size);
    return with_parity(std::sin(order * angle) / std::sin(angle), n, x);
  }
  return with_parity(chebyshev_recurrence(n, size, 2 * size), n, x);
}

// cos((n + 1/2) t) / cos(t / 2) with x = cos t; below 0 it is W's, which is the other way round.
ATLED_SPECIAL double chebyshev_vw(double x, int64_t n, bool v) {
  const double size = std::fabs(x), order = static_cast<double>(n) + 0.5;
  const bool is_v = v == (x >= 0);
  double y;
  if (n >= 0 && size == 1) {
    y = is_v ? 1 : 2 * order;
  } else if (n > 8 && size < 1) {
    const double angle = std::acos(size);
    y = is_v ? std::cos(order * angle) / std::cos(angle / 2) : std::sin(order * angle) / std::sin(angle / 2);
  } else {
    y = chebyshev_recurrence(n, size, is_v ? 2 * size - 1 : 2 * size + 1);
  }
  return with_parity(y, n, x);
}
ATLED_SPECIAL double chebyshev_v(double x, int64_t n) { return chebyshev_vw(x, n, true); }
ATLED_SPECIAL double chebyshev_w(double x, int64_t n) { return chebyshev_vw(x, n, false); }

ATLED_SPECIAL double shifted_chebyshev_t(double x, int64_t n) { return chebyshev_t(2 * x - 1, n); }
ATLED_SPECIAL double shifted_chebyshev_u(double x, int64_t n) { return chebyshev_u(2 * x - 1, n); }
ATLED_SPECIAL double shifted_chebyshev_v(double x, int64_t n) { return chebyshev_v(2 * x - 1, n); }
ATLED_SPECIAL double shifted_chebyshev_w(double x, int64_t n) { return chebyshev_w(2 * x - 1, n); }

ATLED_SPECIAL double hermite_h(double x, int64_t n) {
  return recurrence(n, 1, 2 * x, false, [x](double k, double q, double p) { return 2 * x * q - 2 * (k - 1) * p; });
}
ATLED_SPECIAL double hermite_he(double x, int64_t n) {
  return recurrence(n, 1, x, false, [x](double k, double q, double p) { return x * q - (k - 1) * p; });
}
ATLED_SPECIAL double laguerre_l(double x, int64_t n) {
  return recurrence(n, 1, 1 - x, x < 0,
                    [x](double k, double q, double p) { return ((2 * k - 1 - x) * q - (k - 1) * p) / k; });
}
ATLED_SPECIAL double legendre_p(double x, int64_t n) {
  const double size = std::fabs(x);
  if (n >= 0 && size == 1) return with_parity(1, n, x);
  return with_parity(
      recurrence(n, 1, size, size > 1,
                 [size](double k, double q, double p) { return ((2 * k - 1) * size * q - (k - 1) * p) / k; }),
      n, x);
}

}  // namespace atled::core::special
