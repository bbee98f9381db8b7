// The error function's relatives and the normal distribution.
#pragma once

#include "functors/series.h"

namespace atled::core::special {

constexpr double kSqrt2 = 1.41421356237309504880, kHalfRoot = 0.70710678118654752440;  // and 1 / sqrt(2)

// exp(x^2) erfc(x) for x >= 0: (1 + 2x) times it is a Chebyshev series in (x - 3.75) / (x + 3.75) (Shepherd &
// Laframboise, Mathematics of Computation 36, 1981; the coefficients were computed for this file).
ATLED_SPECIAL double erfcx_of_positive(double x) {
  static constexpr double kC[] = {
      -2.187342944303017665e-18,  -2.2370566594359995974e-18, 5.0681489047961113168e-17,   7.418235256624043463e-17,
      -1.2507950530688647085e-15, -1.8645628804193131015e-15, 3.3478119482868053878e-14,   3.2525481481487398415e-14,
      -9.6546967484334389059e-13, 1.945586854577734723e-13,   2.8687950109306698981e-11,   -6.3180883408866844944e-11,
      -7.7544002088313511065e-10, 4.5219598112182868979e-9,   1.0764999465670910377e-8,    -2.1886401049234395661e-7,
      7.7403830661984906686e-7,   4.1390279860730101675e-6,   -0.000069169733025012063671, 0.00049077583652580863229,
      -0.0024131635404176081909,  0.0090749976707052650939,   -0.026658668435305752277,    0.059209939998191890498,
      -0.084249133366517915584,   -0.0045900545806464773309,  2.3551578691348035082};
  if (x > 1e16) return 0.56418958354775628695 / x;
  return chebyshev(kC, 2 * (x - 3.75) / (x + 3.75)) / (1 + 2 * x);
}

ATLED_SPECIAL double erfcx(double x) {
  if (x >= 0) return erfcx_of_positive(x);
  return x < -26.7 ? kInfinity : 2 * exp_square(x, 1) - erfcx_of_positive(-x);
}

// The normal distribution function.
ATLED_SPECIAL double ndtr(double x) {
  if (x > -1) return 0.5 * std::erfc(-x * kHalfRoot);
  return x < -38.6 ? 0 : 0.5 * erfcx_of_positive(-x * kHalfRoot) * exp_square(x, -0.5);
}

ATLED_SPECIAL double log_ndtr(double x) {
  if (x > -1) return std::log1p(-ndtr(-x));
  return std::log(0.5 * erfcx_of_positive(-x * kHalfRoot)) - 0.5 * x * x;
}

// The normal quantile of p = 1/2 + q, tail = min(p, 1 - p): algorithm AS 241 (Wichura 1988).
ATLED_SPECIAL double normal_quantile(double q, double tail) {
  static constexpr double kA[] = {2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4,
                                  4.5921953931549871457e+4, 1.3731693765509461125e+4, 1.9715909503065514427e+3,
                                  1.3314166789178437745e+2, 3.3871328727963666080e+0};
  static constexpr double kB[] = {
      5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4, 2.1213794301586595867e+4,
      5.3941960214247511077e+3, 6.8718700749205790830e+2, 4.2313330701600911252e+1, 1.0};
  static constexpr double kC[] = {7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
                                  1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
                                  4.63033784615654529590e+0, 1.42343711074968357734e+0};
  static constexpr double kD[] = {
      1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
      6.89767334985100004550e-1, 1.67638483018380384940e+0, 2.05319162663775882187e+0, 1.0};
  static constexpr double kE[] = {2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
                                  2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e+0,
                                  5.46378491116411436990e+0, 6.65790464350110377720e+0};
  static constexpr double kF[] = {
      2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
      1.48753612908506148525e-2,  1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0};
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * horner(kA, r) / horner(kB, r);
  }
  double r = std::sqrt(-std::log(tail)), x;
  if (r <= 5) {
    r -= 1.6;
    x = horner(kC, r) / horner(kD, r);
  } else {
    r -= 5;
    x = horner(kE, r) / horner(kF, r);
  }
  return q < 0 ? -x : x;
}

ATLED_SPECIAL double ndtri(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -kInfinity : p == 1 ? kInfinity : kNan;
  return normal_quantile(p - 0.5, p < 0.5 ? p : 1 - p);
}

ATLED_SPECIAL double erfinv(double x) {
  const double size = std::fabs(x);
  if (!(size < 1)) return size == 1 ? std::copysign(kInfinity, x) : kNan;
  return normal_quantile(x / 2, (1 - size) / 2) * kHalfRoot;
}

ATLED_SPECIAL double entr(double x) { return x > 0 ? -x * std::log(x) : x == 0 ? 0 : x < 0 ? -kInfinity : x; }

ATLED_SPECIAL double xlog1py(double x, double y) { return x == 0 && y == y ? 0 : x * std::log1p(y); }

}  // namespace atled::core::special
