// The error function, its complement and the normal distribution function of double, as double_math.h has others.
#pragma once

#include "functors/double_math.h"

namespace atled::core::fmath {

// erfcx(a) = exp(a^2) erfc(a) for 0 <= a <= 28, and with fewer digits beyond. (1 + 2a) times it is a minimax polynomial
// of t, the place of a between 0 and infinity (Shepherd & Laframboise, Mathematics of Computation 36, 1981), whose even
// and odd powers are summed apart: neither waits for the other.
ATLED_FN double erfcx_from_zero(double a) {
  const double t = (a - 3.75) / (a + 3.75), u = t * t;
  double even = -2.2430796643749047e-09 * u + 3.275766191745261e-08;
  even = ((even * u - 2.5314894982039113e-07) * u + 1.7491044879871004e-06) * u - 1.1443776163245954e-05;
  even = ((even * u + 5.1649266885800474e-05) * u + 0.00029371357037464413) * u - 0.009746579537742748;
  even = ((even * u - 0.05869339859177813) * u - 0.10880393014164252) * u + 0.003585415485462489;
  double odd = -4.1484987049547437e-10 * u + 1.4737367435486094e-08;
  odd = ((odd * u - 4.672577788800337e-08) * u - 9.81049724994166e-07) * u + 2.2387577301823995e-05;
  odd = ((odd * u - 0.0002901550317844049) * u + 0.0017556260245743464) * u + 0.028362277400151327;
  odd = ((odd * u + 0.09230432116152011) * u + 0.0822767384901131) * u - 0.1402405985855467;
  return ((odd * t + even * u) + 1.2375126308378275) / (1.0 + 2.0 * a);
}
// exp(-square - rest) y for sizes of square up to 800, where that of rest is below 2^-14 and square what an exponential
// is sure of.
ATLED_FN double times_exp(double square, double rest, double y) {
  const ExpParts p = exp_parts(-square);
  const double e = p.r + p.rest, less = rest * (1.0 - rest * (0.5 - rest * (1.0 / 6.0)));
  return scaled((1.0 + (p.r + (p.rest - less * (1.0 + e)))) * y, p.k.n);
}
// The upper half of a's digits, whose square is exact.
ATLED_FN double upper_digits(double a) { return bits_to_double(double_to_bits(a) & 0xfffffffff8000000u); }
// erfc(a) for a >= 0; NaN gives a number.
ATLED_FN double erfc_from_zero(double a) {
  a = a < 28.0 ? a : 28.0;
  const double h = upper_digits(a);
  return times_exp(h * h, (a - h) * (a + h), erfcx_from_zero(a));
}
// erf(x) - x for |x| < kNearZero.
constexpr double kNearZero = 0.64;
ATLED_FN double erf_rest(double x) {
  const double u = x * x;
  double p = -1.360454515137783e-07 * u + 1.6228881963210123e-06;
  p = (((p * u - 1.491455784911203e-05) * u + 0.00012055011895327414) * u - 0.0008548321248665772) * u +
      0.005223977562049804;
  p = (((p * u - 0.02686617064112604) * u + 0.1128379167094225) * u - 0.37612638903183593) * u + 0.12837916709551256;
  return x * p;
}

// erfc(a) for a >= kNearZero with the digits that show in 1 - erfc(a), by a polynomial for (a + 2.5) erfcx(a) that is a
// minimax one to that end.
ATLED_FN double rough_erfc(double a) {
  a = a < 6.0 ? a : 6.0;
  const double w = 1.0 / (a + 2.5), t = (a - 2.5) * w, u = t * t;
  double even = 1.948600709837656e-06 * u + 2.1395753959895145e-05;
  even = ((even * u - 0.00011252734745336927) * u + 0.0007026249363555738) * u - 0.004818786970105835;
  even = ((even * u + 0.028361550171561434) * u + 0.4539141166481042) * u + 1.0540318203057177;
  double odd = 1.1533407061486324e-05 * u - 1.839166501632421e-05;
  odd = ((odd * u + 5.817444803892515e-05) * u - 0.00043922404147003107) * u + 0.008393044415415133;
  odd = (odd * u - 0.1712511452429857) * u - 0.8046518494391561;
  const ExpParts p = exp_parts(-(a * a));
  return scaled((1.0 + (p.rest + p.r)) * ((odd * t + even) * w), p.k.n);
}

// Within 2.5 ulp.
ATLED_FN double erf(double x) {
  const double far = with_sign(1.0 - rough_erfc(absolute(x)), x);
  return x != x ? x : (absolute(x) < kNearZero ? x + erf_rest(x) : far);
}
// Within 3.5 ulp.
ATLED_FN double erfc(double x) {
  const double y = erfc_from_zero(absolute(x)), far = x < 0.0 ? 2.0 - y : y;
  return x != x ? x : (absolute(x) < kNearZero ? 1.0 - (x + erf_rest(x)) : far);
}
constexpr double kRootOfHalf = 0.70710678118654752440;
// The normal distribution function, erfc(-x / sqrt(2)) / 2, without rounding what goes into the exponential.
ATLED_FN double ndtr(double x) {
  const double a = absolute(x) < 39.0 ? absolute(x) : 39.0, h = upper_digits(a);
  const double y = 0.5 * times_exp(0.5 * h * h, 0.5 * (a - h) * (a + h), erfcx_from_zero(kRootOfHalf * a));
  return x != x ? x : (x > 0.0 ? 1.0 - y : y);
}
// exp(x^2) erfc(x), below 0 by exp(x^2) (2 - erfc(-x)), beyond 28 by its asymptotic series (Abramowitz & Stegun
// 7.1.23). Within 5 ulp.
ATLED_FN double erfcx(double x) {
  const double size = absolute(x), y = erfcx_from_zero(size < 28.0 ? size : 28.0);
  const double a = size < 27.0 ? size : 27.0, h = upper_digits(a);
  const double far = 2.0 * times_exp(-(h * h), -((a - h) * (a + h)), 1.0) - y;
  const double inverse = 1.0 / (size > 28.0 ? size : 28.0), w = 0.5 * inverse * inverse;
  const double series = 1.0 - w * (1.0 - w * (3.0 - w * (15.0 - w * (105.0 - w * (945.0 - w * 10395.0)))));
  const double above = size > 28.0 ? 0.56418958354775628695 * inverse * series : y;
  return x != x ? x : (x < 0.0 ? far : above);
}
// log(ndtr(x)): below 0 log(erfcx(a) / 2) - x^2 / 2 for a = -x / sqrt(2), above log(1 - q) for q = ndtr(-x), by one
// logarithm. Within 6 ulp.
ATLED_FN double log_ndtr(double x) {
  const double size = absolute(x) > 1e300 ? 1e300 : absolute(x), half = 0.5 * erfcx_from_zero(kRootOfHalf * size);
  const double a = size < 39.0 ? size : 39.0, h = upper_digits(a);
  const double q = times_exp(0.5 * h * h, 0.5 * (a - h) * (a + h), half);
  const bool below = x < 0.0;
  const Parted p = parted(below ? half : 1.0 - q);
  const double f = p.k == 0.0 ? -q : p.f;  // which 1 - q rounds
  const double log = p.k * kLogHigh - ((0.5 * f * f - (log_rest(f) + p.k * kLogLow)) - f);
  return x != x ? x : (below ? log - 0.5 * x * x : -absolute(log));
}

}  // namespace atled::core::fmath
